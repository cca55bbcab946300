"""A beam that drifts while a run goes on is seen by the newest crystals."""

from types import SimpleNamespace

import numpy as np
import pytest

from ffbidx_core.live.runs import drift
from ffbidx_core.model.basis import ChangeOfBasis, as_given
from ffbidx_core.model.detector.beam_shift import BeamShift
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.frame import FrameBlock
from ffbidx_core.parameters import Parameters
from ffbidx_core.run.learning.distorted import moved_block
from ffbidx_core.simulate import Scenario, simulate

N = drift.MOST


@pytest.fixture(scope="module")
def crystals():
    cell = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0)
    return simulate(Scenario(cells=(cell,), n_spots=(60, 60), lattices=(1, 1)), N, 1)


def block_of(found) -> FrameBlock:
    n_spots = np.diff(found.offsets).astype(np.int32)
    names = [str(k) for k in range(N)]
    spots = found.spots.astype(np.float32)
    return FrameBlock(names, np.arange(N), names, spots, found.offsets, np.zeros(N, np.uint8), n_spots)


def test_the_shift_of_the_beam_is_estimated_from_the_newest_crystals(crystals, monkeypatch):
    monkeypatch.setattr(drift, "SECONDS", 0.0)
    given = as_given(np.array(crystals.input_cells[:1], np.float64))
    change = ChangeOfBasis.of_each(given, ["P"])
    cells = SimpleNamespace(change=change, plan=SearchPlan.make(change.primitive(given), Parameters()))
    result = SimpleNamespace(
        crystal_offsets=np.arange(N + 1), crystals=np.arange(N), cells=crystals.cells, input_cell=np.zeros(N, np.int32)
    )
    followed, block = drift.Drift(), block_of(crystals)
    assert followed.left is None
    for shift in ((0.0, 0.0), (0.2, -0.1)):
        followed.add(moved_block(block, BeamShift(mrad=shift)), cells, result)
        followed._thread.join()
        assert np.allclose(followed.left.mrad, np.negative(shift), atol=0.03)
    followed.moved()
    assert followed.left.mrad == (0.0, 0.0)
