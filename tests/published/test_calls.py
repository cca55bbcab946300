"""How `Indexer`, `run` and `crystals` may be called: by position in two orders, by other names, by handle."""

import inspect

import numpy as np
import pytest

import ffbidx
from ffbidx_core.published import check
from ffbidx_core.published.arguments import PUBLISHED, WITH_VR_EARLY, run_options
from tests.helpers.frames import CELL, QUICK, frame, published_cells, published_spots

GIVEN = {
    "method": "ifse",
    "length_threshold": 1e-9,
    "triml": 0.001,
    "trimh": 0.3,
    "delta": 0.1,
    "dist1": 0.2,
    "dist3": 0.15,
    "num_halfsphere_points": 4096,
    "num_angle_points": 200,
    "n_output_cells": 8,
    "contraction": 0.7,
    "max_dist": 0.001,
    "min_spots": 9,
    "n_iter": 20,
    "vr_min_spots": 7,
}


@pytest.mark.parametrize("order", [PUBLISHED, WITH_VR_EARLY])
@pytest.mark.parametrize("n", range(len(PUBLISHED) + 1))
def test_options_by_position_are_understood_in_both_orders_whatever_their_number(order, n):
    named = {name: GIVEN[name] for name in order[:n]}
    assert run_options(tuple(named.values()), {}, num_candidate_vectors=32) == named


def test_numbers_of_numpy_are_understood_by_position():
    values = [np.float32(GIVEN[name]) if name != "method" else "ifse" for name in WITH_VR_EARLY]
    assert list(run_options(tuple(values), {}, 32)) == list(WITH_VR_EARLY)


def test_both_orders_give_the_same_cells(indexer):
    _, rows = frame()
    arrays = published_spots(rows), published_cells(CELL)
    named, published, early = (
        indexer.run(*arrays, *args, **options)
        for args, options in (
            ((), GIVEN),
            ([GIVEN[name] for name in PUBLISHED], {}),
            ([GIVEN[name] for name in WITH_VR_EARLY], {}),
        )
    )
    for other in (published, early):
        np.testing.assert_array_equal(other[0], named[0])
        np.testing.assert_array_equal(other[1], named[1])


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((1,) * 16, {}, "run has 15 options, 16 were given"),
        (("raw",), {"method": "raw"}, "run got method by position and by name"),
        ((), {"num_halfspheres": 3}, "run has no option num_halfspheres: its options are method, length_threshold"),
    ],
)
def test_a_call_that_cannot_be_meant_is_a_type_error(indexer, args, options, message):
    _, rows = frame()
    with pytest.raises(TypeError, match=message):
        indexer.run(published_spots(rows), published_cells(CELL), *args, **options)


def test_too_many_or_unknown_options_of_an_indexer_are_a_type_error():
    with pytest.raises(TypeError, match="Indexer has 5 options, 6 were given"):
        ffbidx.Indexer(32, 1, 300, 32, True, "cpu")
    with pytest.raises(TypeError, match="Indexer has no option max_cells: its options are max_output_cells"):
        ffbidx.Indexer(max_cells=3)
    with pytest.raises(TypeError, match="got max_output_cells by position and by name"):
        ffbidx.Indexer(32, max_output_cells=32)


def test_crystals_takes_cells_and_scores_by_both_names(indexer):
    _, rows = frame()
    spots = published_spots(rows)
    cells, scores = indexer.run(spots, published_cells(CELL), **QUICK)
    expected = indexer.crystals(cells, spots, scores).tolist()
    assert indexer.crystals(cells=cells, spots=spots, scores=scores).tolist() == expected == [0]
    assert indexer.crystals(cells, spots, scores=scores, threshold=0.00075, min_spots=8).tolist() == expected
    with pytest.raises(TypeError, match="scores and output_scores"):
        indexer.crystals(cells, spots, scores=scores, output_scores=scores)
    assert list(inspect.signature(indexer.crystals).parameters)[:3] == ["output_cells", "spots", "output_scores"]


def test_functions_on_handles_do_what_the_class_does():
    _, rows = frame()
    spots, cell = published_spots(rows), published_cells(CELL)
    handle = ffbidx.indexer(32, 1, 300, 32, True, backend="cpu")
    other = ffbidx.indexer(max_output_cells=4, redundant_computations=True, backend="cpu")
    assert handle != other
    cells, scores = ffbidx.index(handle, spots=spots, input_cells=cell, method="ifssr", **QUICK)
    expected = ffbidx.Indexer(backend="cpu").run(spots, cell, **QUICK)
    np.testing.assert_array_equal(cells, expected[0])
    np.testing.assert_array_equal(scores, expected[1])
    assert ffbidx.index(other, spots, cell, **QUICK)[0].shape == (3, 12)
    ffbidx.release(handle)
    for call in (lambda: ffbidx.index(handle, spots, cell), lambda: ffbidx.release(handle)):
        with pytest.raises(RuntimeError, match="is the handle of no indexer"):
            call()
    assert ffbidx.index(other, spots, cell, **QUICK)[0].shape == (3, 12)
    ffbidx.release(other)


def test_the_runtime_check_passes_where_frames_are_indexed_and_gives_the_reason_elsewhere(monkeypatch):
    assert ffbidx.runtime_check() is None

    def broken(*_, **__):
        raise OSError("no space for kernels")

    monkeypatch.setattr(check.Indexer, "run", broken)
    with pytest.raises(RuntimeError, match="cannot compute here, see `ffbidx doctor`: OSError: no space for kernels"):
        ffbidx.runtime_check()
    monkeypatch.setattr(check.Indexer, "run", lambda *_, **__: (np.zeros((3, 96)), np.zeros(32)))
    with pytest.raises(RuntimeError, match="wrong cells"):
        ffbidx.runtime_check()


def test_a_backend_that_is_not_there_is_a_runtime_error(monkeypatch):
    monkeypatch.setattr("ffbidx_core.backends.cuda.driver.gpu_count", lambda: (0, "none here"))
    with pytest.raises(RuntimeError, match="no GPU backend: none here"):
        ffbidx.Indexer(backend="cuda")
