"""Files that break, change or go away while they are followed."""

import os

import h5py
import numpy as np
import pytest

from ffbidx_core.errors import InputError
from ffbidx_core.model.records.frame import FrameStatus
from ffbidx_core.read.formats.hdf5.native import Hdf5File
from ffbidx_core.read.growing import follow
from ffbidx_core.read.growing.follow import Follower
from tests.helpers.calls import write_spots
from tests.helpers.followed_rows import followed, names_and_indices, ordinary, problems, spots


def test_a_file_that_never_becomes_readable_is_told_in_the_end(clock, tmp_path):
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    clock.at(10, write_spots, tmp_path / "b.h5", [spots(1)])
    found, blocks = followed([tmp_path])
    assert names_and_indices(found) == [("b.h5", 0), ("a.h5", -1)]
    assert blocks[-1].status.tolist() == [FrameStatus.UNREADABLE]
    assert "a.h5: cannot be read as HDF5" in problems(blocks)[0]


def test_a_writer_that_says_nothing_lets_others_go_first(clock, writers, tmp_path):
    a, b = writers("a.h5"), writers("b.h5")
    clock.at(1, a.add, spots(0))
    clock.at(2, a.kill)
    clock.at(5, b.add, spots(1))
    found, blocks = followed([tmp_path], stop_after=100)
    assert names_and_indices(found) == [("a.h5", 0), ("b.h5", 0)]
    assert f"{tmp_path}/a.h5: no new frame for 60 s, the files after it go on" in problems(blocks)


def test_frames_that_come_too_late_are_told(clock, writers, tmp_path):
    """What was written to a file after the next one was begun has no place any more."""
    a, b = writers("a.h5"), writers("b.h5")
    clock.at(1, a.add, spots(0))
    clock.at(5, b.add, spots(1))
    clock.at(80, a.add, spots(2))
    found, blocks = followed([tmp_path], stop_after=100)
    assert names_and_indices(found) == [("a.h5", 0), ("b.h5", 0), ("a.h5", -1)]
    assert problems(blocks)[-1] == f"{tmp_path}/a.h5: has changed since it was indexed: what came later is left out"


def test_a_file_that_is_deleted_once_it_was_read(clock, tmp_path):
    write_spots(tmp_path / "a.h5", [spots(0)])
    clock.at(8, os.unlink, tmp_path / "a.h5")
    clock.at(9, write_spots, tmp_path / "b.h5", [spots(1)])
    clock.at(14, os.unlink, tmp_path / "b.h5")
    follower = Follower([str(tmp_path)], stop_after=20)
    found, blocks = followed([], follower=follower)
    assert names_and_indices(found) == [("a.h5", 0), ("b.h5", 0)]
    assert problems(blocks) == []
    assert all(known.size > 0 for known in follower.inputs)


@pytest.mark.parametrize("suffix", [".h5", ".txt"])
@pytest.mark.parametrize("is_last", [True, False])
def test_a_file_that_is_modified_once_it_was_read(clock, tmp_path, suffix, is_last):
    """As one whose writer paused for too long."""

    def write(n):
        if suffix == ".h5":
            write_spots(tmp_path / "a.h5", [spots(0, n)])
        else:
            np.savetxt(tmp_path / "a.txt", spots(0, n))

    write(4)
    clock.at(8, write, 6)
    if not is_last:
        clock.at(2, write_spots, tmp_path / "b.h5", [spots(1)])
    found, blocks = followed([tmp_path])
    assert [row[1] for row in found] == ([0, -1] if is_last else [0, 0, -1])
    problem = "was written anew after it was indexed" if is_last else "has changed since it was indexed"
    assert problem in problems(blocks)[0]


def test_a_file_that_is_modified_at_the_last_moment(clock, tmp_path):
    write_spots(tmp_path / "a.h5", [spots(0)])
    clock.at(9, lambda: (write_spots(tmp_path / "a.h5", [spots(1)]), (tmp_path / "stop").touch()))
    found, blocks = followed([tmp_path], stop_file=str(tmp_path / "stop"))
    assert [row[1] for row in found] == [0, -1]
    assert "was written anew after it was indexed" in problems(blocks)[0]


def test_a_file_that_has_another_name_for_a_moment(clock, tmp_path):
    """One whose temporary name looks like that of an input."""
    clock.at(3, write_spots, tmp_path / "temporary.h5", [spots(0)])
    clock.at(4, lambda: os.rename(tmp_path / "temporary.h5", tmp_path / "a.h5"))
    found, blocks = followed([tmp_path])
    assert found == ordinary(tmp_path / "a.h5")
    assert problems(blocks) == []


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_file_that_is_written_anew_by_another_run(clock, tmp_path, n):
    """Also when it has more frames then."""
    write_spots(tmp_path / "a.h5", [spots(k) for k in range(3)])
    clock.at(8, write_spots, tmp_path / "a.h5", [spots(10 + k) for k in range(n)])
    found, blocks = followed([tmp_path])
    assert [row[1] for row in found] == [0, 1, 2, -1]
    assert "was written anew after it was indexed" in problems(blocks)[0]


def test_what_cannot_be_read_for_a_moment_is_read_again(clock, writers, tmp_path, monkeypatch):
    """As a chunk that was met while it was being written, whose checksum is wrong."""
    writer, fails = writers("a.h5"), iter([True, False, True, True, False, True, False] + [False] * 1000)
    original = follow.open_spots

    def sometimes(*arguments):
        if next(fails):
            raise InputError("a.h5", "cannot be read as HDF5: checksum")
        return original(*arguments)

    monkeypatch.setattr(follow, "open_spots", sometimes)
    for number in range(4):
        clock.at(number, writer.add, spots(number))
    clock.at(6, writer.close)
    found, blocks = followed([tmp_path])
    assert found == ordinary(tmp_path / "a.h5")
    assert len(found) == 4
    assert problems(blocks) == []


@pytest.mark.parametrize("every", [1, 3])
def test_frames_that_cannot_be_read_for_a_moment_are_read_again(clock, writers, tmp_path, monkeypatch, every):
    """Those before them are not read twice."""
    writer, original, failed = writers("a.h5"), Hdf5File.read, []

    def sometimes(self, wanted):
        yield from original(self, wanted[:2])
        if len(wanted) > 2 and len(failed) < 2:
            failed.append(wanted)
            raise InputError("a.h5", "cannot be read as HDF5: checksum")
        yield from original(self, wanted[2:])

    monkeypatch.setattr(Hdf5File, "read", sometimes)
    writer.add(*map(spots, range(20)))
    clock.at(9, writer.close)
    found, blocks = followed([tmp_path], every=every)
    assert len(failed) == 2
    assert found == ordinary(tmp_path / "a.h5")[::every]
    assert problems(blocks) == []


def test_a_finished_file_that_breaks_in_its_middle(clock, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("spots", data=np.concatenate([spots(k) for k in range(4)]), chunks=(6, 3), fletcher32=True)
        file["spots"].attrs["units"] = "1/angstrom"
        file["offsets"] = np.arange(0, 25, 6)
        at = file["spots"].id.get_chunk_info(2).byte_offset
    image = bytearray((tmp_path / "a.h5").read_bytes())
    image[at] ^= 1
    (tmp_path / "a.h5").write_bytes(image)
    write_spots(tmp_path / "b.h5", [spots(9)])
    found, blocks = followed([tmp_path])
    assert names_and_indices(found) == [("a.h5", 0), ("a.h5", 1), ("a.h5", 2), ("a.h5", 3), ("b.h5", 0)]
    assert len(found[2][2]) == 0
    assert "a.h5, frame 2: cannot be read as HDF5" in problems(blocks)[0]
