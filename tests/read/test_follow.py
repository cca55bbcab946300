"""Input that grows while it is read."""

import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from calls import write_spots
from growing import Writer
from script import Clock
from spot_files import frames

from ffbidx_core.errors import InputError, UsageError
from ffbidx_core.model.frame import FrameStatus, Place
from ffbidx_core.read import Source, follow, read_blocks, watched
from ffbidx_core.read.blocks import START
from ffbidx_core.read.follow import Follower
from ffbidx_core.read.hdf5 import Hdf5File
from ffbidx_core.read.identity import identities
from ffbidx_core.read.inputs import names_to_follow
from ffbidx_core.read.watched import SETTLED, Watched


@pytest.fixture
def clock(monkeypatch):
    return Clock.install(monkeypatch)


@pytest.fixture
def writers(tmp_path):
    """Makes writers of growing files."""
    made = []

    def make(name):
        made.append(Writer(tmp_path / name))
        return made[-1].native()

    yield make
    for writer in made:
        writer.end()


def spots(seed, n=6):
    return np.random.default_rng(seed).uniform(0.05, 0.4, (n, 3)).astype(np.float32)


def rows(blocks):
    """File, index and spots of every frame."""
    return [(Path(source).name, index, found.tobytes()) for source, index, found in frames(blocks)]


def followed(names, *, start=START, follower=None, **options):
    """All rows that come of some names, and the blocks that they came in."""
    ends = {key: options.pop(key) for key in ("stop_file", "stop_after", "leave_out") if key in options}
    follower = follower or Follower(list(map(str, names)), **({"stop_after": 20} | ends))
    blocks = list(read_blocks(follower.sources, follow=follower, start=start, **options))
    return rows(blocks), blocks


def ordinary(*paths):
    """The rows of an ordinary run over finished files."""
    return rows(list(read_blocks([Source(str(path)) for path in paths])))


def names_and_indices(found):
    return [row[:2] for row in found]


def problems(blocks):
    return [problem for block in blocks for problem in block.problems]


def test_frames_come_as_they_are_written(clock, writers, tmp_path):
    writer = writers("a.h5")
    for number in range(10):
        clock.at(3 * number, writer.add, spots(number))
    clock.at(30, writer.close)
    found, blocks = followed([tmp_path / "a.h5"])
    assert found == ordinary(tmp_path / "a.h5")
    assert names_and_indices(found) == [("a.h5", i) for i in range(10)]
    # Each frame by itself, and pauses in between.
    assert [block.n_frames for block in blocks if block.n_frames] == [1] * 10
    assert sum(block.n_frames == 0 for block in blocks) > 30


def test_frames_that_come_quickly_share_blocks(clock, writers, tmp_path):
    writer = writers("a.h5")
    writer.add(*map(spots, range(7)))
    clock.at(5, writer.add, *map(spots, range(7, 10)))
    clock.at(6, writer.close)
    found, blocks = followed([tmp_path / "a.h5"], frames_per_block=4)
    assert [block.n_frames for block in blocks if block.n_frames] == [4, 3, 3]
    assert found == ordinary(tmp_path / "a.h5")


def test_no_frame_waits_long_for_others(clock, writers, tmp_path):
    """Frames that come faster than the pauses wait for one of these at most."""
    writer, came, seen = writers("a.h5"), [], []
    for number in range(40):
        clock.at(0.1 * number, lambda number=number: (writer.add(spots(number)), came.append(clock.now)))
    follower = Follower([str(tmp_path / "a.h5")], stop_after=3)
    for block in read_blocks(follower.sources, follow=follower, frames_per_block=1000):
        seen += [clock.now] * block.n_frames
    assert len(seen) == 40
    # Two looks to be sure of a frame, and a pause.
    assert max(np.subtract(seen, came)) <= 3 * watched.LOOK + follow.LULL + 0.01


def test_a_frame_counts_at_the_second_look(writers, tmp_path):
    writer = writers("a.h5")
    file = Watched(writer.path)
    for number in range(3):
        writer.add(spots(number))
        file.look(None)
        assert file.ready == number
    file.look(None)
    assert file.ready == 3


def test_files_appear_one_by_one(clock, tmp_path):
    """Written under another name and renamed; in the order in which they appear."""
    for number, name in enumerate(("c", "a", "b")):
        def appear(number=number, name=name):
            write_spots(tmp_path / "temporary", [spots(number), spots(10 + number)])
            os.rename(tmp_path / "temporary", tmp_path / f"{name}.h5")
        clock.at(5 * number, appear)
    found, _ = followed([tmp_path])
    assert found == ordinary(*(tmp_path / f"{name}.h5" for name in "cab"))


def test_a_file_that_grows_does_not_overtake_one_that_was_there_before(clock, writers, tmp_path):
    """Although the other has to be left alone for a while first."""
    clock.at(3, write_spots, tmp_path / "b.h5", [spots(0)])
    clock.at(3.5, lambda: writers("a.h5").add(spots(1)))
    assert names_and_indices(followed([tmp_path])[0]) == [("b.h5", 0), ("a.h5", 0)]


def test_files_of_one_look_are_in_the_order_of_their_names(clock, tmp_path):
    for number in (10, 9, 2):
        write_spots(tmp_path / f"run{number}.h5", [spots(number)])
    found, _ = followed([str(tmp_path / "run*.h5")])
    assert names_and_indices(found) == [("run2.h5", 0), ("run9.h5", 0), ("run10.h5", 0)]


@pytest.mark.parametrize("suffix", [".h5", ".txt"])
def test_a_file_that_is_written_slowly_in_its_place(clock, tmp_path, suffix):
    whole = tmp_path / "whole"
    if suffix == ".h5":
        write_spots(whole, [spots(0), spots(1)])
    else:
        np.savetxt(whole, spots(0))
    image = whole.read_bytes()
    there = tmp_path / "d"
    there.mkdir()
    pieces = 12
    for k in range(1, pieces + 1):
        clock.at(k, (there / f"a{suffix}").write_bytes, image[: len(image) * k // pieces])
    # One that is ready sooner does not wait for it.
    clock.at(3, shutil.copy, whole, there / f"b{suffix}")
    found, blocks = followed([there])
    assert found == ordinary(there / f"b{suffix}", there / f"a{suffix}")
    assert problems(blocks) == []


def test_a_file_that_never_becomes_readable_is_told_in_the_end(clock, tmp_path):
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    clock.at(10, write_spots, tmp_path / "b.h5", [spots(1)])
    found, blocks = followed([tmp_path])
    assert names_and_indices(found) == [("b.h5", 0), ("a.h5", -1)]
    assert blocks[-1].status.tolist() == [FrameStatus.UNREADABLE]
    assert "a.h5: cannot be read as HDF5" in problems(blocks)[0]


def test_a_file_that_is_being_written_in_the_end_is_told(clock, tmp_path):
    def grow():
        with open(tmp_path / "a.txt", "a") as file:
            file.write("0.1 0.2 0.3\n")

    for k in range(100):
        clock.at(k, grow)
    found, blocks = followed([tmp_path])
    assert names_and_indices(found) == [("a.txt", -1)]
    assert problems(blocks) == [f"{tmp_path}/a.txt: was still being written when the run ended"]


def test_a_file_may_be_named_before_it_is_there(clock, tmp_path, writers):
    later = []
    clock.at(5, lambda: later.append(writers("a.h5")))
    clock.at(6, lambda: later[0].add(spots(0), spots(1)))
    clock.at(8, lambda: later[0].close())
    clock.at(15, write_spots, tmp_path / "b.h5", [spots(2)])
    found, _ = followed([tmp_path / "b.h5", tmp_path / "a.h5"])
    assert found == ordinary(tmp_path / "a.h5", tmp_path / "b.h5")


def test_what_never_comes_is_told(clock, tmp_path):
    write_spots(tmp_path / "a.h5", [spots(0)])
    found, blocks = followed([tmp_path / "a.h5", tmp_path / "none.h5", tmp_path / "run*.h5"])
    assert names_and_indices(found) == [("a.h5", 0), ("none.h5", -1), ("run*.h5", -1)]
    assert problems(blocks) == [f"{tmp_path}/none.h5: no file came", f"{tmp_path}/run*.h5: no file came"]


def test_the_stop_file_ends_the_input_with_all_that_is_there(clock, writers, tmp_path):
    """Also what came at the last moment, and of a file that still grows what is whole."""
    writer, stop = writers("a.h5"), tmp_path / "stop"
    writer.add(spots(0))

    def last():
        writer.add(spots(1))
        writer("n = len(s); s.resize(n + 10, 0); o.resize(len(o) + 1, 0); o[-1] = len(s); file.flush()")
        write_spots(tmp_path / "b.h5", [spots(2)])
        np.savetxt(tmp_path / "c.txt", spots(3))
        stop.touch()

    clock.at(7, last)
    found, _ = followed([tmp_path], stop_file=str(stop), stop_after=None)
    assert names_and_indices(found) == [("a.h5", 0), ("a.h5", 1), ("b.h5", 0), ("c.txt", 0)]
    assert clock.now < 7 + SETTLED + 2


def test_a_stop_file_that_is_there_already(clock, tmp_path):
    write_spots(tmp_path / "a.h5", [spots(0)])
    (tmp_path / "stop").touch()
    assert followed([tmp_path], stop_file=str(tmp_path / "stop"), stop_after=None)[0] == ordinary(tmp_path / "a.h5")


def test_a_file_that_grows_on_and_on_ends_with_the_input(clock, writers, tmp_path):
    writer = writers("a.h5")
    for number in range(200):
        clock.at(0.1 * number, writer.add, spots(number))
    clock.at(5, (tmp_path / "stop").touch)
    found, _ = followed([tmp_path], stop_file=str(tmp_path / "stop"))
    assert 45 <= len(found) <= 55
    assert clock.now < 7


def test_the_time_to_stop_counts_from_the_last_frame(clock, writers, tmp_path):
    writer = writers("a.h5")
    for number, at in enumerate((1, 9, 17, 40)):
        clock.at(at, writer.add, spots(number))
    assert len(followed([tmp_path], stop_after=10)[0]) == 3
    assert 27 <= clock.now < 30


def test_nothing_comes_at_all(clock, tmp_path):
    assert followed([tmp_path], stop_after=5)[0] == [(tmp_path.name, -1, b"")]
    assert 5 <= clock.now < 7


def test_files_that_grow_at_the_same_time_come_one_after_the_other(clock, writers, tmp_path):
    a, b = writers("a.h5"), writers("b.h5")
    for number in range(6):
        clock.at(number, (a, b)[number % 2].add, spots(number))
    clock.at(9, a.close)
    clock.at(10, b.close)
    found, _ = followed([tmp_path])
    assert found == ordinary(tmp_path / "a.h5", tmp_path / "b.h5")


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


def test_a_file_that_is_opened_again_and_again_by_its_writer(clock, tmp_path):
    """Without SWMR it is read when it was left alone for a while."""
    def add(number):
        with h5py.File(tmp_path / "a.h5", "a") as file:
            if not number:
                file.create_dataset("spots", (0, 3), "f4", maxshape=(None, 3))
                file.create_dataset("offsets", (1,), "i8", maxshape=(None,))
            s, o = file["spots"], file["offsets"]
            s.resize(len(s) + 6, 0)
            s[-6:] = spots(number)
            o.resize(len(o) + 1, 0)
            o[-1] = len(s)

    for number in range(6):
        clock.at(5 * number, add, number)
    found, blocks = followed([tmp_path])
    assert found == ordinary(tmp_path / "a.h5")
    assert len(found) == 6
    assert [block.n_frames for block in blocks if block.n_frames] == [1] * 6
    assert [problem for problem in problems(blocks) if "no attribute units" not in problem] == []


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
    assert names_and_indices(found) == [("a.h5", 0), ("a.h5", 1), ("a.h5", -1), ("b.h5", 0)]
    assert "the rest of the file is left out" in problems(blocks)[0]


def test_spots_may_be_sorted_by_intensity(clock, tmp_path):
    for k in range(3):
        intensity = np.random.default_rng(k).uniform(1, 9, 6)
        clock.at(4 * k, lambda k=k, i=intensity: write_spots(
            tmp_path / f"{k}.h5", [spots(k)], intensity=i, pixel=np.zeros((6, 3)), wavelength=[1.0]))
    found, _ = followed([tmp_path], by_intensity=True)
    sources = [Source(str(tmp_path / f"{k}.h5")) for k in range(3)]
    assert found == rows(read_blocks(sources, by_intensity=True))
    assert found != rows(read_blocks(sources))


def test_a_part_of_the_frames(clock, writers, tmp_path):
    writer = writers("a.h5")
    for number in range(20):
        clock.at(number, writer.add, spots(number))
    found, _ = followed([tmp_path], every=3, max_frames=4)
    assert names_and_indices(found) == [("a.h5", i) for i in (0, 3, 6, 9)]


@pytest.mark.parametrize("at", range(7))
@pytest.mark.parametrize("every", [1, 2])
def test_from_any_place_the_rest_follows(clock, tmp_path, at, every):
    """As after death: the files that were begun are known, whatever has come since."""
    write_spots(tmp_path / "b.h5", [spots(k) for k in range(3)])
    clock.at(5, write_spots, tmp_path / "a.h5", [spots(k) for k in range(3, 5)])
    (tmp_path / "c.h5").write_bytes(b"no spots \xff\0")
    clock.at(9, write_spots, tmp_path / "d.h5", [spots(k) for k in range(5, 7)])
    first = Follower([str(tmp_path)], stop_after=20)
    whole, blocks = followed([], follower=first, every=every)
    assert [name for name, _, _ in whole][-1] == "c.h5"
    if at >= len(whole):
        pytest.skip("there are not so many rows")
    place = [Place(*place) for block in blocks if block.n_frames for place in block.places.tolist()][at]
    again = Follower([str(tmp_path)], stop_after=20)
    again.inputs[:] = first.inputs
    # The first file that can be read now need not be the first one of then.
    assert again.wait(None, lambda text: None) == [Source(str(tmp_path / "a.h5"))]
    assert followed([], follower=again, start=place, every=every)[0] == whole[at + 1 :]
    assert again.inputs == first.inputs


def test_the_inputs_are_what_they_were_when_they_were_read(clock, writers, tmp_path):
    writer = writers("b.h5")
    for number in range(3):
        clock.at(number, writer.add, spots(number))
    clock.at(4, writer.close)
    clock.at(9, write_spots, tmp_path / "c.h5", [spots(5)])
    follower = Follower([str(tmp_path)], stop_after=20)
    followed([], follower=follower)
    assert follower.inputs == identities([Source(str(tmp_path / name)) for name in ("b.h5", "c.h5")])


def test_output_in_a_directory_that_is_followed_is_no_input(clock, tmp_path):
    clock.at(3, write_spots, tmp_path / "x.h5", [spots(0)])
    write_spots(tmp_path / "a.h5", [spots(1)])
    found, _ = followed([tmp_path], leave_out=[str(tmp_path / "x.h5")])
    assert names_and_indices(found) == [("a.h5", 0)]


def test_results_that_are_named_so_are_no_input(clock, tmp_path):
    write_spots(tmp_path / "a.h5", [spots(1)])
    write_spots(tmp_path / "a.ffbidx.h5", [spots(2)])
    assert names_and_indices(followed([tmp_path / "*.h5"])[0]) == [("a.h5", 0)]


def test_lists_name_what_is_followed(tmp_path):
    (tmp_path / "l.lst").write_text("a.h5\n# no\nrun*.h5\n")
    assert names_to_follow([f"@{tmp_path}/l.lst", "d"]) == ["a.h5", "run*.h5", "d"]


@pytest.mark.parametrize("arguments", [["a.h5//3"], ["a.h5", "//3"], ["a.h5 //3"]])
def test_single_frames_are_not_followed(arguments):
    with pytest.raises(UsageError, match=r"--follow and .*//3: .*single frames are not"):
        names_to_follow(arguments)


def test_waiting_for_the_first_file(clock, tmp_path):
    said = []
    (tmp_path / "a.h5").write_bytes(b"no spots \xff\0")
    clock.at(8, write_spots, tmp_path / "b.h5", [spots(1)])
    follower = Follower([str(tmp_path)], stop_after=20)
    assert follower.wait(None, said.append) == [Source(str(tmp_path / "b.h5"))]
    assert said == [
        f"waiting for the first frame of {tmp_path}", f"waiting: {tmp_path}/a.h5: is neither HDF5 nor text"
    ]
    assert names_and_indices(followed([], follower=follower)[0]) == [("b.h5", 0), ("a.h5", -1)]


def test_waiting_in_vain(clock, tmp_path):
    follower = Follower([str(tmp_path)], stop_after=20)
    assert follower.wait(None, lambda text: None) == []
    assert 20 <= clock.now < 21
