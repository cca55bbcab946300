"""`ffbidx index --follow` as a process, beside another one that writes."""

import json
import os
import signal
import time

import beamline
import h5py
import numpy as np
import pytest
from calls import QUICK, start, write_spots
from faults.runs import assert_same
from frames import frame
from growing import Writer

from ffbidx_core import read_results
from ffbidx_core.model.cell import symmetry_operators

FRAMES = [frame(seed, 50)[1] for seed in range(9)]


def wait_until(condition, process):
    """Poll; slow machines need long."""
    deadline = time.monotonic() + 90
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, "nothing happens"
        time.sleep(0.05)


@pytest.fixture
def there(tmp_path, monkeypatch, cell_file):
    """An empty directory `d` to follow, in the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    return tmp_path / "d"


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
        started.append(start("index", "d", "--cell", cell_file, *QUICK, "--backend", "cpu", "--follow", "-o", "x.h5",
                             "--log-json", "log.json", "--save-every", "0", *arguments))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def progress():
    """The events so far."""
    try:
        with open("log.json", encoding="utf-8") as file:
            lines = file.read().split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [event for event in map(json.loads, lines) if event["event"] == "progress"]


def frames_done():
    return max([event["frames"] for event in progress()], default=0)


def ordinary(run, cell_file, *inputs):
    """The results of an ordinary run over what is there in the end."""
    ran = run("index", *inputs, "--cell", cell_file, *QUICK, "--backend", "cpu", "-o", "ordinary.h5", "-q")
    assert ran.status in (0, 3), ran.err
    return read_results("ordinary.h5")


def ended(process, status=0):
    _, err = process.communicate(timeout=90)
    assert process.returncode == status, err
    assert "Traceback" not in err
    return err


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
    assert "none of the 1 frames and files could be used" in lines[-1]


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
    process = start("index", *options, "--follow", "--stop-after", "3", "-o", "x.h5", "-o", "x.stream")
    for frame_peaks in made.peaks:
        peaks.add_peaks(frame_peaks, beamline.ENERGY)
    ended(process)
    peaks.close()
    found = read_results("x.h5")
    assert found.index[found.frame_of_crystal].tolist() == [0, 1, 2, 3]
    operators = symmetry_operators(beamline.CELL, 1e-3)
    for cell, truth in zip(found.cells[found.crystals], made.cells, strict=True):
        assert beamline.same_orientation(cell, truth, operators)
    assert run("index", *options, "-o", "ordinary.h5", "-o", "ordinary.stream").status == 0
    assert_same(found, read_results("ordinary.h5"))
    assert (tmp_path / "x.stream").read_text() == (tmp_path / "ordinary.stream").read_text()


def test_runs_of_several_writers_are_merged(run, index, there):
    for name, pieces in (("a", FRAMES[:2]), ("b", FRAMES[2:5])):
        write_spots(there / f"{name}.h5", pieces)
        assert index(f"d/{name}.h5", "--follow", "--stop-after", "1", "-o", f"{name}.out.h5").status == 0
    ran = run("merge", "a.out.h5", "b.out.h5", "-o", "both.h5")
    assert ran.status == 0, ran.err
    assert read_results("both.h5").index.tolist() == [0, 1, 0, 1, 2]


def test_a_table_that_grows(cell_file, writer, there):
    """On standard output the crystals come as they are found."""
    process = start("index", "d", "--cell", cell_file, *QUICK, "--follow", "--stop-file", "stop", "-o", "-",
                    "--save-every", "0", "-q")
    writer.add(FRAMES[0])
    assert process.stdout.readline().startswith("# source")
    assert process.stdout.readline().startswith("d/b.h5\t0\t")
    writer.add(FRAMES[1])
    assert process.stdout.readline().startswith("d/b.h5\t1\t")
    open("stop", "w").close()
    assert ended(process) == ""


@pytest.mark.parametrize(("arguments", "says"), [
    (["--stop-file", "x"], "--stop-file ends a run that follows its input: it goes with --follow"),
    (["--stop-after", "3"], "--stop-after ends a run that follows its input: it goes with --follow"),
    (["--follow", "--shard", "1/2"], "--follow and --shard: an input that grows has no shares"),
    (["--follow", "--dask", "local:2"], "--follow and --dask: "),
    (["--follow", "--dry-run"], "--follow and --dry-run: frames that are still to come cannot be listed"),
    (["--follow", "--stop-after", "0"], "--stop-after: 0.0 is out of range, it must be above 0"),
    (["--follow", "--stop-after", "nan"], "--stop-after: nan is out of range"),
    (["--follow", "d/a.h5//3"], "single frames are not"),
    # What is wrong with the other options is told at once, not when the first frame comes.
    (["--follow", "--cell", "none.cell"], "none.cell"),
    (["--follow", "--max-spots", "-3"], "--max-spots: -3 is out of range"),
    (["--follow", "-o", "x.what"], "x.what"),
    (["--follow", "-g", "none.geom"], "none.geom"),
])
def test_options_that_make_no_sense(index, there, arguments, says):
    assert index("d", *arguments).is_one_line_error(2, says)


def test_an_output_that_is_there_is_told_at_once(index, there):
    open("x.h5", "w").close()
    assert index("d", "--follow", "-o", "x.h5").is_one_line_error(6, "x.h5", "--overwrite")


def test_an_output_among_the_inputs_is_refused(index, there):
    for name in ("a.h5", "b.h5"):
        write_spots(there / name, FRAMES[:1])
    ran = index("d", "--follow", "--stop-after", "3", "-o", "d/b.h5", "--overwrite")
    assert ran.is_one_line_error(2, "the output is the input d/b.h5")
    assert h5py.File(there / "b.h5").keys() == {"offsets", "spots"}


def test_the_options_can_be_written_without_waiting(index, there):
    ran = index("d", "--follow", "--stop-after", "30", "--print-config")
    assert ran.status == 0, ran.err
    assert "follow = true\n" in ran.out
    assert "stop-after = 30.0\n" in ran.out


def test_an_input_that_ends_before_its_first_file_was_left_alone(run, there):
    """What the first file says of the experiment is recorded all the same."""
    (there.parent / "d.geom").write_text(beamline.geom_text())
    beamline.write_cxi(there / "p.cxi", beamline.stills(2))
    open("stop", "w").close()
    cell = ",".join(map(str, beamline.PARAMETERS))
    ran = run("index", "d", "--cell", cell, "-g", "d.geom", *QUICK, "--follow", "--stop-file", "stop", "-o", "x.h5")
    assert ran.status == 0, ran.err
    assert read_results("x.h5").n_frames == 2
    assert read_results("x.h5").header.half_pixel_shift == "yes"


def test_a_run_is_repeated_without_following(run, index, there):
    """With the options that its results hold."""
    write_spots(there / "a.h5", FRAMES[:2])
    assert index("d", "--follow", "--stop-after", "1", "-o", "x.h5").status == 0
    ran = run("index", "--config", "x.h5", "--no-follow", "-o", "again.h5")
    assert ran.status == 0, ran.err
    assert_same(read_results("again.h5"), read_results("x.h5"))
