"""A run that is taken up ends as if it had never stopped, and computes nothing twice."""

import json
import os
import shutil
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.devices import devices
from ffbidx_core.read import Source
from ffbidx_core.read.results import read_run
from ffbidx_core.write import join
from tests.helpers.runs.faults import (
    FRAMES,
    QUICK,
    Died,
    assert_same,
    dies_after,
    flip_a_bit,
    make_inputs,
    run,
    stops_after,
    with_record,
)

ROWS = FRAMES + 1


@pytest.fixture(scope="module")
def wanted(sources, tmp_path_factory):
    """The bytes of an undisturbed run's output."""
    output = tmp_path_factory.mktemp("wanted") / "x.h5"
    run(sources, output)
    assert not output.with_name("x.h5.parts").exists()
    return output


@pytest.fixture
def computed(monkeypatch):
    """Counts the frames that are computed."""
    counts = []
    original = devices.index_frames

    def counting(backend, spots, offsets, *arguments, **options):
        counts.append(len(offsets) - 1)
        return original(backend, spots, offsets, *arguments, **options)

    monkeypatch.setattr(devices, "index_frames", counting)
    return counts


def test_saved_parts_and_none_make_the_same_file(sources, wanted, tmp_path):
    for size, seconds in ((64, 1e9), (1, 0.0), (5, 0.0)):
        output = tmp_path / f"{size}.h5"
        run(sources, output, batch_size=size, save_seconds=seconds)
        assert output.read_bytes() == wanted.read_bytes()


@pytest.mark.parametrize("at", [2, 4, 6])
def test_after_death(sources, wanted, tmp_path, computed, at):
    output = tmp_path / "x.h5"
    with pytest.raises(Died):
        run(sources, output, progress=dies_after(at))
    assert not output.exists()
    done = sum(json.loads(line)["mark"]["end"][3] > 0 for line in ledger(tmp_path) if "shard" in line)
    computed.clear()
    outcome = run(sources, output, resume=True, batch_size=5)
    assert output.read_bytes() == wanted.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]
    assert done == at
    assert sum(computed) == ROWS - 2 * done
    assert (outcome.summary.frames, outcome.summary.complete) == (ROWS, True)


def test_a_run_that_is_taken_up_is_judged_as_one_that_never_stopped(sources, tmp_path):
    judging = {"parameters": QUICK.replace(judge_frames=4)}
    whole, resumed = tmp_path / "x.h5", tmp_path / "y.h5"
    run(sources, whole, **judging)
    with pytest.raises(Died):
        run(sources, resumed, progress=dies_after(3), **judging)
    outcome = run(sources, resumed, resume=True, **judging)
    assert resumed.read_bytes() == whole.read_bytes()
    contest = read_run(str(whole))[3].contest
    assert contest.n_frames == 4
    assert outcome.summary.doubt == contest.doubt == ""


def ledger(folder):
    return (folder / "x.h5.parts/ledger.jsonl").read_text().splitlines()


@pytest.mark.parametrize("at", [1, 3, 5])
def test_after_a_stop(sources, wanted, tmp_path, computed, at):
    """The stopped run is joined and its parts are gone; the output itself is taken up."""
    output, stop = tmp_path / "x.h5", threading.Event()
    outcome = run(sources, output, progress=stops_after(at, stop), stop=stop)
    assert not outcome.summary.complete
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]
    results = read_results(output)
    assert (results.complete, results.n_frames) == (False, 2 * at)
    computed.clear()
    run(sources, output, resume=True)
    assert output.read_bytes() == wanted.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]
    assert sum(computed) == ROWS - 2 * at


def test_taken_up_again_and_again(sources, wanted, tmp_path):
    output = tmp_path / "x.h5"
    for k in range(4):
        stop = threading.Event()
        with pytest.raises(Died) if k % 2 else threading.Lock():
            run(sources, output, resume=True, stop=stop, progress=dies_after(2) if k % 2 else stops_after(1, stop))
    run(sources, output, resume=True)
    assert output.read_bytes() == wanted.read_bytes()


def test_a_complete_run_is_left_as_it_is(sources, wanted, tmp_path, computed):
    output = tmp_path / "x.h5"
    shutil.copy(wanted, output)
    before = os.stat(output)
    outcome = run(sources, output, resume=True)
    after = os.stat(output)
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == (before.st_ino, before.st_mtime_ns, before.st_size)
    assert computed == []
    assert outcome.summary.frames == ROWS


def test_further_outputs_of_a_complete_run_are_written_from_its_results(sources, tmp_path, computed, monkeypatch):
    whole, folder = tmp_path / "whole", tmp_path / "again"
    whole.mkdir()
    folder.mkdir()
    names = ("x.h5", "x.tsv", "y.h5", "x.csv")
    run(sources, *(whole / name for name in names))
    results, kept = folder / "x.h5", folder / "x.csv"
    shutil.copy(whole / "x.h5", results)
    kept.write_text("kept")
    inode = os.stat(results).st_ino
    computed.clear()
    run(sources, *(folder / name for name in names), resume=True, threads=2)
    assert computed == []
    assert os.stat(results).st_ino == inode
    assert results.read_bytes() == (whole / "x.h5").read_bytes()
    for name in ("x.tsv", "x.tsv.toml", "y.h5"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert kept.read_text() == "kept"
    assert not list(folder.glob("*.parts"))
    (folder / "y.h5").unlink()
    monkeypatch.setattr(join, "IN_MEMORY", 0)
    run(sources, *(folder / name for name in names), resume=True)
    # A child process has written this file, whose layout is another one.
    assert_same(read_results(folder / "y.h5"), read_results(whole / "y.h5"))
    assert read_run(str(folder / "y.h5"))[:4] == read_run(str(whole / "y.h5"))[:4]


def test_the_summary_of_a_run_that_was_taken_up_is_that_of_the_whole(sources, tmp_path):
    whole = run(sources, tmp_path / "whole.h5").summary.as_dict()
    output = tmp_path / "x.h5"
    with pytest.raises(Died):
        run(sources, output, progress=dies_after(5))
    found = run(sources, output, resume=True).summary.as_dict()
    for summary in (whole, found):
        for name in ("seconds", "frames_per_second", "output"):
            del summary[name]
    assert found == whole


def test_the_cell_is_not_learned_again(sources, wanted, tmp_path, monkeypatch):
    output = tmp_path / "x.h5"
    with pytest.raises(Died):
        run(sources, output, progress=dies_after(4))
    monkeypatch.setattr("ffbidx_core.run.input_cells.learn", None)
    run(sources, output, resume=True)
    assert output.read_bytes() == wanted.read_bytes()
    assert read_results(output).learned_cells is not None


def test_inputs_that_were_copied_are_the_same(wanted, tmp_path):
    sources = make_inputs(tmp_path)
    output = tmp_path / "x.h5"
    with pytest.raises(Died):
        run(sources, output, progress=dies_after(4))
    shutil.copyfile(sources[2].path, tmp_path / "copy")
    os.replace(tmp_path / "copy", sources[2].path)
    os.utime(sources[2].path, ns=(1, 1))
    run(sources, output, resume=True)
    np.testing.assert_array_equal(read_results(output).cells, read_results(wanted).cells)


def test_with_other_versions_of_packages(sources, wanted, tmp_path, monkeypatch):
    output = tmp_path / "x.h5"
    with monkeypatch.context() as patched:
        patched.setattr("ffbidx_core.run.job.versions", lambda backend: {"numpy": "0.1"})
        with pytest.raises(Died):
            run(sources, output, progress=dies_after(4))
    run(sources, output, resume=True)
    assert output.read_bytes() == wanted.read_bytes()


@pytest.mark.parametrize("torn", [b'{"shard":"0000', b"\x00\xff", b"{"])
def test_a_torn_line_counts_for_nothing(sources, wanted, tmp_path, torn):
    output = tmp_path / "x.h5"
    with pytest.raises(Died):
        run(sources, output, progress=dies_after(5))
    with open(tmp_path / "x.h5.parts/ledger.jsonl", "ab") as file:
        file.write(torn)
    with pytest.raises(Died):
        run(sources, output, resume=True, progress=dies_after(2))
    run(sources, output, resume=True)
    assert output.read_bytes() == wanted.read_bytes()


@pytest.mark.parametrize("dataset", ["cells", "frame/status", "crystal_offsets"])
def test_a_flipped_bit_in_a_saved_part_is_found(sources, wanted, tmp_path, dataset):
    output = tmp_path / "x.h5"
    with pytest.raises(Died):
        run(sources, output, progress=dies_after(6))
    part = tmp_path / "x.h5.parts/000001.h5"
    flip_a_bit(part, dataset)
    # The checksum of the data finds it without the ledger's.
    with pytest.raises(Exception, match=r"(?i)checksum|filter|cannot be read"):
        read_results(part)
    outcome = run(sources, output, resume=True)
    assert any("000001.h5: is damaged" in problem for problem in outcome.summary.problems)
    assert output.read_bytes() == wanted.read_bytes()


def test_a_shard_that_is_gone_is_computed_again(sources, wanted, tmp_path):
    output = tmp_path / "x.h5"
    with pytest.raises(Died):
        run(sources, output, progress=dies_after(6))
    (tmp_path / "x.h5.parts/000002.h5").unlink()
    run(sources, output, resume=True)
    assert output.read_bytes() == wanted.read_bytes()


@pytest.mark.parametrize("moment", ["Ledger.remove", "remove_directory"])
def test_a_run_that_dies_while_it_tidies_up_is_done(sources, wanted, tmp_path, monkeypatch, computed, moment):
    output = tmp_path / "x.h5"

    def dies(what):
        if not isinstance(what, str) or Path(what).exists():
            raise Died

    with monkeypatch.context() as patched:
        patched.setattr(f"ffbidx_core.write.parts.folder.{moment}", dies)
        with pytest.raises(Died):
            run(sources, output)
    # Some of the saved parts are gone.
    if moment == "remove_directory":
        (tmp_path / "x.h5.parts/000000.h5").unlink()
    assert (tmp_path / "x.h5.parts").exists()
    computed.clear()
    run(sources, output, resume=True)
    assert not computed
    assert output.read_bytes() == wanted.read_bytes()
    assert not (tmp_path / "x.h5.parts").exists()


def test_what_is_said_once_stays_so_in_a_run_that_is_taken_up(sources, tmp_path):
    for source in sources:
        if "not-there" not in source.path:
            copy = tmp_path / Path(source.path).name
            copy.write_bytes(Path(source.path).read_bytes())
            with h5py.File(copy, "r+") as file:
                del file["spots"].attrs["units"]
    sources = [Source(str(tmp_path / Path(source.path).name)) for source in sources]
    run(sources, tmp_path / "whole.h5")
    output = tmp_path / "x.h5"
    for batches in (2, 3):
        with pytest.raises(Died):
            run(sources, output, resume=True, progress=dies_after(batches))
    outcome = run(sources, output, resume=True)
    assert sum("no attribute units" in problem for problem in outcome.summary.problems) == 1
    assert output.read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_text_tables_are_taken_up_from_their_parts(sources, tmp_path):
    run(sources, tmp_path / "whole.tsv")
    output, stop = tmp_path / "x.tsv", threading.Event()
    run(sources, output, stop=stop, progress=stops_after(3, stop))
    assert all(path.exists() for path in with_record(output))
    assert (tmp_path / "x.tsv.parts").is_dir()
    run(sources, output, resume=True)
    for path, whole in zip(with_record(output), with_record(tmp_path / "whole.tsv"), strict=True):
        assert path.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "x.tsv.parts").exists()
