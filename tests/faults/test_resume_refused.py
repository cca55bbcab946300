"""Only the run that stopped is taken up: what has changed is refused, and nothing is touched."""

import json
import os
import threading
import zlib

import h5py
import pytest

from ffbidx_core.errors import OutputError, UsageError
from ffbidx_core.model.records.run import Mark, RunRecord
from ffbidx_core.read import Source
from ffbidx_core.write import Output, PartsStore, join
from ffbidx_core.write.ledger import Ledger
from ffbidx_core.write.merge import merge
from ffbidx_core.write.parts import folder
from ffbidx_core.write.parts.folder import save_part
from tests.helpers.runs.faults import QUICK, Died, dies_after, make_inputs, run, stops_after


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"parameters": QUICK.replace(max_spots=30)}, "max_spots was 40, is 30 now"),
        ({"max_frames": 7}, "max_frames was None, is 7 now"),
        ({"d_min": 3.0}, "d_min was None, is 3.0 now"),
        ({"keep_all": True}, "keep_all was False, is True now"),
        ({"cells": None}, "cells is not what it was"),
        ({"backend": "reference"}, "backend was cpu, is reference now"),
    ],
)
@pytest.mark.parametrize("stopped", [False, True])
def test_another_run_is_refused(sources, tmp_path, changes, says, stopped):
    output, stop = tmp_path / "x.h5", threading.Event()
    if stopped:
        run(sources, output, stop=stop, progress=stops_after(2, stop))
    else:
        with pytest.raises(Died):
            run(sources, output, progress=dies_after(4))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    with pytest.raises(UsageError, match=says):
        run(sources, output, resume=True, **changes)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()} == before


def test_another_version_is_refused(sources, tmp_path, monkeypatch):
    output = tmp_path / "x.h5"
    with pytest.raises(Died):
        run(sources, output, progress=dies_after(4))
    monkeypatch.setattr("ffbidx_core.run.job.VERSION", "9.9")
    with pytest.raises(UsageError, match=r"ffbidx_version was .*, is 9\.9 now; --overwrite starts it again"):
        run(sources, output, resume=True)


def test_changed_inputs_are_refused(tmp_path):
    sources = make_inputs(tmp_path)
    output = tmp_path / "x.h5"
    with pytest.raises(Died):
        run(sources, output, progress=dies_after(4))
    for changed, says in (
        (sources[:3], "the number of inputs was 4, is 3 now"),
        ([sources[0], sources[2], sources[1], sources[3]], r"input 1 was .*not-there.h5, is .*1.h5 now"),
        ([*sources[:3], Source(sources[3].path, 1)], r"input 3 was .*2.h5, is .*2.h5//1 now"),
    ):
        with pytest.raises(UsageError, match=says):
            run(changed, output, resume=True)
    with h5py.File(sources[2].path, "r+") as file:
        file["spots"][7, 1] += 0.01
    with pytest.raises(UsageError, match=r"the input .*1.h5 has changed: its size is the same, but not its content"):
        run(sources, output, resume=True)
    with open(sources[2].path, "ab") as file:
        file.write(b"x")
    with pytest.raises(UsageError, match=r"the input .*1.h5 has changed: \d+ bytes then, \d+ now"):
        run(sources, output, resume=True)


def test_a_ledger_without_hashes_is_compared_by_time(tmp_path):
    sources = make_inputs(tmp_path)
    output = tmp_path / "x.h5"
    with pytest.raises(Died):
        run(sources, output, progress=dies_after(4))
    path = tmp_path / "x.h5.parts/ledger.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if "input" in line:
            del line["input"][4]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.utime(sources[2].path, ns=(1, 1))
    with pytest.raises(UsageError, match=r"the input .*1.h5 has changed: it was modified"):
        run(sources, output, resume=True)


def test_parts_are_not_touched_without_a_word(sources, tmp_path):
    output = tmp_path / "x.h5"
    with pytest.raises(Died):
        run(sources, output, progress=dies_after(4))
    with pytest.raises(OutputError, match=r"x\.h5\.parts is of a run that did not end: --resume .*--overwrite"):
        run(sources, output)


def test_a_text_without_parts_is_not_resumed_unless_a_results_file_is_beside_it(sources, tmp_path):
    text, results = tmp_path / "x.tsv", tmp_path / "x.h5"
    run(sources, results, text)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OutputError, match=r"x\.tsv: --resume: is there without saved parts .*-o FILE\.h5.*--overwrite"):
        run(sources, text, resume=True)
    for outputs in ((results, text), (text, results)):
        assert run(sources, *outputs, resume=True).summary.complete
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_two_runs_do_not_share_parts(sources, tmp_path):
    output = tmp_path / "x.h5"
    refused = []

    def second(event):
        if event.frames == 8:
            with pytest.raises(OutputError, match="another run is at work on it"):
                run(sources, output, resume=True)
            refused.append(event)

    run(sources, output, progress=second)
    assert refused


@pytest.mark.parametrize("damage", [b"\0", b"\xff", b"x"])
def test_parts_beside_a_damaged_ledger_are_not_touched_without_a_word(tmp_path, damage):
    """Neither a byte that is no text nor a changed key of the only saved part makes a run forget it."""
    store = PartsStore([Output(str(tmp_path / "x.h5"))])
    store.check([])
    store.begin(RunRecord({"a": 1}, ()))
    path = save_part(store.folder, b"of a night")
    store.adopt(path, Mark(), zlib.crc32(b"of a night"))
    store.close()
    ledger = tmp_path / "x.h5.parts/ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b"shard", b"sh" + damage + b"rd"))
    with pytest.raises(OutputError, match=r"x\.h5\.parts is of a run that did not end: --resume .*--overwrite"):
        PartsStore([Output(str(tmp_path / "x.h5"))]).check([])
    assert (tmp_path / "x.h5.parts/000000.h5").read_bytes() == b"of a night"
    again = PartsStore([Output(str(tmp_path / "x.h5"))], overwrite=True)
    again.check([])
    again.begin(RunRecord({"a": 1}, ()))
    assert not (tmp_path / "x.h5.parts").exists()


@pytest.mark.parametrize("n_parts", [0, 1])
@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True}], ids=["plain", "overwrite", "resume"])
def test_a_run_at_work_keeps_its_parts(tmp_path, n_parts, options):
    """A run on workers has a ledger before its first part."""
    path = str(tmp_path / "x.h5")
    at_work = PartsStore([Output(path)])
    at_work.begin(RunRecord({"a": 1}, ()))
    for number in range(n_parts):
        at_work.adopt(save_part(at_work.folder, b"%d" % number), Mark(), zlib.crc32(b"%d" % number))
    before = sorted(os.listdir(at_work.folder))
    second = PartsStore([Output(path)], **options)
    for _ in range(2):
        with pytest.raises(OutputError, match=r"x\.h5\.parts: another run is at work on it"):
            second.begin(RunRecord({"a": 1}, ()))
    second.close()
    assert sorted(os.listdir(at_work.folder)) == before
    at_work.close()
    second.begin(RunRecord({"a": 1}, ()))
    second.close()


def test_the_lock_is_on_the_folder_that_is_there(tmp_path, monkeypatch):
    """Another program removes the folder and makes it anew between the opening and the lock of this one."""
    path, lock = str(tmp_path / "x.h5.parts"), folder.fcntl.flock
    other, late = folder.PartsFolder(path), folder.PartsFolder(path)
    os.mkdir(path)

    def meanwhile(*arguments):
        monkeypatch.setattr(folder.fcntl, "flock", lock)
        other.clear([])
        other.begin(RunRecord({"a": 1}, ()), None)
        return lock(*arguments)

    monkeypatch.setattr(folder.fcntl, "flock", meanwhile)
    with pytest.raises(OutputError, match="another run is at work on it"):
        late.hold()


def test_parts_that_another_run_has_left_meanwhile_are_kept(tmp_path):
    first, second = (PartsStore([Output(str(tmp_path / "x.h5"))]) for _ in range(2))
    for store in (first, second):
        store.check([])
        store.begin(RunRecord({"a": 1}, ()))
    first.adopt(save_part(first.folder, b"of a night"), Mark(), zlib.crc32(b"of a night"))
    first.close()
    with pytest.raises(OutputError, match=r"x\.h5\.parts: another run has left saved parts .*--resume"):
        second.folder  # noqa: B018
    assert Ledger.open(str(tmp_path / "x.h5.parts/ledger.jsonl")).lines[-1]["shard"] == "000000.h5"


def test_results_are_not_joined_over_the_parts_of_a_run(sources, tmp_path, monkeypatch):
    one, out = str(tmp_path / "one.h5"), tmp_path / "x.h5"
    run(sources, tmp_path / "one.h5")
    store = PartsStore([Output(str(out))])
    store.begin(RunRecord({"a": 1}, ()))
    store.adopt(save_part(store.folder, b"of a night"), Mark(), zlib.crc32(b"of a night"))
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"x\.h5\.parts: another run is at work on it"):
            merge([one], str(out), overwrite=overwrite)
    store.close()
    with pytest.raises(OutputError, match=r"x\.h5\.parts is of a run that did not end: .*--resume .*--overwrite"):
        merge([one], str(out))
    with pytest.raises(UsageError, match="in two files"):
        merge([one, one], str(out), overwrite=True)
    assert (tmp_path / "x.h5.parts/000000.h5").read_bytes() == b"of a night"
    assert not out.exists()
    monkeypatch.setattr(join, "IN_MEMORY", 0)
    merge([one], str(out), overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.h5", "x.h5"]
