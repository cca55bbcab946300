"""Every backend gives the oracle's reasons, and frames that are tried again the oracle's crystals."""

import numpy as np
import pytest

from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.orientation import equal_lattices
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.batch import pack
from ffbidx_core.model.records.reason import FrameReason, Rung
from ffbidx_core.parameters import Parameters
from tests.helpers.parity.lattice_stills import CELLS, random_spots, still

FEWER = {"num_halfsphere_points": 8192, "research_points": 4096}


def mixed(rng):
    """Clear, hard, blank and empty frames, and those of another crystal: spots (n, 3) each."""
    cell = CELLS["tetragonal"]
    clear = [still(rng, cell, n)[0] for n in (30, 60, 120)]
    hard = [still(rng, cell, 64, false=0.8)[0] for _ in range(5)]
    other = [still(rng, CELLS["cubic"], 60)[0] for _ in range(4)]
    blank = [random_spots(rng, n).astype(np.float32) for n in (10, 40, 150)]
    return [*clear, *hard, *other, *blank, np.zeros((0, 3), np.float32), clear[0][:4]]


@pytest.mark.parametrize("preset", ["best", "published"])
def test_the_reasons_are_the_oracles(backend, oracle, preset, rng):
    frames, p = mixed(rng), Parameters.preset(preset, **FEWER)
    plan = SearchPlan.make(CELLS["tetragonal"][None], p)
    found, wanted = (index_frames(each, *pack(frames), plan, p).reason for each in (backend, oracle))
    assert len(set(wanted.tolist())) >= 3
    # A frame at the edge of a reason may tip by a rounding.
    assert (found != wanted).sum() <= 1


def test_further_tries_find_the_oracles_crystals(backend, oracle, rng):
    frames, p = mixed(rng), Parameters.preset("best", retry=True, **FEWER)
    plan, ranked = SearchPlan.make(CELLS["tetragonal"][None], p), np.arange(len(mixed(rng))) % 2 == 0
    found, wanted = (index_frames(each, *pack(frames), plan, p, by_intensity=ranked) for each in (backend, oracle))
    assert (wanted.rung > Rung.FIRST_TRY).any()
    assert (found.rung != wanted.rung).sum() <= 1
    same = np.flatnonzero((found.reason == FrameReason.NONE) & (found.rung == wanted.rung))
    for f in same:
        pair = [r.cells[r.crystals[r.crystal_offsets[f]]].astype(float) for r in (found, wanted)]
        assert equal_lattices(*pair, 1e-3)
