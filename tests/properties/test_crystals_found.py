"""What must be found on frames with known truth, and what must not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ffbidx
from tests.helpers.finding import crystals_of, errors, index
from tests.helpers.frames import (
    CELL,
    SYSTEMS,
    cell_of,
    cells_of_published,
    false_spots,
    frame,
    published_cells,
    published_spots,
    random_rotation,
    still,
)

# Other bases of the same lattice.
BASES = [
    np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]]),
    np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]]),
    np.array([[1, 0, 0], [0, -1, 0], [1, 0, -1]]),
    np.array([[1, 0, 1], [1, 1, 0], [1, 1, 1]]),
]


def lattices(cell, k, seed, n_spots=60, n_false=10):
    """True cells, and the spots of k lattices with some false ones."""
    rng = np.random.default_rng(seed)
    truth = [cell @ random_rotation(rng) for _ in range(k)]
    return truth, np.concatenate([*(still(true, rng, n_spots) for true in truth), false_spots(rng, n_false)])


@pytest.mark.parametrize("preset", ["best", "fast", "published"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_lattices_of_all_systems_are_found(system, preset):
    cell = cell_of(system)
    known = [lattices(cell, 1, seed) for seed in range(5)]
    result = index([rows for _, rows in known], cell[None], preset)
    for f, (truth, _) in enumerate(known):
        found = crystals_of(result, f)
        assert len(found) == 1
        assert errors(found, truth, cell)[0] < 0.1


@pytest.mark.parametrize("system", SYSTEMS)
def test_lattices_of_all_systems_are_found_by_run(system):
    cell = cell_of(system)
    indexer = ffbidx.Indexer()
    for seed in range(3):
        truth, rows = lattices(cell, 1, seed)
        cells, scores = indexer.run(published_spots(rows), published_cells(cell))
        found = indexer.crystals(cells, published_spots(rows), scores)
        assert errors(cells_of_published(cells)[found], truth, cell)[0] < 0.1


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("system", SYSTEMS)
def test_two_and_three_lattices_are_separated(system, k):
    cell = cell_of(system)
    known = [lattices(cell, k, 100 * k + seed) for seed in range(4)]
    result = index([rows for _, rows in known], cell[None])
    for f, (truth, _) in enumerate(known):
        found = crystals_of(result, f)
        assert len(found) == k
        assert max(errors(found, truth, cell)) < 0.1


@pytest.mark.parametrize("k", [2, 3])
def test_run_and_crystals_separate_lattices_too(k):
    cell = cell_of("tetragonal")
    indexer = ffbidx.Indexer()
    for seed in range(3):
        truth, rows = lattices(cell, k, 100 * k + seed)
        cells, scores = indexer.run(published_spots(rows), published_cells(cell))
        found = indexer.crystals(cells, published_spots(rows), scores)
        assert len(found) == k
        assert max(errors(cells_of_published(cells)[found], truth, cell)) < 0.1


@pytest.mark.parametrize("basis", BASES)
def test_equal_lattices_in_different_bases_are_one_crystal(basis):
    """Two input cells that span one lattice: each frame has one crystal, whichever of the two it came from."""
    known = [frame(seed) for seed in range(4)]
    result = index([rows for _, rows in known], np.stack([CELL, basis @ CELL]))
    for f in range(4):
        assert len(crystals_of(result, f)) == 1


@pytest.mark.parametrize("basis", BASES)
def test_crystals_takes_equal_lattices_for_one(basis):
    oriented, rows = frame()
    cells = published_cells(oriented, basis @ oriented, -oriented)
    for scores, best in (([0.1, 0.2, 0.3], 0), ([0.3, 0.2, 0.1], 2)):
        found = ffbidx.Indexer().crystals(cells, published_spots(rows), np.array(scores), threshold=0.001)
        assert found.tolist() == [best]


def test_canonical_settings_are_those_nearest_to_the_input_cell():
    """Crystals turned a little from the input cell come back in its own setting, whatever the symmetry."""
    for system in SYSTEMS:
        cell = cell_of(system)
        rng = np.random.default_rng(3)
        small = np.eye(3) + 0.02 * np.cross(np.eye(3), rng.normal(size=3))
        u, _, vt = np.linalg.svd(small)
        oriented = cell @ u @ vt
        found = crystals_of(index([still(oriented, rng, 60)], cell[None]), 0)
        np.testing.assert_allclose(found, oriented[None], atol=0.1)


@pytest.mark.parametrize("system", SYSTEMS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=3)
def test_no_crystal_is_claimed_on_blank_frames(system, seed):
    rng = np.random.default_rng(seed)
    blank = [false_spots(rng, n) for n in (8, 20, 60, 150)]
    assert len(index(blank, cell_of(system)[None]).crystals) == 0
