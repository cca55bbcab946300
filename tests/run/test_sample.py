"""The even sample of the frames on which a run found crystals."""

import numpy as np
import pytest

from ffbidx_core.model.records.frame import FrameStatus
from ffbidx_core.model.records.reason import Rung
from ffbidx_core.model.records.results import COLUMNS, Results, ResultsHeader
from ffbidx_core.run.sample import EvenSample

N = 100


@pytest.fixture(scope="module")
def results():
    """Frames whose index is their number; every third is not indexed, and every seventh only at another try."""
    arrays = {name: column.filled(0) for name, column in COLUMNS.items()}
    arrays |= {name: column.filled(N) for name, column in COLUMNS.items() if column.rows == "frames"}
    arrays |= {name: column.filled(N + 1) for name, column in COLUMNS.items() if column.rows == "frames + 1"}
    numbers = np.arange(N)
    arrays["index"] = numbers
    arrays["status"] = np.where(numbers % 3 == 0, FrameStatus.NOT_INDEXED, FrameStatus.INDEXED).astype("u1")
    arrays["rung"] = np.where(numbers % 7 == 0, Rung.FIRST_TRY + 1, Rung.FIRST_TRY).astype("u1")
    return Results(header=ResultsHeader("", "", "{}", "", ""), complete=False, **arrays)


def chosen(results, most, at_once):
    sample = EvenSample(most)
    for begin in range(0, N, at_once):
        sample.add(results[begin : begin + at_once])
    return [int(frame.index[0]) for frame in sample.frames]


@pytest.mark.parametrize("at_once", [1, 7, 30])
@pytest.mark.parametrize("most", [0, 1, 2, 5, 8])
def test_the_sample_does_not_depend_on_the_division(results, most, at_once):
    assert chosen(results, most, at_once) == chosen(results, most, N)


def test_a_sample_is_even_and_has_only_frames_indexed_at_the_first_try(results):
    indexed = [number for number in range(N) if number % 3 and number % 7]
    assert chosen(results, N, N) == indexed
    positions = [indexed.index(number) for number in chosen(results, 8, 10)]
    assert len(positions) == 8
    assert set(np.diff(positions)) <= {4, 8}
    assert positions[-1] >= len(indexed) - 12


def test_frames_of_further_tries_serve_if_there_are_no_others(results):
    further = [number for number in range(0, N, 7) if number % 3]
    assert chosen(results.take(np.arange(0, N, 7)), N, N) == further
    assert chosen(results.take(np.array([1, *range(0, N, 7)])), N, N) == [1]
    assert chosen(results.take(np.array([*range(0, N, 7), 1])), N, 5) == [1]
    for at_once in (1, 3, N):
        assert chosen(results.take(np.array(further)), 2, at_once) == chosen(results.take(np.array(further)), 2, N)
