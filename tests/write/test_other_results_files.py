"""Files that are no results files, are damaged, or were written by older versions."""

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.errors import InputError
from ffbidx_core.read.results import results_in_pieces
from ffbidx_core.write.results import results_file
from tests.helpers.results_of import opened, writer_of


def poked(change: Callable[[h5py.File], object]) -> bytes:
    image = io.BytesIO(writer_of().to_bytes(True))
    with h5py.File(image, "r+") as file:
        change(file)
    return image.getvalue()


def write(path: str, value: object) -> Callable[[h5py.File], None]:
    return lambda file: file[path].write_direct(np.asarray(value, file[path].dtype))


def replace(path: str, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[path]
        file[path] = value

    return change


BAD = {
    "no results file": (lambda f: f.attrs.__delitem__("format"), "is not a results file"),
    "newer": (lambda f: f.attrs.__setitem__("format_version", 2), "has the format version 2; this program reads 1"),
    "no method": (lambda f: f.attrs.__delitem__("method"), "lacks the attribute method"),
    "no scores": (lambda f: f.__delitem__("scores"), "has no dataset /scores"),
    "no sources": (lambda f: f.__delitem__("frame"), "has no dataset /frame/source"),
    "wrong shape": (replace("cells", np.zeros((9, 9))), "/cells: has the shape"),
    "too few": (replace("scores", np.zeros(9)), "/scores: has 9 rows, expected 10"),
    "backwards": (write("cell_offsets", [0, 3, 3, 2, 6, 10]), "/cell_offsets: does not rise from 0"),
    "beyond": (write("crystals", [0, 1, 3, 6, 7, 10]), "/crystals: has numbers outside 0 to 9"),
    "no such cell": (write("input_cell", [2] * 10), "/input_cell: has numbers outside 0 to 1"),
    "no such reason": (write("frame/reason", [9] * 5), "/frame/reason: has numbers outside 0 to 8"),
    "no such rung": (write("frame/rung", [4] * 5), "/frame/rung: has numbers outside 0 to 3"),
    "no such status": (write("frame/status", [5] * 5), "/frame/status: has numbers outside 0 to 4"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_results_file_says_why(tmp_path: Path, name: str) -> None:
    change, problem = BAD[name]
    path = tmp_path / "r.h5"
    path.write_bytes(poked(change))
    with pytest.raises(InputError, match=problem) as caught:
        read_results(path)
    assert str(caught.value).startswith(str(path))


def test_files_of_versions_without_reasons_are_read(tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        del file["frame/reason"], file["frame/rung"]

    path = tmp_path / "r.h5"
    path.write_bytes(poked(change))
    results, wanted = read_results(path), writer_of().results(True)
    assert results.reason is None
    assert results.rung is None
    np.testing.assert_array_equal(results.status, wanted.status)
    assert results_file(results) == results_file(dataclasses.replace(wanted, reason=None, rung=None))


def test_a_file_of_a_program_that_did_not_know_false_crystals_is_read(tmp_path: Path) -> None:
    def forget(file: h5py.File) -> None:
        del file["crystal/log10_false"], file["crystal/n_expected"], file["crystal/resolution"]

    path = tmp_path / "old.h5"
    path.write_bytes(poked(forget))
    (piece, *more) = results_in_pieces(str(path), 3)
    for results, n in ((read_results(path), 6), (piece, 3)):
        for values in (results.log10_false, results.n_expected, results.resolution):
            assert values.shape == (n,)
            assert np.isnan(values).all()
    assert [len(part.crystals) for part in more] == [3]


@pytest.mark.parametrize("dataset", ["cells", "scores", "crystals", "frame/status", "frame/reason", "crystal/rmsd"])
def test_a_flipped_byte_is_an_error_and_no_number(tmp_path: Path, dataset: str) -> None:
    image = bytearray(writer_of().to_bytes(True))
    with opened(bytes(image)) as file:
        image[file[dataset].id.get_chunk_info(0).byte_offset] ^= 1
    path = tmp_path / "r.h5"
    path.write_bytes(image)
    with pytest.raises(InputError, match=f"/{dataset}: cannot be read as HDF5"):
        read_results(path)


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("# source\n")
    (tmp_path / "cut.h5").write_bytes(writer_of().to_bytes(True)[:-1000])
    problems = {"r.txt": "is text", "no.h5": "no such file", "cut.h5": "truncated", "": "is a directory"}
    for name, problem in problems.items():
        with pytest.raises(InputError, match=problem):
            read_results(tmp_path / name)
