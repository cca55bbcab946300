"""Columns and frames of a results file that are read when they are used."""

import h5py
import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.errors import InputError
from ffbidx_core.model.records.results import COLUMNS, Results
from ffbidx_core.read.files.opened_results import FEW, opened
from ffbidx_core.run.sample import EvenSample
from ffbidx_core.run.tally import Tally
from ffbidx_core.write import ResultsWriter
from ffbidx_core.write.results import results_file
from tests.helpers.results_of import CELLS, HEADER, block_of, status_of
from tests.helpers.runs.faults import assert_same

COUNTS = [(3, 2), (0, 0), (1, 1), (2, 0), (4, 3)] * 6


@pytest.fixture
def path(tmp_path):
    writer = ResultsWriter(HEADER)
    block, result = block_of(COUNTS)
    writer.add(block, result, status_of(result), writer.input_rows(CELLS))
    (tmp_path / "x.h5").write_bytes(results_file(writer.results(True), number_names=True))
    return str(tmp_path / "x.h5")


def tallied(results, sample):
    tally = Tally()
    tally.add(results.status, results.n_spots, results, np.arange(len(results.input_cells), dtype=np.int32))
    sample.add(results)
    return tally, sample.frames


@pytest.mark.parametrize("is_own", [False, True])
def test_columns_and_frames_are_those_of_the_whole_file(path, is_own):
    whole = read_results(path)
    with opened(path, is_own=is_own) as results:
        assert results.n_frames == len(COUNTS)
        for name in COLUMNS:
            assert np.array_equal(getattr(results, name), getattr(whole, name)), name
        for chosen in ([4], [0, 2, 7], list(range(1, 2 * FEW + 3, 2))):
            assert_same(results.take(np.array(chosen)), whole.take(np.array(chosen)))
        with pytest.raises(AttributeError, match="colour"):
            results.colour  # noqa: B018


def test_counts_and_samples_are_those_of_results_in_memory(path):
    for most in (3, 40):
        in_memory, expected = tallied(read_results(path), EvenSample(most))
        with opened(path, is_own=True) as results:
            tally, found = tallied(results, EvenSample(most))
        assert tally.summary([], **WORDS).as_dict() | TIMES == in_memory.summary([], **WORDS).as_dict() | TIMES
        assert tally.cell_summary(0, CELLS[0], None, 0) == in_memory.cell_summary(0, CELLS[0], None, 0)
        assert len(found) == len(expected) > 0
        assert_same(Results.joined(found), Results.joined(expected))


WORDS = {"method": "ifssr", "backend": "cpu", "device": "", "output": "", "complete": True}
TIMES = {"seconds": 0, "frames_per_second": 0}


def test_a_file_that_another_program_has_compressed_is_read_as_well(path):
    whole = read_results(path)
    with h5py.File(path, "r+") as file:
        cells = file["cells"][()]
        del file["cells"]
        file.create_dataset("cells", data=cells, chunks=(5, 3, 3), compression="gzip", shuffle=True)
        del file["scores"]
        file["scores"] = whole.scores
    with opened(path, is_own=True) as results:
        assert_same(results.whole(), whole)


@pytest.mark.parametrize("rows", [1, 7])
def test_rows_are_those_of_any_chunks(path, monkeypatch, rows):
    whole = read_results(path)
    monkeypatch.setattr("ffbidx_core.write.results.chunk_rows", lambda column, n: rows)
    with open(path, "wb") as file:
        file.write(results_file(whole, number_names=True))
    with opened(path, is_own=True) as results:
        assert results._dataset("cells").chunks[0] == rows
        assert_same(results.whole(), whole)
        for begin in (0, 3, 8):
            assert_same(results.frames(slice(begin, begin + 9)), whole[begin : begin + 9])


def test_a_file_of_this_program_that_lacks_a_dataset_is_damaged(path):
    with h5py.File(path, "r+") as file:
        del file["cells"]
    with opened(path, is_own=True) as results, pytest.raises(InputError, match="has no dataset /cells"):
        results.cells  # noqa: B018
