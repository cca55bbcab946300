"""What is followed, from its first frame to its end."""

import numpy as np
import pytest

from ffbidx_core.errors import UsageError
from ffbidx_core.model.records.frame import Place
from ffbidx_core.model.records.run import RunRecord
from ffbidx_core.read import Source
from ffbidx_core.read.files.identity import identities
from ffbidx_core.read.files.inputs import names_to_follow
from ffbidx_core.read.growing.follow import Follower
from ffbidx_core.read.growing.watched import SETTLED
from tests.helpers.calls import write_spots
from tests.helpers.followed_rows import followed, names_and_indices, ordinary, problems, spots


def test_a_file_that_is_being_written_in_the_end_is_told(clock, tmp_path):
    def grow():
        with open(tmp_path / "a.txt", "a") as file:
            file.write("0.1 0.2 0.3\n")

    for k in range(100):
        clock.at(k, grow)
    found, blocks = followed([tmp_path])
    assert names_and_indices(found) == [("a.txt", -1)]
    assert problems(blocks) == [f"{tmp_path}/a.txt: was still being written when the run ended"]


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
    again.take_up(first.inputs)
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
    assert said == [f"waiting for the first frame of {tmp_path}", f"waiting: {tmp_path}/a.h5: is neither HDF5 nor text"]
    assert names_and_indices(followed([], follower=follower)[0]) == [("b.h5", 0), ("a.h5", -1)]


def test_waiting_in_vain(clock, tmp_path):
    follower = Follower([str(tmp_path)], stop_after=20)
    assert follower.wait(None, lambda text: None) == []
    assert 20 <= clock.now < 21


def test_what_a_follower_gave_stays_as_it_was(clock, tmp_path):
    """Its inputs are handed over by value: a run's record is no window on what the follower does next."""
    write_spots(tmp_path / "a.h5", [spots(0)])
    clock.at(5, write_spots, tmp_path / "b.h5", [spots(1)])
    follower = Follower([str(tmp_path)], stop_after=20)
    record = RunRecord({}, follower.inputs, growing=True)
    followed([], follower=follower)
    assert (len(record.inputs), len(follower.inputs), len(follower.sources)) == (0, 2, 2)
    begun = list(follower.inputs)
    again = Follower([str(tmp_path)], stop_after=20)
    again.take_up(begun)
    taken = again.inputs
    begun.clear()
    assert again.inputs == taken == follower.inputs
    followed([], follower=again)
    assert len(taken) == 2
