"""The lattices that are whole at three spots: each backend against the plain array code of the oracle."""

import numpy as np
import pytest

from ffbidx_core.backends.reference.threes import joint_fit
from ffbidx_core.model.records.batch import pack, to_host
from ffbidx_core.model.unknown import threes
from ffbidx_core.model.unknown.selling import voronoi_lengths
from ffbidx_core.simulate import Scenario, simulate

REACH = 30.0
SCENARIO = Scenario(cells=((9, 13, 17, 85, 100, 95),), n_spots=(10, 14), false_share=(0.3, 0.3), d_min=1.5)


def frames(n):
    made = simulate(SCENARIO, n, seed=11)
    return [made.spots[i:j] for i, j in zip(made.offsets[:-1], made.offsets[1:], strict=True)]


def test_lattices_of_threes_are_the_oracle_s(backend, oracle, monkeypatch):
    monkeypatch.setattr(threes, "THREES", 2)
    packed = pack(frames(2))
    wanted, values = oracle.join_threes(oracle.load(*packed), REACH)
    found, mine = (to_host(each) for each in backend.join_threes(backend.load(*packed), REACH))
    # A lattice on the edge of a bin may or may not be the same as another one.
    assert np.abs(np.isfinite(mine).sum(axis=1) - np.isfinite(values).sum(axis=1)).max() <= 5
    assert np.isfinite(values[:, 300]).all()
    np.testing.assert_allclose(mine[:, :300], values[:, :300], atol=1e-3)
    for f, some in enumerate(wanted[:, :50]):
        # Lattices that score alike may change places.
        lengths, others = (voronoi_lengths(each.astype(np.float64)) for each in (some, found[f, :80]))
        apart = np.abs(lengths[:, None] / others[None] - 1).max(axis=2)
        assert apart.min(axis=1).max() < 1e-4


@pytest.mark.parametrize("n", [0, 2, 4])
def test_frames_without_spots_enough_have_no_lattice_of_threes(backend, n, rng):
    batch = backend.load(*pack([np.zeros((n, 3)) + 0.01 * rng.random((n, 3))]))
    cells, scores = backend.join_threes(batch, REACH)
    assert (to_host(cells) == 0).all()
    assert (to_host(scores) == -np.inf).all()


def test_the_joint_fit_of_threes_brings_vectors_to_the_lattice(rng):
    made, before, after = simulate(SCENARIO, 5, seed=5), [], []
    for f, truth in enumerate(made.cells):
        spots = made.spots[made.offsets[f] : made.offsets[f + 1]].astype(np.float64)
        start = truth + rng.normal(0, 0.02, (3, 3))
        before.append(np.abs(start - truth).mean())
        after.append(np.abs(joint_fit(spots, start[None])[0][0] - truth).mean())
    assert np.median(after) < 0.8 * np.median(before)
