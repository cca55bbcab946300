"""The join of the saved parts while the run goes on."""

import errno
import json
import os
import threading

import h5py
import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.errors import BackendUnavailable, OutputError
from ffbidx_core.model.records.doubt import Contest
from ffbidx_core.model.records.run import RunRecord
from ffbidx_core.read.results import results_in_pieces
from ffbidx_core.run import pipeline
from ffbidx_core.write import atomic, growing_file, join
from ffbidx_core.write.outputs import Output
from ffbidx_core.write.parts import store
from tests.helpers.runs.faults import Died, assert_same, dies_after, run, stops_after


@pytest.fixture(autouse=True)
def in_child(monkeypatch):
    monkeypatch.setattr(join, "IN_MEMORY", 0)


@pytest.fixture
def begun(monkeypatch):
    """The children that were started."""
    children = []

    class Noted(join.JoinAhead):
        def __init__(self, temporary):
            super().__init__(temporary)
            children.append(self)

    monkeypatch.setattr(store, "JoinAhead", Noted)
    return children


def test_a_join_beside_the_run_gives_the_results_of_one_after_it(sources, tmp_path, begun, monkeypatch):
    run(sources, tmp_path / "ahead.h5")
    assert [child.n_parts for child in begun] == [7]
    monkeypatch.setattr(join, "IN_MEMORY", 2**30)
    run(sources, tmp_path / "behind.h5")
    assert_same(read_results(tmp_path / "ahead.h5"), read_results(tmp_path / "behind.h5"))
    assert len(begun) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ahead.h5", "behind.h5"]


def test_with_workers_the_child_is_there_before_the_first_part(tmp_path, begun):
    output = Output(str(tmp_path / "x.h5"))
    kept = store.PartsStore([output])
    kept.begin(RunRecord({}, ()))
    assert kept.expect_parts() == kept.expect_parts() == f"{output.path}.parts"
    assert [child.n_parts for child in begun] == [0]
    kept.close()
    assert begun[0]._child.returncode is not None
    assert not list(tmp_path.iterdir())


def test_the_joined_file_goes_to_the_disk_while_the_crystals_are_judged(sources, tmp_path, monkeypatch):
    calls = []

    def noted(owner, name):
        work = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *arguments: (calls.append(name), work(*arguments))[1])

    noted(join.JoinAhead, "end")
    noted(join.JoinAhead, "publish")
    noted(pipeline, "judged")
    run(sources, tmp_path / "x.h5")
    assert calls == ["end", "judged", "publish", "end"]


def test_a_run_that_fails_meanwhile_ends_the_child_and_keeps_the_parts(sources, tmp_path, begun, monkeypatch):
    def fails(*arguments):
        raise BackendUnavailable("the device is gone")

    output = tmp_path / "x.h5"
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "judged", fails)
        with pytest.raises(BackendUnavailable, match="gone"):
            run(sources, output)
    (child,) = begun
    assert child._child.returncode is not None
    assert not list(tmp_path.rglob("*.part"))
    run(sources, output, resume=True)
    run(sources, tmp_path / "wanted.h5")
    assert_same(read_results(output), read_results(tmp_path / "wanted.h5"))


@pytest.mark.parametrize("is_resumed", [False, True], ids=["alone", "beside the child of the resumed run"])
def test_the_child_of_a_run_that_was_killed_removes_its_own_file_only(is_resumed, sources, tmp_path):
    temporary = tmp_path / "joined.part"
    run(sources, tmp_path / "x.h5")
    ahead = join.JoinAhead(str(temporary))
    ahead.add(str(tmp_path / "x.h5"))
    while not temporary.exists():
        assert ahead._child.poll() is None
    if is_resumed:
        temporary.unlink()
        temporary.write_bytes(b"of another child")
    ahead._child.communicate()
    assert ahead._child.returncode == 1
    assert temporary.exists() == is_resumed


def test_a_child_without_parts_makes_no_file(tmp_path):
    ahead = join.JoinAhead(str(tmp_path / "joined.part"))
    ahead._child.communicate()
    assert ahead._child.returncode == 1
    assert not list(tmp_path.iterdir())


def test_text_outputs_name_a_part_that_is_missing(sources, tmp_path, begun, monkeypatch):
    """No child joins the parts, as it would for a results file."""

    def missing(*arguments):
        (tmp_path / "x.csv.parts/000003.h5").unlink()
        return Contest()

    monkeypatch.setattr(pipeline, "judged", missing)
    with pytest.raises(OutputError, match=r"000003\.h5: cannot be read: no such file.*--resume goes on with it"):
        run(sources, tmp_path / "x.csv")
    assert not begun


def test_a_part_that_is_damaged_before_it_is_joined_is_an_error(sources, tmp_path, monkeypatch):
    saved = store.PartsFolder.save

    def damaged(folder, image, mark, inputs):
        saved(folder, image, mark, inputs)
        with open(folder.parts[0], "r+b") as file:
            file.seek(2000)
            file.write(b"damage")

    monkeypatch.setattr(store.PartsFolder, "save", damaged)
    with pytest.raises(OutputError, match=r"000000\.h5: is damaged, its checksum is wrong"):
        run(sources, tmp_path / "x.h5")


@pytest.mark.parametrize("at_once", [1, 5, 100])
def test_the_joined_file_does_not_depend_on_the_division_into_pieces(sources, tmp_path, monkeypatch, at_once):
    """Chunks of a few rows are filled, and left over, in every column."""
    run(sources, tmp_path / "whole.h5")
    monkeypatch.setattr(growing_file, "FRAMES_AT_ONCE", 4)
    monkeypatch.setattr(growing_file, "chunk_rows", lambda column, n: 3)

    def written(name, at_once):
        with h5py.File(tmp_path / name, "w", libver="earliest") as file:
            growing = growing_file.GrowingFile(file)
            for piece in results_in_pieces(tmp_path / "whole.h5", at_once):
                growing.add(piece)
            growing.end()
        return (tmp_path / name).read_bytes()

    assert written("a.h5", at_once) == written("b.h5", 3)
    with h5py.File(tmp_path / "a.h5") as file, h5py.File(tmp_path / "whole.h5") as whole:
        for name in ("frame/id", "crystal_offsets", "crystals", "cells", "input_cells", "learned_cells"):
            np.testing.assert_array_equal(file[name][()], whole[name][()])


class FileSystems:
    """The system's calls, for which each directory is a file system of its own."""

    def __getattr__(self, name):
        call = getattr(os, name)
        if name not in ("link", "rename", "replace"):
            return call

        def within_one(source, target):
            if os.path.dirname(os.path.realpath(source)) != os.path.dirname(os.path.realpath(target)):
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            call(source, target)

        return within_one


def test_each_output_may_be_on_a_file_system_of_its_own(sources, tmp_path, monkeypatch):
    run(sources, tmp_path / "wanted.h5")
    outputs = [tmp_path / "text/x.csv", tmp_path / "one/x.h5", tmp_path / "two/x.h5"]
    for output in outputs:
        output.parent.mkdir()
    monkeypatch.setattr(atomic, "_system", FileSystems())
    stop = threading.Event()
    run(sources, *outputs, stop=stop, progress=stops_after(3, stop))
    assert not read_results(outputs[1]).complete
    with pytest.raises(Died):
        run(sources, *outputs, resume=True, progress=dies_after(2))
    run(sources, *outputs, resume=True)
    for output in outputs[1:]:
        assert_same(read_results(output), read_results(tmp_path / "wanted.h5"))
    names = sorted(path.name for path in tmp_path.glob("*/*"))
    assert names == ["x.csv", "x.csv.toml", "x.h5", "x.h5"]


@pytest.mark.parametrize("option", ["resume", "overwrite"])
def test_the_joined_file_of_a_run_that_was_killed_is_removed(sources, tmp_path, monkeypatch, option):
    """The machine has stopped, and with it the child that would have removed the file."""
    outputs = [tmp_path / "x.csv", tmp_path / "there/x.h5"]
    outputs[1].parent.mkdir()
    with pytest.raises(Died):
        run(sources, *outputs, progress=dies_after(4))
    head = json.loads((tmp_path / "x.csv.parts/ledger.jsonl").read_text().splitlines()[0])
    left = outputs[1].with_name(head["unfinished"])
    left.write_bytes(b"joined")
    monkeypatch.setattr(join, "IN_MEMORY", 2**30)
    run(sources, *outputs, **{option: True})
    assert not left.exists()
    assert [path.name for path in outputs[1].parent.iterdir()] == ["x.h5"]
