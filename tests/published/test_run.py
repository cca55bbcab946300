"""What `run` returns."""

import numpy as np
import pytest

import ffbidx
from ffbidx_core.backends import get_backend
from ffbidx_core.method.search import search_and_refine
from ffbidx_core.model.cell import is_left_handed
from ffbidx_core.model.orientation import misorientation
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.parameters import Parameters
from ffbidx_core.published_parameters import METHODS
from tests.helpers.frames import (
    CELL,
    OPERATORS,
    QUICK,
    cells_of_published,
    false_spots,
    frame,
    frames_of,
    published_cells,
    published_spots,
)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("method", METHODS)
def test_a_clear_frame_is_indexed(backend, method):
    oriented, rows = frame()
    indexer = ffbidx.Indexer(backend=backend)
    cells, scores = indexer.run(published_spots(rows), published_cells(CELL), method=method, **QUICK)
    assert (cells.shape, cells.dtype, cells.flags.c_contiguous) == ((3, 96), np.float32, True)
    assert (scores.shape, scores.dtype) == ((32,), np.float32)
    assert (np.diff(scores) >= 0).all()
    threshold = {"raw": 0.15, "ifss": 0.05, "ifse": 0.05, "ifssr": 0.00075}[method]
    found = indexer.crystals(cells, published_spots(rows), scores, method=method, threshold=threshold)
    assert found.tolist() == [0]
    assert found.dtype == np.int64
    best = cells[:, 3 * found[0] : 3 * found[0] + 3].T
    assert misorientation(best, oriented, OPERATORS) < (1.0 if method == "raw" else 0.1)


def test_neither_input_is_changed(indexer):
    _, rows = frame()
    arrays = published_spots(rows), published_cells(CELL)
    copies = [array.copy() for array in arrays]
    cells, scores = indexer.run(*arrays, **QUICK)
    indexer.crystals(cells, arrays[0], scores)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_output_cells_are_clamped_to_the_indexers_limit():
    _, rows = frame()
    indexer = ffbidx.Indexer(backend="cpu", max_output_cells=5)
    for asked, got in ((32, 5), (5, 5), (2, 2)):
        cells, scores = indexer.run(published_spots(rows), published_cells(CELL), n_output_cells=asked, **QUICK)
        assert (cells.shape, scores.shape) == ((3, 3 * got), (got,))


@pytest.mark.parametrize("method", METHODS)
def test_empty_slots_are_zero_cells_of_infinite_score(method):
    """One candidate, both signs, one angle: two cells for 32 slots."""
    _, rows = frame()
    indexer = ffbidx.Indexer(backend="cpu", num_candidate_vectors=1, redundant_calculations=False)
    cells, scores = indexer.run(
        published_spots(rows), published_cells(CELL), method=method, num_angle_points=1, **QUICK
    )
    assert np.isfinite(scores[:2]).all()
    assert np.isposinf(scores[2:]).all()
    assert (np.abs(cells_of_published(cells)).max(axis=(1, 2)) > 0).tolist() == [True] * 2 + [False] * 30


def test_few_spots_score_one_and_none_leave_every_slot_empty(indexer):
    _, rows = frame()
    for n, expected in ((7, 1.0), (1, 1.0), (0, np.inf)):
        cells, scores = indexer.run(published_spots(rows[:n]), published_cells(CELL), **QUICK)
        np.testing.assert_array_equal(scores, expected)
        assert cells.any() == (n > 0)
        assert indexer.crystals(cells, published_spots(rows[:n]), scores) is None


def test_both_spellings_of_redundant_calculations():
    _, rows = frame()
    results = [
        ffbidx.Indexer(backend="cpu", **{word: value}).run(published_spots(rows), published_cells(CELL), **QUICK)[0]
        for word in ("redundant_calculations", "redundant_computations")
        for value in (True, False)
    ]
    np.testing.assert_array_equal(results[0], results[2])
    np.testing.assert_array_equal(results[1], results[3])
    assert (results[0] != results[1]).any()


def test_options_may_be_given_by_position(indexer):
    _, rows = frame()
    arrays = published_spots(rows), published_cells(CELL)
    positional = indexer.run(*arrays, "ifse", 1e-9, 0.001, 0.3, 0.1, 0.2, 0.15, 4096, 200, 8, 0.7, 0.001, 9, 20, 0)
    named = indexer.run(
        *arrays,
        method="ifse",
        length_threshold=1e-9,
        triml=0.001,
        trimh=0.3,
        delta=0.1,
        dist1=0.2,
        dist3=0.15,
        num_halfsphere_points=4096,
        num_angle_points=200,
        n_output_cells=8,
        contraction=0.7,
        max_dist=0.001,
        min_spots=9,
        n_iter=20,
        vr_min_spots=0,
    )
    np.testing.assert_array_equal(positional[0], named[0])
    np.testing.assert_array_equal(positional[1], named[1])


HONOURED = {
    "indexer": {"max_spots": 30, "num_candidate_vectors": 4, "redundant_calculations": False},
    "run": {
        "method": "ifse",
        "length_threshold": 12.0,
        "triml": 0.05,
        "trimh": 0.2,
        "delta": 0.3,
        "dist1": 0.1,
        "dist3": 0.3,
        "num_halfsphere_points": 2000,
        "num_angle_points": 100,
        "n_output_cells": 16,
        "contraction": 0.5,
        "max_dist": 0.003,
        "min_spots": 20,
        "n_iter": 1,
        "vr_min_spots": 0,
    },
}


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in HONOURED for name in HONOURED[group]])
def test_every_option_reaches_the_core_and_matters(group, name):
    _, rows = frame()
    options = {"indexer": {}, "run": dict(QUICK)}
    usual = ffbidx.Indexer(backend="cpu").run(published_spots(rows), published_cells(CELL), **QUICK)
    options[group][name] = HONOURED[group][name]
    indexer = ffbidx.Indexer(backend="cpu", **options["indexer"])
    cells, scores = indexer.run(published_spots(rows), published_cells(CELL), **options["run"])
    p = Parameters.preset("published", **options["indexer"], **options["run"])
    backend = get_backend("cpu")
    found = search_and_refine(backend, rows, np.array([0, len(rows)]), SearchPlan.make(CELL[None], p), p)
    best_first = np.argsort(found.scores[0], kind="stable")
    np.testing.assert_array_equal(cells_of_published(cells), found.cells[0, best_first].astype(np.float32))
    np.testing.assert_array_equal(scores, found.scores[0, best_first].astype(np.float32))
    assert cells.shape != usual[0].shape or (cells != usual[0]).any() or (scores != usual[1]).any()


@pytest.mark.parametrize("seed", range(3))
def test_a_left_handed_cell_stays_left_handed(indexer, seed):
    mirrored = CELL * np.array([1, 1, -1.0])
    assert is_left_handed(mirrored)
    oriented, rows = frame(seed, cell=mirrored)
    for method in METHODS:
        cells, scores = indexer.run(published_spots(rows), published_cells(mirrored), method=method, **QUICK)
        assert (np.linalg.det(cells_of_published(cells)[np.isfinite(scores)]) < 0).all()
        assert misorientation(cells_of_published(cells)[0], oriented, OPERATORS) < 1.0


def test_the_sampling_uses_the_spots_of_lowest_resolution():
    """Raw cells are found from the inner spots alone: what lies farther out changes nothing."""
    _, rows = frame(n_spots=80)
    inner = rows[np.argsort(np.linalg.norm(rows, axis=1))[:30]]
    far = (false_spots(np.random.default_rng(1), 50, d_min=0.9) + np.array([0, 0, 0.6])).astype(np.float32)
    assert np.linalg.norm(far, axis=1).min() > np.linalg.norm(inner, axis=1).max()
    spots = np.random.default_rng(2).permutation(np.concatenate([inner, far]))
    options = {"method": "raw", **QUICK}
    few = ffbidx.Indexer(backend="cpu", max_spots=30)
    expected = few.run(published_spots(inner), published_cells(CELL), **options)
    got = few.run(published_spots(spots), published_cells(CELL), **options)
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_array_equal(got[1], expected[1])
    all_of_them = ffbidx.Indexer(backend="cpu").run(published_spots(spots), published_cells(CELL), **options)
    assert (all_of_them[1] != expected[1]).any()


def test_refinement_and_crystals_use_all_spots():
    oriented, rows = frame(n_spots=200)
    few = ffbidx.Indexer(backend="cpu", max_spots=20)
    inner = rows[np.argsort(np.linalg.norm(rows, axis=1))[:20]]
    by_all, by_inner = (
        cells_of_published(few.run(published_spots(spots), published_cells(CELL), **QUICK)[0])[0]
        for spots in (rows, inner)
    )
    assert misorientation(by_all, oriented, OPERATORS) < 0.5 * misorientation(by_inner, oriented, OPERATORS)
    cells, scores = few.run(published_spots(rows), published_cells(CELL), **QUICK)
    assert few.crystals(cells, published_spots(rows), scores, min_spots=150).tolist() == [0]


def test_the_caller_is_told_how_many_spots_were_left_out(caplog):
    caplog.set_level("INFO", "ffbidx")
    few = ffbidx.Indexer(backend="cpu", max_spots=45)
    rows, offsets, _ = frames_of(3)
    result = few.run_batch(rows, offsets, CELL[None], **QUICK)
    assert result.n_left_out.tolist() == [0, 0, 5]
    record = caplog.records[-1]
    assert (record.name, record.levelname) == ("ffbidx", "INFO")
    assert record.message.startswith("on 1 of 3 frames")
    assert record.message.endswith(" 5 are left out")


def test_what_an_indexer_did_before_does_not_matter(indexer):
    """The plan of the last call is kept: other cells or other options must not get it."""
    _, rows = frame()
    calls = [
        (cell, {**QUICK, **options})
        for cell in (CELL, CELL * 1.01)
        for options in ({}, {"num_angle_points": 60}, {"length_threshold": 12.0}, {"method": "raw"})
    ]
    for cell, options in [*calls, calls[0]]:
        used = indexer.run(published_spots(rows), published_cells(cell), **options)
        fresh = ffbidx.Indexer(backend="cpu").run(published_spots(rows), published_cells(cell), **options)
        np.testing.assert_array_equal(used[0], fresh[0])
        np.testing.assert_array_equal(used[1], fresh[1])
