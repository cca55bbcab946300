"""Runs from Python: from arrays and from files, to memory and to outputs, with events and stops."""

import threading
from pathlib import Path

import numpy as np
import pytest

import ffbidx_core
from ffbidx_core import RunRequest, index, index_iter, read_results
from ffbidx_core.errors import ArrayError, CellError, NothingProcessed, ParameterError, UsageError
from ffbidx_core.model.records.frame import FrameStatus
from tests.helpers.calls import write_spots
from tests.helpers.frames import CELL, frame
from tests.helpers.runs.faults import assert_same

FRAMES = [frame(number)[1] for number in range(4)]
QUICK = {"backend": "cpu", "parameters": {"learn_cell": 0, "num_halfsphere_points": 4096}}


def request(**changes: object) -> RunRequest:
    return RunRequest(**({"spots": FRAMES, "cells": CELL} | QUICK | changes))


@pytest.fixture(scope="module")
def results():
    return index(request())


def test_arrays_give_what_a_file_gives(results, tmp_path: Path) -> None:
    path = write_spots(tmp_path / "spots.h5", FRAMES)
    of_file = index(request(spots=None, inputs=path))
    of_one_array = index(request(spots=np.concatenate(FRAMES), offsets=np.cumsum([0, *map(len, FRAMES)])))
    assert results.summary.indexed == 4
    assert set(results.source) == {"memory"}
    for found in (of_file, of_one_array):
        assert np.array_equal(found.cells, results.cells)
        assert np.array_equal(found.crystal_parameters, results.crystal_parameters)
        assert found.index.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("changes", [{"beam_shift": (3.0, -2.0)}, {"every": 2, "max_frames": 1}, {"d_min": 4.0}])
def test_frames_of_arrays_are_chosen_and_shifted_as_those_of_files(results, tmp_path: Path, changes: dict) -> None:
    path = write_spots(tmp_path / "spots.h5", FRAMES)
    found, wanted = index(request(**changes)), index(request(spots=None, inputs=path, **changes))
    for name in ("index", "n_spots", "cells", "crystals"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name)), name
    assert not np.array_equal(found.n_indexed, results.n_indexed)


def test_a_results_file_holds_what_stays_in_memory_otherwise(results, tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    written = index(request(outputs=path))
    assert_same(read_results(path), results.results)
    assert np.array_equal(written.crystal_parameters, results.crystal_parameters)
    assert_same(written[1:3], results[1:3])


@pytest.mark.parametrize("size", [1, 3])
def test_every_event_comes_and_the_results_after_them(results, size: int) -> None:
    called: list[int] = []
    index(request(batch_size=size), progress=lambda event: called.append(event.frames))
    under_way = index_iter(request(batch_size=size))
    assert [event.frames for event in under_way] == called
    assert called[-1] == 4
    assert_same(under_way.results.results, results.results)


def test_the_results_of_steps_are_those_of_the_whole_run_although_events_are_left(results) -> None:
    assert_same(index_iter(request()).results.results, results.results)


def test_a_run_that_is_stopped_has_what_is_finished() -> None:
    stop = threading.Event()
    found = index(request(batch_size=1), progress=lambda event: stop.set(), stop=stop)
    assert not found.complete
    assert 0 < found.n_frames < 4
    at_once = threading.Event()
    at_once.set()
    assert index(request(), stop=at_once).n_frames == 0


def test_a_run_that_is_closed_has_what_is_finished() -> None:
    with index_iter(request(spots=FRAMES * 50, batch_size=1)) as under_way:
        next(under_way)
    assert under_way.stop.is_set()
    assert 0 < under_way.results.n_frames < 200
    assert not under_way.results.complete


def test_a_run_that_never_began_has_no_results() -> None:
    with index_iter(request()) as under_way:
        pass
    with pytest.raises(UsageError, match="before it began"):
        _ = under_way.results


def test_a_loop_that_is_left_leaves_the_run_going(results) -> None:
    under_way = index_iter(request(batch_size=1))
    for _ in under_way:
        break
    assert_same(under_way.results.results, results.results)


def test_errors_of_a_run_in_steps_come_with_its_events() -> None:
    with pytest.raises(UsageError, match="give cells"):
        next(index_iter(request(cells=())))


def test_a_spot_that_is_not_finite_costs_its_frame_only() -> None:
    bad = FRAMES[1].copy()
    bad[3, 1] = np.nan
    found = index(request(spots=[FRAMES[0], bad, FRAMES[2]]))
    assert found.status.tolist() == [FrameStatus.INDEXED, FrameStatus.BAD_SPOTS, FrameStatus.INDEXED]
    assert any("memory, frame 1: spot 3" in problem for problem in found.summary.problems)
    with pytest.raises(NothingProcessed, match="memory, frame 0"):
        index(request(spots=[bad]))


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"spots": FRAMES[0].T}, ArrayError, r"spots has the shape \(3, \d+\); expected \(n, 3\).*transpose"),
        ({"spots": [FRAMES[0], np.zeros((4, 2))]}, ArrayError, r"spots\[1\] has the shape \(4, 2\)"),
        ({"spots": [["a", "b", "c"]]}, ArrayError, "spots.0. has the type <U1; expected an array of real numbers"),
        ({"spots": [[[1j, 0, 0]]]}, ArrayError, "the type complex128"),
        ({"spots": 3.0}, ArrayError, "spots has a float; expected an"),
        ({"spots": FRAMES[0], "offsets": [0, 3]}, ArrayError, r"offsets has 0 to 3; expected 0 to \d+"),
        ({"spots": FRAMES[0], "offsets": [0.0, len(FRAMES[0])]}, ArrayError, "offsets has the type float64"),
        ({"spots": FRAMES[0], "offsets": [0, 5, 3, len(FRAMES[0])]}, ArrayError, "a decrease after frame 1"),
        ({"offsets": [0, 3], "spots": None}, UsageError, "give spots with them"),
        ({"spots": None}, UsageError, "nothing to index"),
        ({"inputs": "x.h5"}, UsageError, "inputs and spots"),
        ({"distance": 100.0}, UsageError, "distance and spots: spots in arrays have no pixels"),
        ({"dask": "local:2", "outputs": "x.h5"}, UsageError, "dask and spots: the workers"),
        ({"cells": np.eye(4)}, ArrayError, r"cells\[0\] has the shape \(4, 4\); expected rows a, b, c"),
        ({"cells": [np.full((3, 3), np.nan)]}, CellError, r"cells\[0\]: "),
        ({"cells": np.zeros((3, 3))}, CellError, r"cells\[0\]: "),
        ({"resume": True}, UsageError, "resume goes with a results file"),
        ({"parameters": {"searchs": 2}}, ParameterError, "no such parameter"),
        ({"parameters": {"searches": 0}}, ParameterError, "at least 1"),
        ({"every": 0}, ParameterError, "every = 0 is out of range: at least 1"),
        ({"d_min": 5.0, "d_max": 3.0}, ParameterError, "d_min = 5.0 is out of range: below d_max = 3"),
        ({"keep": "some"}, ParameterError, "one of crystals, all"),
    ],
)
def test_what_cannot_be_asked_says_what_was_given_and_what_is_wanted(changes, error, says) -> None:
    with pytest.raises(error, match=says):
        index(request(**changes))


def test_cells_in_all_their_forms(results) -> None:
    parameters = [float(value) for value in results.summary.cells[0].given]
    for cells in (CELL[None], [CELL], parameters, np.array(parameters), ",".join(map(str, parameters))):
        assert index(request(cells=cells)).summary.indexed == 4


def test_a_run_from_arrays_records_its_options(tmp_path: Path) -> None:
    request(outputs=tmp_path / "x.h5").check()
    options = request(outputs=tmp_path / "x.h5", d_min=2.5).options(["memory"])
    assert options["inputs"] == ["memory"]
    assert options["output"] == [str(tmp_path / "x.h5")]
    assert (options["d-min"], options["learn-cell"], options["preset"]) == (2.5, 0, "best")
    assert [float(v) for v in options["cell"][0].split(",")] == CELL.ravel().tolist()
    assert not {"overwrite", "resume", "shard", "dask", "max-output-cells"} & set(options)


def test_results_are_short_in_words(results, tmp_path: Path) -> None:
    assert repr(results) == "<RunResults: 4 frames, 4 indexed, 4 crystals>"
    assert repr(results.results).startswith("<Results: 4 frames, 4 indexed, 4 crystals, ifssr on ")
    assert len(results) == 4


def test_outputs_that_python_does_not_read_are_said_so(tmp_path: Path) -> None:
    found = index(request(outputs=tmp_path / "x.txt"))
    assert found.summary.indexed == 4
    with pytest.raises(UsageError, match="name a results file"):
        _ = found.cells


def test_the_package_offers_its_doors() -> None:
    assert set(ffbidx_core.__all__) == {"RunRequest", "index", "index_iter", "open_results", "read_results"}
    assert all(getattr(ffbidx_core, name).__doc__ for name in ffbidx_core.__all__)
