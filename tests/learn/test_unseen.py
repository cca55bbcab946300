"""What is learned must predict spots that the fit has not seen."""

import dataclasses
import itertools

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.benchmark import LYSOZYME
from ffbidx_core.devices import OneDevice
from ffbidx_core.learn import learn
from ffbidx_core.learn.unseen import RADII, Unseen, predicted
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.parameters import Parameters
from ffbidx_core.simulate import Scenario, simulate
from tests.bench.real import PSI, psi_frames

DEVICE = OneDevice(get_backend("cpu", threads=1))
P = Parameters.preset("best", num_halfsphere_points=8192)
CLEAR = Scenario(cells=(LYSOZYME,), n_spots=(40, 70))


def frames_of(**changes):
    return simulate(dataclasses.replace(CLEAR, **changes), 12, seed=3)


def test_spots_are_counted_by_the_crystal_of_the_other_half():
    frames = frames_of(position_noise=0.0)
    found = predicted(
        DEVICE, frames.spots, frames.offsets, SearchPlan.make(frames.input_cells, P), P, frames.input_cells
    )
    assert found.indexed == 24
    # All spots are true: lattice points seen up to 0.0015/A off the sphere.
    assert found.counts[-1] == len(frames.spots)
    assert 0 < found.counts[0] < found.counts[1] <= found.counts[-1]


def test_the_order_of_the_spots_does_not_matter():
    frames, rng = frames_of(), np.random.default_rng(0)
    order = np.concatenate([rng.permutation(np.arange(*ends)) for ends in itertools.pairwise(frames.offsets)])
    plan = SearchPlan.make(frames.input_cells, P)
    one, other = (
        predicted(DEVICE, spots, frames.offsets, plan, P, frames.input_cells)
        for spots in (frames.spots, frames.spots[order])
    )
    assert (one.counts == other.counts).all()


def test_ways_are_compared_by_the_mean_over_the_radii():
    one, other = (Unseen(np.array(counts), 4) for counts in ((30, 50, 100), (20, 50, 100)))
    assert one.over(other) == pytest.approx((1.5 + 1 + 1) / 3)
    assert len(RADII) == 3
    assert Unseen(np.zeros(3, np.int64), 0).over(Unseen(np.zeros(3, np.int64), 0)) == 0


def test_a_wrong_cell_and_the_scatter_are_learned():
    frames = frames_of(cell_error=(0.005, 0.005, -0.005))
    lesson = learn(DEVICE, frames.spots, frames.offsets, frames.input_cells, P)
    assert lesson.n_crystals.tolist() == [12]
    assert lesson.spread is not None
    assert lesson.unseen is not None


def test_of_few_spots_all_is_learned_that_is_not_clearly_worse():
    frames = frames_of(n_spots=(10, 13))
    lesson = learn(DEVICE, frames.spots, frames.offsets, frames.input_cells, P.replace(learn_max_false_rate=0.001))
    assert lesson.n_crystals.tolist() == [12]
    assert lesson.spread is not None


@pytest.mark.skipif(not PSI.is_dir(), reason="there are no real frames beside the project")
def test_the_scatter_of_one_turning_crystal_is_not_learned():
    """All its crystals are strained alike by the detector, which a prior without memory of that takes for scatter."""
    files = [(cell, spots) for name, cell, spots in psi_frames() if "local" not in name]
    offsets = np.cumsum([0, *(len(spots) for _, spots in files)])
    spots = np.concatenate([spots for _, spots in files]).astype(np.float32)
    cells = files[0][0][None]
    lesson = learn(DEVICE, spots, offsets, cells, P)
    assert lesson.misfit is not None
    assert lesson.misfit.is_shifted
    assert lesson.spread is None
    plain, learned = (
        predicted(DEVICE, spots, offsets, SearchPlan.make(each, P, spread), P, cells)
        for each, spread in ((cells, None), (lesson.cells, lesson.spread))
    )
    assert learned.over(plain) >= 1
