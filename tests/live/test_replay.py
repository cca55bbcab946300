"""Files sent as messages: every frame is accounted for, whatever happens to either side."""

import json
import subprocess
import threading

import cbor2
import numpy as np
import pytest
import zmq

import ffbidx_core
from ffbidx_core.errors import UsageError
from ffbidx_core.live.frames import NO_GEOMETRY
from ffbidx_core.live.replay import replay
from ffbidx_core.live.replayed import Answers, Replayed
from ffbidx_core.simulate import Scenario, simulate, write_frames
from tests.helpers.calls import MONO, start, write_spots
from tests.helpers.live.server import QUICK, SPOTS, serving
from tests.helpers.runs.until import until


@pytest.fixture
def spots(tmp_path):
    return str(write_spots(tmp_path / "spots.h5", SPOTS, frame_id=[f"f{k}" for k in range(len(SPOTS))]))


def addresses(server):
    return server.door.bound["bind"], server.door.bound["publish"]


@pytest.mark.parametrize("dialect", ["cbor", "om", "json"])
def test_a_replayed_file_is_indexed_as_index_indexes_it(dialect, spots, tmp_path):
    output = str(tmp_path / "live.h5")
    with serving(output=output) as server:
        to, answers = addresses(server)
        done = replay([spots], to, answers=answers, dialect=dialect, rate=200, patience=60)
    assert (done.sent, done.answered, done.indexed, done.dropped, done.errors) == (8, 8, 8, 0, 0)
    assert len(done.delays) == 8
    live = ffbidx_core.read_results(output)
    assert live.complete
    files = ffbidx_core.index(ffbidx_core.RunRequest(spots, MONO, parameters=QUICK, threads=1)).results
    assert np.array_equal(live.cells, files.cells)
    # The inputs of a live run's results are the spots that it kept.
    with serving() as server:
        to, answers = addresses(server)
        assert replay([output], to, answers=answers, dialect="cbor", rate=0, patience=60).indexed == 8


@pytest.mark.parametrize("dialect", ["om", "json", "stream2", "cbor"])
def test_pixels_of_a_simulated_file_are_placed_by_the_geometry(dialect, tmp_path):
    scenario = Scenario(cells=((31.0, 42.0, 53.0, 90.0, 103.0, 90.0),), n_spots=(60, 60), lattices=(1, 1))
    path = str(tmp_path / "pixels.h5")
    write_frames(path, simulate(scenario, 4, 1))
    geometry = tmp_path / "flat.geom"
    geometry.write_text(scenario.assumed_detector.as_text(scenario.wavelength))
    with serving(geometry=str(geometry)) as server:
        to, answers = addresses(server)
        done = replay([path], to, answers=answers, dialect=dialect, rate=100, patience=60)
    assert (done.sent, done.answered, done.errors) == (4, 4, 0)
    assert done.indexed == len(done.delays) == 4


def test_why_frames_are_refused_is_shown_once_by_the_server_and_known_to_the_sender(tmp_path):
    path = str(tmp_path / "pixels.h5")
    write_frames(path, simulate(Scenario(cells=((31.0, 42.0, 53.0, 90.0, 103.0, 90.0),), n_spots=(20, 20)), 3, 1))
    with serving() as server:
        to, answers = addresses(server)
        done = replay([path], to, answers=answers, dialect="om", rate=0, patience=60)
    assert (done.sent, done.errors, done.error) == (3, 3, NO_GEOMETRY)
    assert server.shown == [NO_GEOMETRY]


def test_frames_for_a_server_that_is_not_there_are_not_taken_as_sent(spots, tmp_path):
    with pytest.raises(UsageError, match="no server takes spot lists there"):
        replay([spots], f"ipc://{tmp_path}/nobody", answers=None, dialect="cbor", rate=0, patience=0.1)


def test_an_address_of_answers_that_cannot_be_used_is_an_error_with_its_option(spots, tmp_path):
    with zmq.Context() as context, context.socket(zmq.PULL) as server:
        server.bind(f"ipc://{tmp_path}/in")
        with pytest.raises(UsageError, match="--answers tcp://nonsense: Invalid argument"):
            replay([spots], f"ipc://{tmp_path}/in", answers="tcp://nonsense", dialect="cbor", rate=0)


def test_nothing_is_lost_uncounted_when_frames_come_faster_than_they_are_indexed(spots):
    with serving(queue=16) as server:
        to, answers = addresses(server)
        done = replay([spots], to, answers=answers, dialect="cbor", rate=0, repeat=250, patience=60)
    assert done.sent == 2000
    assert done.answered + done.dropped + done.missed == 2000
    assert done.missed == 0
    assert done.dropped > 0


def test_answers_of_a_server_that_was_started_anew_are_counted_from_its_first(tmp_path):
    address, done, listener = f"ipc://{tmp_path}/answers", Replayed(), None
    with zmq.Context() as context:
        for numbers in ((3, 4, 6), (2, 3)):
            with context.socket(zmq.XPUB) as publisher:
                publisher.bind(address)
                listener = listener or Answers(context, address, "", done, 30.0, threading.Event())
                assert publisher.recv() == b"\x01"
                awaited = done.answered + len(numbers)
                for number in numbers:
                    answer = {"type": "answer", "sequence": number, "crystals": [], "sent": None}
                    publisher.send(cbor2.dumps(answer))
                until(lambda n=awaited: done.answered == n)
        listener.close()
    assert (done.answered, done.missed) == (5, 2)


def test_the_command_prints_counts_and_delays(spots, tmp_path):
    quick = ("--num-halfsphere-points", "4096", "--learn-cell", "0", "--threads", "1")
    server = start("serve", "--bind", f"ipc://{tmp_path}/in", "--cell", MONO, "-o", tmp_path / "r.h5", "--json", *quick)
    for line in server.stderr:
        if "spot lists" in line:
            break
    sender = start("replay", spots, "--to", f"ipc://{tmp_path}/in", "--json", "--rate", "50")
    out, err = sender.communicate(timeout=120)
    assert sender.returncode == 0, err
    found = json.loads(out)
    assert (found["sent"], found["answered"], found["indexed"]) == (8, 8, 8)
    assert 0 < found["p50"] <= found["p99"] <= found["p100"]
    out, err = server.communicate(timeout=120)
    assert server.returncode == 0, err
    assert json.loads(out)["frames"] == 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serve"], ["--cell"]),
        (["serve", "--cell", MONO], ["--bind"]),
        (["serve", "--cell", MONO, "--bind", "nonsense"], ["--bind nonsense"]),
        (["serve", "--cell", MONO, "--bind", "tcp://127.0.0.1:x"], ["--bind"]),
        (["serve", "--cell", MONO, "--stdin", "--dialect", "pickle"], ["--dialect pickle"]),
        (["serve", "--cell", MONO, "--stdin", "-o", "x.txt"], ["-o x.txt"]),
        (["serve", "--cell", MONO, "--stdin", "--delay", "-1"], ["--delay"]),
        (["serve", "--cell", MONO, "--stdin", "--resume"], ["-o"]),
        (["serve", "--cell", "nothere.cell", "--stdin"], ["nothere.cell"]),
        (["replay", "nothere.h5", "--to", "ipc:///tmp/x"], ["nothere.h5"]),
        (["replay", "nothere.h5", "--to", "tcp://127.0.0.1"], ["--to"]),
    ],
)
def test_what_cannot_be_used_is_one_line(arguments, words, tmp_path):
    ran = start(*arguments, cwd=tmp_path, stdin=subprocess.DEVNULL)
    _out, err = ran.communicate(timeout=60)
    assert ran.returncode == 2, err
    assert err.startswith("ffbidx: ")
    assert err.count("\n") == 1, err
    assert "internal" not in err
    for word in words:
        assert word in err
