"""Results by frames: from memory and from a file, of which no more is read; as data frames."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from ffbidx_core import open_results, read_results
from ffbidx_core.errors import InputError, ParameterError, UsageError
from ffbidx_core.model.records.frame import FrameStatus
from ffbidx_core.model.records.results import COLUMNS
from ffbidx_core.write import ResultsWriter
from ffbidx_core.write.results import results_file
from tests.helpers.results_of import CELLS, HEADER, block_of, status_of
from tests.helpers.runs.faults import assert_same


@pytest.fixture
def path(tmp_path: Path) -> Path:
    writer = ResultsWriter(HEADER)
    rows = writer.input_rows(CELLS)
    for block, result in (block_of([(3, 2), (0, 0), (1, 1)]), block_of([(2, 0), (4, 3)], "b.txt", seed=1)):
        writer.add(block, result, status_of(result), rows)
    (tmp_path / "x.h5").write_bytes(results_file(writer.results(True)))
    return tmp_path / "x.h5"


@pytest.mark.parametrize("frames", [slice(1, 4), slice(None), slice(0, 0), slice(4, 2), slice(0, 5, 2), slice(-2, 99)])
def test_slices_of_a_file_are_those_of_the_results_in_memory(path: Path, frames: slice) -> None:
    whole, lazy = read_results(path), open_results(path)
    numbers = range(5)[frames]
    assert_same(lazy[frames], whole[frames])
    assert whole[frames].n_frames == len(numbers)
    assert whole[frames].index.tolist() == [whole.index[number] for number in numbers]
    for number, part in zip(numbers, whole[frames], strict=True):
        own = whole.crystals[whole.crystal_offsets[number] : whole.crystal_offsets[number + 1]]
        assert np.array_equal(part.cells[part.crystals], whole.cells[own])


def test_one_frame_and_frames_that_are_not_there(path: Path) -> None:
    for results in (read_results(path), open_results(path)):
        assert (results[4].n_frames, results[-1].index.tolist()) == (1, results[4].index.tolist())
        assert len(list(results)) == len(results) == 5
        for number in (5, -6):
            with pytest.raises(IndexError, match="of 5 frames"):
                results[number]
        with pytest.raises(IndexError, match="in their order"):
            results[::-1]


def test_a_file_has_every_attribute_of_results(path: Path) -> None:
    whole, lazy = read_results(path), open_results(path)
    for name in (*COLUMNS, "header", "complete", "n_frames", "frame_of_crystal"):
        assert np.array_equal(getattr(lazy, name), getattr(whole, name)), name
    assert_same(lazy.read(), whole)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = lazy.nonsense
    assert repr(lazy) == repr(whole).replace("<Results", f"<ResultsFile {path}")


def test_a_slice_reads_no_more_than_it_needs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    n_read: dict[str, int] = {}
    read = h5py.Dataset.__getitem__

    def counted(dataset, rows):
        values = read(dataset, rows)
        n_read[dataset.name] = n_read.get(dataset.name, 0) + np.size(values)
        return values

    lazy = open_results(path)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", counted)
    lazy[2]
    assert n_read["/cells"] == 9
    assert n_read["/cell_offsets"] == 2
    assert n_read["/frame/index"] == 1


def test_a_file_that_has_changed_is_not_read_on(path: Path) -> None:
    lazy = open_results(path)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(InputError, match="has changed since it was opened"):
        lazy[0]


def test_files_that_hold_no_results_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("1 2 3\n")
    with pytest.raises(InputError, match="is text"):
        open_results(tmp_path / "x.txt")
    with h5py.File(tmp_path / "y.h5", "w"):
        pass
    with pytest.raises(InputError, match="is not a results file"):
        open_results(tmp_path / "y.h5")


def test_data_frames_have_a_row_for_each_crystal_or_frame(path: Path) -> None:
    whole = read_results(path)
    crystals = open_results(path).to_pandas()
    assert len(crystals) == len(whole.crystals)
    assert crystals["frame"].tolist() == whole.frame_of_crystal.tolist()
    assert crystals["crystal"].tolist() == [0, 1, 0, 0, 1, 2]
    assert np.array_equal(crystals[["a", "b", "c", "alpha", "beta", "gamma"]], whole.crystal_parameters)
    assert np.array_equal(crystals["score"], whole.scores[whole.crystals])
    assert np.array_equal(crystals["rmsd"], whole.rmsd)
    frames = whole.to_pandas("frames")
    assert frames["n_crystals"].tolist() == [2, 0, 1, 0, 3]
    assert frames["status"].tolist() == [FrameStatus(int(status)).name.lower() for status in whole.status]
    with pytest.raises(ParameterError, match="one of crystals, frames"):
        whole.to_pandas("cells")


def test_without_pandas_the_extra_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"pip install 'ffbidx\[pandas\]'"):
        read_results(path).to_pandas()
