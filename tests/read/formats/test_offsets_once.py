"""The offsets of a spot file are checked once in a process, and again if the file is written anew."""

import os

import h5py
import pytest

from ffbidx_core.errors import InputError
from ffbidx_core.read.formats.hdf5 import offsets
from ffbidx_core.read.formats.open import open_spots


def write(path, bounds):
    with h5py.File(path, "w") as file:
        file.create_dataset("spots", (6, 3), "f4").attrs["units"] = "1/angstrom"
        file["offsets"] = bounds


def test_a_file_is_checked_once(tmp_path, monkeypatch):
    path, checked = tmp_path / "spots.h5", []
    check = offsets.check_offsets
    monkeypatch.setattr(offsets, "check_offsets", lambda *given: checked.append(given[0]) or check(*given))
    write(path, [0, 2, 6])
    for _ in range(3):
        open_spots(str(path)).close()
    assert checked == [str(path)]


def test_a_file_that_was_written_anew_is_checked_again(tmp_path):
    path = tmp_path / "spots.h5"
    write(path, [0, 2, 6])
    open_spots(str(path)).close()
    before = os.stat(path)
    with h5py.File(path, "r+") as file:
        file["offsets"][...] = [0, 7, 6]
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert os.stat(path).st_size == before.st_size
    with pytest.raises(InputError, match=r"frame 0: it claims|frame 1: its spots begin outside"):
        open_spots(str(path))


def test_wrong_offsets_are_refused_each_time(tmp_path):
    path = tmp_path / "spots.h5"
    write(path, [0, 4, 2])
    for _ in range(2):
        with pytest.raises(InputError, match="frame 1: its offsets run backwards"):
            open_spots(str(path))
