"""The lattices that are whole at three spots, at the sizes of real searches."""

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.model.records.batch import pack, to_host
from ffbidx_core.model.unknown.selling import voronoi_lengths
from ffbidx_core.simulate import Scenario, simulate

SCENARIO = Scenario(cells=((71, 84, 103, 90, 97, 90),), n_spots=(10, 18), false_share=(0.3, 0.3), d_min=4.0)


def frames(n, seed=11):
    made = simulate(SCENARIO, n, seed)
    return [made.spots[i:j] for i, j in zip(made.offsets[:-1], made.offsets[1:], strict=True)]


def joined(backend, some, reach):
    return [to_host(each) for each in backend.join_threes(backend.load(*pack(some)), reach)]


@pytest.mark.parametrize("reach", [180.0, 300.0])
def test_the_best_lattices_are_those_that_the_processors_find(gpu, reach):
    some = frames(4)
    (mine, values), (other, wanted) = (joined(each, some, reach) for each in (gpu, get_backend("cpu")))
    assert np.isfinite(wanted[:, 2000]).all()
    for f in range(len(some)):
        lengths, others = (voronoi_lengths(each[f, :1200].astype(np.float64)) for each in (mine, other))
        for these, those in ((lengths, others), (others, lengths)):
            apart = np.abs(these[:1000, None] / those[None] - 1).max(axis=2)
            # A lattice on the edge of a bin, or of the best triples, may be found by one of them only.
            assert (apart.min(axis=1) < 1e-4).mean() > 0.995
    np.testing.assert_allclose(values[:, :20], wanted[:, :20], atol=1e-3)


def test_the_lattices_of_a_frame_do_not_depend_on_the_batch_or_the_lane(gpu):
    some = [*frames(17), np.zeros((0, 3)), *frames(3, seed=12)]
    together = joined(gpu, some, 100.0)
    for f in (0, 15, 16, 17, 20):
        with gpu.lane():
            one = joined(gpu, some[f : f + 1], 100.0)
        for mine, every in zip(one, together, strict=True):
            assert mine[0].tobytes() == every[f].tobytes()
