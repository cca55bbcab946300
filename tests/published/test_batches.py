"""`run_batch` and `crystals_batch`."""

import numpy as np
import pytest

import ffbidx
from ffbidx_core.published_parameters import METHODS
from tests.helpers.frames import CELL, QUICK, cells_of_published, frames_of, published_cells, published_spots


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_of_n_is_n_batches_of_one(indexer, method):
    rows, offsets, pieces = frames_of(4)
    whole = indexer.run_batch(rows, offsets, CELL[None], method=method, **QUICK)
    crystals = indexer.crystals_batch(whole, rows, offsets, method=method, threshold=0.001)
    assert (whole.cells.shape, whole.scores.shape, whole.input_cell.shape) == ((4, 32, 3, 3), (4, 32), (4, 32))
    assert (whole.cells.dtype, whole.scores.dtype) == (np.float32, np.float32)
    for f, piece in enumerate(pieces):
        cells, scores = indexer.run(published_spots(piece), published_cells(CELL), method=method, **QUICK)
        np.testing.assert_array_equal(cells_of_published(cells), whole.cells[f])
        np.testing.assert_array_equal(scores, whole.scores[f])
        alone = indexer.crystals(cells, published_spots(piece), scores, method=method, threshold=0.001)
        assert crystals[f].dtype == np.int64
        assert crystals[f].tolist() == ([] if alone is None else alone.tolist())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_one_bad_frame_among_many_is_an_empty_one(indexer, bad):
    rows, offsets, _ = frames_of(3)
    good = indexer.run_batch(rows, offsets, CELL[None], **QUICK)
    spoiled = rows.copy()
    spoiled[offsets[1] + 3, 2] = bad
    result = indexer.run_batch(spoiled, offsets, CELL[None], **QUICK)
    for f in (0, 2):
        np.testing.assert_array_equal(result.cells[f], good.cells[f])
        np.testing.assert_array_equal(result.scores[f], good.scores[f])
    assert not result.cells[1].any()
    assert np.isposinf(result.scores[1]).all()
    assert (result.input_cell[1] == -1).all()
    crystals = indexer.crystals_batch(result, spoiled, offsets)
    assert [len(found) for found in crystals] == [1, 0, 1]
    cells, scores = indexer.run(published_spots(spoiled[offsets[1] : offsets[2]]), published_cells(CELL), **QUICK)
    assert not cells.any()
    assert np.isposinf(scores).all()


def test_frames_without_spots_and_no_frames_at_all(indexer):
    rows, _, _ = frames_of(1)
    result = indexer.run_batch(rows, [0, 0, len(rows), len(rows)], CELL[None], **QUICK)
    assert np.isfinite(result.scores[:, 0]).tolist() == [False, True, False]
    assert [len(found) for found in indexer.crystals_batch(result, rows, [0, 0, len(rows), len(rows)])] == [0, 1, 0]
    nothing = indexer.run_batch(rows[:0], [0], CELL[None], **QUICK)
    assert nothing.cells.shape == (0, 32, 3, 3)
    assert indexer.crystals_batch(nothing, rows[:0], [0]) == []


@pytest.mark.parametrize(
    ("spots", "offsets", "cells", "named"),
    [
        (np.zeros((3, 5), np.float32), [0, 5], CELL[None], "spots"),
        (np.zeros((5, 3), np.float32, order="F"), [0, 5], CELL[None], "spots"),
        (np.zeros((5, 3), np.int64), [0, 5], CELL[None], "spots"),
        (np.zeros((5, 3)), [0, 4], CELL[None], "offsets"),
        (np.zeros((5, 3)), [1, 5], CELL[None], "offsets"),
        (np.zeros((5, 3)), [0, 4, 3, 5], CELL[None], "offsets"),
        (np.zeros((5, 3)), [0.0, 5.0], CELL[None], "offsets"),
        (np.zeros((5, 3)), [], CELL[None], "offsets"),
        (np.zeros((5, 3)), [[0, 5]], CELL[None], "offsets"),
        (np.zeros((5, 3)), [0, 5], CELL, "input_cells"),
        (np.zeros((5, 3)), [0, 5], CELL.T[None], "input_cells"),
        (np.zeros((5, 3)), [0, 5], [CELL], "input_cells"),
    ],
)
def test_batches_of_another_shape_are_refused_in_words(indexer, spots, offsets, cells, named):
    with pytest.raises(ValueError, match=f"^{named}: given .*; wanted "):
        indexer.run_batch(spots, offsets, cells)


def test_a_result_belongs_to_its_offsets(indexer):
    rows, offsets, _ = frames_of(2)
    result = indexer.run_batch(rows, offsets, CELL[None], **QUICK)
    with pytest.raises(ValueError, match="result: given 2 frames"):
        indexer.crystals_batch(result, rows, [0, len(rows)])


def test_a_batch_has_the_options_of_run_only(indexer):
    rows, offsets, _ = frames_of(1)
    with pytest.raises(TypeError, match="no option accept, max_spots"):
        indexer.run_batch(rows, offsets, CELL[None], max_spots=3, accept="chance")


def test_an_array_on_a_gpu_needs_the_gpu_backend():
    class OnDevice:
        @property
        def __cuda_array_interface__(self):
            return {"shape": (3, 3), "typestr": "<f4", "data": (0, False), "version": 3}

    with pytest.raises(ValueError, match="given an array on a GPU, but this indexer runs on the cpu"):
        ffbidx.Indexer(backend="cpu").run_batch(OnDevice(), [0, 3], CELL[None])
