"""The published array layouts, and what is said about any other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffbidx_core.published.layout import cells_from_published, cells_to_published, spots_from_published
from tests.helpers.frames import CELL, QUICK, frame, published_cells, published_spots


@given(n=st.integers(0, 7), kind=st.sampled_from([np.float32, np.float64]), order=st.sampled_from("CF"))
def test_spots_are_read_in_both_layouts(n, kind, order):
    rows = np.arange(3 * n, dtype=kind).reshape(n, 3)
    given_array = np.ascontiguousarray(rows.T) if order == "C" else np.asfortranarray(rows)
    if order == "F" and n == 3:
        assert not given_array.flags.c_contiguous
    read = spots_from_published(given_array)
    np.testing.assert_array_equal(read, rows)
    assert read.dtype == kind
    assert read.flags.c_contiguous


@given(m=st.integers(1, 4), kind=st.sampled_from([np.float32, np.float64]), order=st.sampled_from("CF"))
def test_cells_are_read_in_both_layouts_and_written_in_the_first(m, kind, order):
    cells = np.arange(9 * m, dtype=kind).reshape(m, 3, 3)
    columns = np.concatenate([cell.T for cell in cells], axis=1)
    given_array = np.ascontiguousarray(columns) if order == "C" else np.asfortranarray(columns.T)
    np.testing.assert_array_equal(cells_from_published("input_cells", given_array), cells)
    written = cells_to_published(cells)
    np.testing.assert_array_equal(written, columns)
    assert written.flags.c_contiguous
    np.testing.assert_array_equal(written[:, 3 * (m - 1)], cells[m - 1, 0])


def test_three_by_three_in_c_order_is_three_by_k():
    square = np.arange(9, dtype=np.float32).reshape(3, 3)
    np.testing.assert_array_equal(spots_from_published(square), square.T)
    np.testing.assert_array_equal(spots_from_published(np.asfortranarray(square)), square)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("order", "CF")
def test_the_result_does_not_depend_on_the_layout(indexer, kind, order):
    _, rows = frame()
    cell = CELL.astype(np.float32)
    expected = indexer.run(published_spots(rows), published_cells(cell), **QUICK)
    spots = published_spots(rows) if order == "C" else np.asfortranarray(rows)
    cells = published_cells(cell) if order == "C" else np.asfortranarray(cell)
    got = indexer.run(spots.astype(kind), cells.astype(kind), **QUICK)
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_array_equal(got[1], expected[1])


WRONG = {
    "rows in C order": np.zeros((5, 3), np.float32),
    "columns in Fortran order": np.zeros((3, 5), np.float32, order="F"),
    "every second column": np.zeros((3, 10), np.float32)[:, ::2],
    "no dimension of 3": np.zeros((2, 5), np.float32),
    "flat": np.zeros(15, np.float32),
    "three dimensions": np.zeros((3, 5, 1), np.float32),
    "whole numbers": np.zeros((3, 5), np.int64),
    "half precision": np.zeros((3, 5), np.float16),
    "other byte order": np.zeros((3, 5), np.dtype("f4").newbyteorder()),
    "complex": np.zeros((3, 5), np.complex64),
    "a list": [[0.1, 0.2, 0.3]],
    "nothing": None,
}


@pytest.mark.parametrize("what", WRONG)
def test_any_other_array_is_refused_in_words(indexer, what):
    _, rows = frame()
    for name, arrays in {
        "spots": (WRONG[what], published_cells(CELL)),
        "input_cells": (published_spots(rows), WRONG[what]),
    }.items():
        with pytest.raises(ValueError, match=rf"^{name}: given .*; wanted .*order='C', or .*order='F'") as caught:
            indexer.run(*arrays)
        if isinstance(WRONG[what], np.ndarray):
            assert f"{WRONG[what].dtype} of shape {WRONG[what].shape}" in str(caught.value)
    with pytest.raises(ValueError, match=r"^output_cells: given "):
        indexer.crystals(WRONG[what], published_spots(rows), np.zeros(1, np.float32))


def test_cells_come_in_packs_of_three_vectors(indexer):
    _, rows = frame()
    with pytest.raises(ValueError, match="three vectors for each cell"):
        indexer.run(published_spots(rows), np.zeros((3, 4)))
    with pytest.raises(ValueError, match="input_cells: given 0; wanted 1 to 2"):
        indexer.run(published_spots(rows), np.zeros((3, 0)))


def test_scores_must_fit_the_cells(indexer):
    _, rows = frame()
    for scores in (np.zeros(2, np.float32), np.zeros((1, 1), np.float32), np.zeros(1, np.int64), [0.0, 1.0]):
        with pytest.raises(ValueError, match=r"^output_scores: given .*wanted"):
            indexer.crystals(published_cells(CELL), published_spots(rows), scores)
