"""Input that grows while it is read."""

import os
import shutil

import h5py
import numpy as np
import pytest

from ffbidx_core.read import Source, read_blocks
from ffbidx_core.read.growing import follow, watched
from ffbidx_core.read.growing.follow import Follower
from ffbidx_core.read.growing.watched import Watched
from tests.helpers.calls import write_spots
from tests.helpers.followed_rows import followed, names_and_indices, ordinary, problems, rows, spots


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


def test_a_file_may_be_named_before_it_is_there(clock, tmp_path, writers):
    later = []
    clock.at(5, lambda: later.append(writers("a.h5")))
    clock.at(6, lambda: later[0].add(spots(0), spots(1)))
    clock.at(8, lambda: later[0].close())
    clock.at(15, write_spots, tmp_path / "b.h5", [spots(2)])
    found, _ = followed([tmp_path / "b.h5", tmp_path / "a.h5"])
    assert found == ordinary(tmp_path / "a.h5", tmp_path / "b.h5")


def test_files_that_grow_at_the_same_time_come_one_after_the_other(clock, writers, tmp_path):
    a, b = writers("a.h5"), writers("b.h5")
    for number in range(6):
        clock.at(number, (a, b)[number % 2].add, spots(number))
    clock.at(9, a.close)
    clock.at(10, b.close)
    found, _ = followed([tmp_path])
    assert found == ordinary(tmp_path / "a.h5", tmp_path / "b.h5")


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


def test_spots_may_be_sorted_by_intensity(clock, tmp_path):
    for k in range(3):
        intensity = np.random.default_rng(k).uniform(1, 9, 6)
        clock.at(
            4 * k,
            lambda k=k, i=intensity: write_spots(
                tmp_path / f"{k}.h5", [spots(k)], intensity=i, pixel=np.zeros((6, 3)), wavelength=[1.0]
            ),
        )
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
