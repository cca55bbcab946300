"""What `crystals` takes for a crystal."""

import numpy as np
import pytest

from ffbidx_core.published_parameters import METHODS
from tests.helpers.frames import CELL, frame, published_cells, published_spots, random_rotation


def test_crystals_takes_cells_by_score_and_goes_on_after_a_bad_first_one(indexer):
    oriented, rows = frame()
    wrong = CELL @ random_rotation(np.random.default_rng(99))
    cells = published_cells(wrong, oriented, wrong, oriented)
    for scores, found in (
        ([0.1, 0.2, 0.3, 0.4], [1]),
        ([0.1, 0.4, 0.3, 0.2], [3]),
        ([np.nan, np.nan, 0.1, 0.2], [3]),
    ):
        assert indexer.crystals(cells, published_spots(rows), np.array(scores), threshold=0.001).tolist() == found


def test_cells_that_span_no_lattice_are_no_crystals(indexer):
    oriented, rows = frame()
    flat = np.stack([oriented[0], oriented[1], oriented[0] + oriented[1]])
    cells = published_cells(np.zeros((3, 3)), np.full((3, 3), np.nan), flat, oriented)
    for method in METHODS:
        found = indexer.crystals(cells, published_spots(rows), np.zeros(4), method=method, threshold=0.001 * 30)
        assert found.tolist() == [3]


def test_crystals_needs_min_spots_nearer_than_the_threshold(indexer):
    """Ten perfect spots, each moved by a known distance along a*, in steps of 0.0005/A."""
    cell = np.diag([30.0, 40.0, 50.0])
    rows = (np.arange(30).reshape(10, 3) + 1.0) / np.diag(cell)
    rows[:, 0] += 0.0005 * (np.arange(10) + 0.5)
    arrays = published_cells(cell), published_spots(rows), np.zeros(1)
    assert indexer.crystals(*arrays, threshold=0.004, min_spots=8).tolist() == [0]
    assert indexer.crystals(*arrays, threshold=0.004, min_spots=9) is None
    assert indexer.crystals(*arrays, threshold=0.0035, min_spots=8) is None
    # The same displacements are 0.015 fractional indices a step.
    for method in ("raw", "ifss", "ifse"):
        assert indexer.crystals(*arrays, method=method, threshold=0.12, min_spots=8).tolist() == [0]
        assert indexer.crystals(*arrays, method=method, threshold=0.12, min_spots=9) is None


def test_a_further_crystal_needs_spots_of_its_own(indexer):
    one, rows = frame(0, 40)
    other, more = frame(1, 20)
    spots = published_spots(np.concatenate([rows, more]))
    cells = published_cells(one, -one, other)
    scores = np.array([0.1, 0.2, 0.3])
    assert indexer.crystals(cells, spots, scores, threshold=0.001, min_spots=15).tolist() == [0, 2]
    assert indexer.crystals(cells, spots, scores, threshold=0.001, min_spots=30).tolist() == [0]


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("method", "ifs", "method"),
        ("threshold", -1e-3, "threshold"),
        ("threshold", np.nan, "threshold"),
        ("threshold", "near", "threshold"),
        ("min_spots", 3, "min_spots"),
        ("min_spots", 8.5, "min_spots"),
    ],
)
def test_options_of_crystals_out_of_range(indexer, option, value, named):
    _, rows = frame()
    with pytest.raises(ValueError, match=rf"^{named} = "):
        indexer.crystals(published_cells(CELL), published_spots(rows), np.zeros(1), **{option: value})
