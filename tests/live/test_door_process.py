"""The sockets in a process of their own, as a server with a GPU has them."""

import itertools
import json
import multiprocessing
import os
import signal

import pytest
import zmq

import ffbidx_core
import ffbidx_core.live.server
from ffbidx_core.errors import FfbidxError, UsageError
from ffbidx_core.live.dialects import own
from ffbidx_core.live.door.process import DoorProcess
from ffbidx_core.live.door.settings import DoorSettings
from ffbidx_core.live.messages import End, Frame
from ffbidx_core.live.state import LiveState
from tests.helpers.live.server import SPOTS, Client, message, serving

SECOND = [("second", k) for k in range(7)]


@pytest.fixture(autouse=True)
def _in_a_process(monkeypatch):
    monkeypatch.setattr(ffbidx_core.live.server, "IN_A_PROCESS", ("cpu",))


def opened(**settings) -> DoorProcess:
    return DoorProcess(DoorSettings(**settings), 4, LiveState())


def test_frames_requests_garbage_and_dropped_frames_are_answered_and_counted():
    with serving(queue=4) as server, Client(server) as client:
        client.send(message(0, "r"), b"\x00garbage")
        answer, error = sorted(client.answers(2), key=lambda a: a["type"])
        assert (answer["type"], answer["name"], answer["status"]) == ("answer", "frame 0", "indexed")
        assert error["type"] == "error"
        line = json.loads(client.ask(json.dumps({"number": 5, "spots": SPOTS[0].tolist()}).encode()))
        assert (line["number"], line["status"]) == (5, "indexed")
        client.answers(1)
        client.send(*(message(k, "r") for k in range(100)))
        answers = client.answers(100)
        client.send(End("r"))
        assert client.answers(1)[0]["type"] == "ended"
    kinds = [a["type"] for a in answers]
    assert set(kinds) == {"answer", "dropped"}
    assert [a["sequence"] for a in answers] == list(range(4, 104))
    whole = server.state.as_dict()["whole"]
    assert (whole["errors"], whole["dropped"]) == (1, kinds.count("dropped"))
    assert whole["frames"] == 2 + kinds.count("answer")


def serve_one_frame_and_kill_the_sockets(output):
    with serving(output=output) as server, Client(server) as client:
        client.send(message(0, "r"))
        client.answers(1)
        os.kill(server.door.process_ids[0], signal.SIGKILL)
        # The server notices the end of the connection at once, unless it is told to stop first.
        server.thread.join(60)


def test_a_server_whose_sockets_died_ends_with_a_message_and_keeps_its_results(tmp_path):
    output = str(tmp_path / "run.h5")
    with pytest.raises(FfbidxError, match="sockets"):
        serve_one_frame_and_kill_the_sockets(output)
    results = ffbidx_core.read_results(output)
    assert (results.n_frames, results.complete) == (1, False)


def kill_the_sockets_after_the_first_answers(monkeypatch):
    ask, answer_batch, answered = DoorProcess.ask, DoorProcess.answer_batch, []

    def answer_and_note(door, frames, answers):
        answered.append(door)
        answer_batch(door, frames, answers)

    def ask_the_dead(door, *wanted):
        if answered:
            killed = set(door.process_ids)
            for number in killed:
                os.kill(number, signal.SIGKILL)
            for child in multiprocessing.active_children():
                # Other children, as of earlier tests, live on.
                if child.pid in killed:
                    child.join(60)
        ask(door, *wanted)

    monkeypatch.setattr(DoorProcess, "answer_batch", answer_and_note)
    monkeypatch.setattr(DoorProcess, "ask", ask_the_dead)


def serve_three_frames(output):
    with serving(output=output, batch_size=3, delay=60_000.0) as server, Client(server) as client:
        client.send(*(message(k, "r") for k in range(3)))
        server.thread.join(60)


def test_frames_that_were_answered_just_before_the_sockets_died_are_in_the_results(tmp_path, monkeypatch):
    output = str(tmp_path / "run.h5")
    with monkeypatch.context() as patched:
        kill_the_sockets_after_the_first_answers(patched)
        with pytest.raises(FfbidxError, match="sockets"):
            serve_three_frames(output)
    results = ffbidx_core.read_results(output)
    assert (results.id.tolist(), results.complete) == ([f"frame {k}" for k in range(3)], False)
    with serving(output=output, resume=True) as server, Client(server) as client:
        client.send(Frame("r", -1, "", spots=SPOTS[3]))
        assert client.answers(1)[0]["number"] == 3


def test_two_runs_in_one_batch_are_answered_and_kept_apart(tmp_path, monkeypatch):
    done = []

    def noted(door_method, word):
        def method(door, *arguments):
            found = door_method(door, *arguments)
            done.append(word(arguments, found))
            return found

        return method

    for name, word in (
        ("take", lambda wanted, found: [each.run for each in found] if isinstance(found, list) else []),
        ("answer_batch", lambda arguments, found: f"answered {arguments[0][0].run}"),
        ("ask", lambda wanted, found: "asked"),
    ):
        monkeypatch.setattr(DoorProcess, name, noted(getattr(DoorProcess, name), word))
    with (
        serving(output=str(tmp_path / "{run}.h5"), batch_size=5, delay=60_000.0) as server,
        Client(server) as client,
    ):
        client.send(*(message(k, "first") for k in range(2)), *(message(k, "second") for k in range(3)))
        answers = client.answers(5)
        client.send(*(message(k, "second") for k in range(3, 7)), message(9, "first"))
        answers += client.answers(5)
    # A process that hands over a batch takes no answers, so the next batch is asked for after all answers of this one.
    words = [word for word, _ in itertools.groupby(each for each in done if each)]
    assert words[:7] == [
        "asked", ["first", "second"], "answered first", "answered second",
        "asked", ["second", "first"], "answered second",
    ]  # fmt: skip
    assert [(a["run"], a["number"]) for a in answers[:5]] == [*(("first", k) for k in range(2)), *SECOND[:3]]
    assert [(a["run"], a["number"]) for a in answers[5:9]] == SECOND[3:]
    assert (answers[9]["type"], answers[9]["name"]) == ("error", "frame 9")
    assert [len(ffbidx_core.read_results(tmp_path / name)) for name in ("first.h5", "second.h5")] == [2, 7]


def test_the_process_outlives_signals_and_ends_with_its_server(tmp_path):
    door = opened(bind=f"ipc://{tmp_path}/in")
    for number in (signal.SIGINT, signal.SIGTERM):
        for each in door.process_ids:
            os.kill(each, number)
    assert door.take(1, 0.0, 0.05) == []
    door.close()
    for each in door.process_ids:
        with pytest.raises(ProcessLookupError):
            os.kill(each, 0)


def test_what_was_asked_for_early_is_taken_once(tmp_path):
    door = opened(bind=f"ipc://{tmp_path}/in")
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.connect(f"ipc://{tmp_path}/in")
        push.send(own.encode(message(0)))
        for _ in range(2):
            door.ask(1, 0.0, 60.0)
        (frames,) = door.take(1, 0.0, 60.0)
        assert frames.names == ["frame 0"]
        assert door.take(1, 0.0, 0.05) == []
    door.close()


def test_an_address_that_cannot_be_used_is_an_error_with_its_option(tmp_path):
    with pytest.raises(UsageError, match="--bind ipc:///no/such/folder"):
        opened(bind="ipc:///no/such/folder/in")


def test_a_field_is_added_to_the_bytes_of_an_answer():
    assert own.loads(own.with_field(own.encode_answer({"type": "x", "n": 1}), "sequence", 2**40)) == {
        "type": "x",
        "n": 1,
        "sequence": 2**40,
    }
