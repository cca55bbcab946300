"""`ffbidx index --follow` as a process, beside another one that writes."""

import os
import signal

import h5py
import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.model.cell import symmetry_operators
from tests.helpers import beamline
from tests.helpers.calls import QUICK, start, write_spots
from tests.helpers.growing import Writer
from tests.helpers.runs.faults import assert_same
from tests.helpers.runs.follow_process import FRAMES, ended, frames_done, ordinary, progress, wait_until


@pytest.fixture
def writer(there):
    made = Writer(there / "b.h5").native()
    yield made
    made.end()


@pytest.fixture
def follow(cell_file):
    """Start the command on the directory `d`; what it says how far it is, is in log.json."""
    started = []

    def begin(*arguments):
        started.append(
            start(
                "index",
                "d",
                "--cell",
                cell_file,
                *QUICK,
                "--backend",
                "cpu",
                "--follow",
                "-o",
                "x.h5",
                "--log-json",
                "log.json",
                "--save-every",
                "0",
                *arguments,
            )
        )
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_until_the_stop_file_is_there(run, follow, writer, there, cell_file):
    process = follow("--stop-file", "stop", "--batch-size", "1000")
    writer.add(*FRAMES[:3])
    wait_until(lambda: frames_done() == 3, process)
    writer.add(*FRAMES[3:5])
    wait_until(lambda: frames_done() == 5, process)
    writer.close()
    # Under another name first, then in its place.
    write_spots(there / "a.part", FRAMES[5:7])
    os.rename(there / "a.part", there / "c.h5")
    wait_until(lambda: frames_done() == 7, process)
    write_spots(there / "d.h5", FRAMES[7:])
    open("stop", "w").close()
    err = ended(process)
    assert err.splitlines()[0] == "waiting for the first frame of d"
    assert err.splitlines()[-1] == "results: x.h5"
    assert_same(read_results("x.h5"), ordinary(run, cell_file, "d"))
    assert read_results("x.h5").complete
    assert not os.path.exists("x.h5.parts")


def test_a_while_without_frames_ends_it(run, follow, writer, cell_file):
    """Frames that are announced and not yet written are not indexed, whoever holds the file open."""
    writer.add(*FRAMES[:4])
    writer("n = len(s); s.resize(n + 50, 0); o.resize(len(o) + 1, 0); o[-1] = len(s); file.flush()")
    err = ended(follow("--stop-after", "3"))
    assert "4 indexed" in err
    found = read_results("x.h5")
    assert (found.complete, found.index.tolist()) == (True, [0, 1, 2, 3])
    events = progress()
    # The speed of the last minute falls while nothing comes.
    rates = [event["frames_per_second_now"] for event in events if event["frames"] == 4]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < rates[0]
    assert events[-1]["indexed_share_now"] == 1.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_as_any_run(run, follow, writer, cell_file, number):
    process = follow()
    writer.add(*FRAMES[:4])
    wait_until(lambda: frames_done() == 4, process)
    process.send_signal(number)
    err = ended(process, {signal.SIGINT: 130, signal.SIGTERM: 75}[number])
    assert err.splitlines()[-1] == "incomplete results: x.h5"
    found = read_results("x.h5")
    assert (found.complete, found.n_frames) == (False, 4)
    writer.add(*FRAMES[4:])
    writer.close()
    open("stop", "w").close()
    ended(follow("--resume", "--stop-file", "stop"))
    assert_same(read_results("x.h5"), ordinary(run, cell_file, "d"))


def test_killed_and_taken_up(run, follow, writer, there, cell_file):
    write_spots(there / "a.h5", FRAMES[:2])
    process = follow()
    writer.add(*FRAMES[2:5])
    wait_until(lambda: frames_done() == 5 and os.path.exists("x.h5.parts/ledger.jsonl"), process)
    process.kill()
    process.wait()
    assert not os.path.exists("x.h5")
    writer.add(*FRAMES[5:7])
    second = follow("--resume")
    wait_until(lambda: frames_done() == 7, second)
    writer.add(FRAMES[7])
    second.kill()
    second.wait()
    writer.add(FRAMES[8])
    writer.close()
    ended(follow("--resume", "--stop-after", "2"))
    found = read_results("x.h5")
    assert_same(found, ordinary(run, cell_file, "d"))
    assert found.n_frames == 9
    assert not os.path.exists("x.h5.parts")


def test_a_signal_before_anything_came(follow, there):
    process = follow()
    assert process.stderr.readline() == "waiting for the first frame of d\n"
    process.send_signal(signal.SIGTERM)
    assert ended(process, 75) == ""
    assert not os.path.exists("x.h5")


def test_what_is_wrong_is_said_while_waiting(follow, there):
    with h5py.File(there / "a.h5", "w") as file:
        for name in ("peakXPosRaw", "peakYPosRaw"):
            file[f"entry_1/result_1/{name}"] = np.ones((2, 4))
        file["entry_1/result_1/nPeaks"] = [2, 2]
    process = follow("--stop-after", "5")
    lines = ended(process, 5).splitlines()
    assert lines[1] == "waiting: d/a.h5: holds peaks in detector pixels: give the geometry with -g FILE"
    assert "the only frame or file could not be used" in lines[-1]


def test_outputs_that_need_the_spots_again(run, follow, writer, there, cell_file):
    """Although the file is still open for writing."""
    writer.add(*FRAMES[:3])
    ended(follow("--stop-after", "3", "--keep-spots"))
    with h5py.File("x.h5") as file:
        assert file["spot/offsets"][:].tolist() == [0, 50, 100, 150]
        assert (file["spot/crystal"][:] >= 0).mean() > 0.9
    ran = run("convert", "x.h5", "-o", "x.csv")
    assert ran.status == 0, ran.err


def test_peak_lists_that_grow(run, there, writer, tmp_path):
    """CXI with the wavelength of each frame, to a stream, while the file is still open."""
    writer.end()
    os.unlink(writer.path)
    (tmp_path / "d.geom").write_text(beamline.geom_text(beam="photon_energy = /LCLS/photon_energy_eV"))
    made = beamline.stills(4)
    peaks = Writer(there / "p.cxi").cxi(width=512)
    options = ["d", "--cell", ",".join(map(str, beamline.PARAMETERS)), "-g", "d.geom", *QUICK, "--backend", "cpu"]
    process = start("index", *options, "--follow", "--stop-file", "stop", "-o", "x.h5", "-o", "x.stream")
    for frame_peaks in made.peaks:
        peaks.add_peaks(frame_peaks, beamline.ENERGY)
    open("stop", "w").close()
    ended(process)
    assert run("convert", "x.h5", "-o", "later.stream").status == 0
    assert (tmp_path / "x.stream").read_text() == (tmp_path / "later.stream").read_text()
    peaks.close()
    found = read_results("x.h5")
    assert found.index[found.frame_of_crystal].tolist() == [0, 1, 2, 3]
    operators = symmetry_operators(beamline.CELL, 1e-3)
    for cell, truth in zip(found.cells[found.crystals], made.cells, strict=True):
        assert beamline.same_orientation(cell, truth, operators)
    assert run("index", *options, "-o", "ordinary.h5", "-o", "ordinary.stream").status == 0
    assert_same(found, read_results("ordinary.h5"))
    # But for the options.
    text, ordinary = ((tmp_path / name).read_text() for name in ("x.stream", "ordinary.stream"))
    begin = "----- Begin geometry file -----"
    assert text.partition(begin)[2] == ordinary.partition(begin)[2] != ""


def test_a_table_that_grows(cell_file, writer, there):
    """On standard output the crystals come as they are found."""
    process = start(
        "index",
        "d",
        "--cell",
        cell_file,
        *QUICK,
        "--follow",
        "--stop-file",
        "stop",
        "-o",
        "-",
        "--save-every",
        "0",
        "-q",
    )
    writer.add(FRAMES[0])
    assert process.stdout.readline().startswith("# source")
    assert process.stdout.readline().startswith("d/b.h5\t0\t")
    writer.add(FRAMES[1])
    assert process.stdout.readline().startswith("d/b.h5\t1\t")
    open("stop", "w").close()
    assert ended(process) == ""
