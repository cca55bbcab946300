"""Electron diffraction: chance among spots in a plane, and the denser search of frames without a clear crystal."""

from dataclasses import replace

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.benchmark import LYSOZYME
from ffbidx_core.method import by_chance
from ffbidx_core.method.flat import CLEAR
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.method.planes import ANGLES
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.reason import FrameReason, Rung
from ffbidx_core.parameters import Parameters
from ffbidx_core.simulate import simulate
from ffbidx_core.simulate.judge import Tally
from tests.bench.claims.runs import LYS, electrons
from tests.bench.scenarios import HEXAGONAL
from tests.helpers.finding import assert_same, part

CPU = get_backend("cpu", threads=1)
BEST = Parameters.preset("best")
ONE_SEARCH = BEST.replace(flat_points=0)


def indexed(frames, p=BEST, chosen=slice(None)):
    rows = np.arange(frames.n_frames)[chosen]
    pieces = [frames.spots[frames.offsets[f] : frames.offsets[f + 1]] for f in rows]
    offsets = np.cumsum([0, *map(len, pieces)])
    return index_frames(CPU, np.concatenate(pieces), offsets, SearchPlan.make(frames.input_cells, p), p)


def right(result, frames):
    tally = Tally()
    tally.add(result, frames)
    return tally.frames_right, tally.false


def test_planes_of_the_lattice_among_random_spots_are_no_crystal(monkeypatch):
    blank = simulate(electrons(LYSOZYME, lattices=(0, 0), n_spots=(40, 120), d_min=3.5), 20, seed=3)
    result = indexed(blank, ONE_SEARCH)
    assert len(result.crystals) == 0
    monkeypatch.setattr(by_chance, "loss_to_planes", lambda backend, spots, best, plan: np.zeros(len(best.false)))
    assert len(indexed(blank, ONE_SEARCH).crystals) > 5
    assert FrameReason.EXPLAINED_BY_CHANCE in result.reason
    assert FrameReason.LOST_IN_REFINEMENT not in result.reason


def test_planes_of_the_lattice_do_not_hide_crystals():
    frames = simulate(electrons(LYSOZYME, n_spots=(25, 60), false_share=(0.2, 0.2)), 20, seed=3)
    assert right(indexed(frames), frames) == (20, 0)


def test_a_turned_crystal_is_never_the_crystal_itself():
    """Lattices have rotations by 60, 90, 120 and 180 degrees."""
    for period in (60, 90):
        assert np.abs((np.degrees(ANGLES) + period / 2) % period - period / 2).min() > 7


@pytest.fixture(scope="module")
def long_cell():
    return simulate(electrons(HEXAGONAL, n_spots=(60, 120), spot_radius=0.002, d_min=1.4), 12, seed=4)


def test_frames_without_a_clear_crystal_are_searched_more_densely(long_cell):
    once, denser = indexed(long_cell, ONE_SEARCH), indexed(long_cell)
    tried = denser.rung == Rung.DENSER_SAMPLING
    assert (once.rung == Rung.FIRST_TRY).all()
    assert right(once, long_cell)[0] < 9
    assert right(denser, long_cell) == (12, 0)
    for f in np.flatnonzero(~tried):
        assert_same(part(denser, f), part(once, f))
    for f in np.flatnonzero(tried):
        best = [r.log10_false[r.crystal_offsets[f] : r.crystal_offsets[f + 1]].min(initial=0) for r in (once, denser)]
        assert max(CLEAR, best[1]) < best[0]


def test_no_frame_depends_on_the_others(long_cell):
    whole = indexed(long_cell)
    for f in (0, 5):
        assert_same(indexed(long_cell, chosen=slice(f, f + 1)), part(whole, f))


def test_x_rays_and_a_single_search_know_no_denser_search(long_cell):
    frames = simulate(replace(LYS, lattices=(0, 1)), 8, seed=1)
    assert_same(indexed(frames), indexed(frames, ONE_SEARCH))
    single = BEST.replace(searches=1)
    assert_same(indexed(long_cell, single), indexed(long_cell, single.replace(flat_points=0)))
