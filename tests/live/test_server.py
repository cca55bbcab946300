"""A server on loopback: what goes in comes out, whatever else is sent."""

import json
import os

import cbor2
import numpy as np
import pytest
import zmq

import ffbidx_core
from ffbidx_core.errors import UsageError
from ffbidx_core.live.dialects import own
from ffbidx_core.live.door.settings import DoorSettings
from ffbidx_core.live.door.sockets import Sockets
from ffbidx_core.live.door.waiting import Waiting
from ffbidx_core.live.messages import LARGEST_MESSAGE, Control, End, FlatPanel, Frame, Start
from ffbidx_core.live.runs import one_run
from ffbidx_core.live.state import LiveState
from ffbidx_core.model.detector.pixels import FlatDetector
from tests.helpers.calls import MONO
from tests.helpers.live.server import QUICK, SPOTS, Client, crystals, message, serving


def from_files(spots):
    """What `index` finds on these frames."""
    request = ffbidx_core.RunRequest(cells=MONO, spots=list(spots), parameters=QUICK, threads=1)
    results = ffbidx_core.index(request).results
    cells = results.cells[results.crystals]
    return [cells[i:j] for i, j in zip(results.crystal_offsets, results.crystal_offsets[1:], strict=False)]


def test_frames_are_answered_as_index_indexes_them():
    with serving() as server, Client(server) as client:
        client.send(*(message(k, "r") for k in range(8)))
        answers = client.answers(8)
    assert {a["run"] for a in answers} == {"r"}
    assert sorted(a["name"] for a in answers) == [f"frame {k}" for k in range(8)]
    assert [a["sequence"] for a in answers] == list(range(1, 9))
    for mine, other in zip(crystals(answers), from_files(SPOTS), strict=True):
        assert np.allclose(mine, other, atol=1e-4)
    assert all(a["status"] == "indexed" and a["reason"] == "" and a["dropped"] == 0 for a in answers)


def test_a_request_is_answered_in_its_dialect():
    with serving() as server, Client(server) as client:
        line = json.loads(client.ask(json.dumps({"number": 5, "spots": SPOTS[0].tolist()}).encode()))
        assert (line["number"], line["status"]) == (5, "indexed")
        values = cbor2.loads(client.ask(own.encode(Frame("", 6, "blank", spots=SPOTS[0][:2]))))
        assert (values["status"], values["reason"], values["crystals"]) == ("too_few_spots", "too_few_spots", [])


def test_garbage_costs_an_error_answer_and_nothing_else():
    garbage = [b"", b"\x80\x04K\x01.", b"{", b"\xff" * 50, b"\xa0", os.urandom(64) + b"\xff", b"[1]", b"\xa1atx"]
    with serving() as server, Client(server) as client:
        for data in garbage:
            client.send(data)
        assert [a["type"] for a in client.answers(len(garbage))] == ["error"] * len(garbage)
        assert json.loads(client.ask(b'{"spots": 5}'))["type"] == "error"
        client.answers(1)
        client.send(message(0))
        (answer,) = client.answers(1)
        assert answer["status"] == "indexed"
        assert server.state.as_dict()["whole"]["errors"] == len(garbage) + 1


def extreme_messages(rng, n):
    """Well-formed messages with numbers that no experiment has."""
    scales = (0.0, 1e-30, 1e-3, 1.0, 1e9, 1e30)
    cells = (MONO, "3,3,3,90,90,90", "1e4,1e4,1e4,90,90,90", "1000,2,2,90,90,90", "79,79,38,90,120,120", "1,1,1,1,1,1")
    for k in range(n):
        lengths = {name: float(rng.choice(scales)) * rng.choice((1, -1)) for name in ("wavelength", "distance")}
        rows = rng.normal(size=(rng.choice((0, 1, 9, 40)), 3)).astype(np.float32) * np.float32(rng.choice(scales))
        panel = FlatPanel((0.0, 1e9), float(rng.choice(scales[1:])), float(rng.choice(scales[1:])), (1, 2**20))
        yield from (
            Frame("", k, "", spots=rows),
            Frame("", k, "", pixels=rows[:, :2], intensity=rows[:, 2], **lengths),
            Start("", panel, float(rng.choice(scales[1:]))),
            Control((str(rng.choice(cells)),), {"min_spots": int(rng.choice((-1, 4, 9, 10**6)))}),
        )


def test_messages_with_extreme_numbers_get_one_answer_each():
    messages = list(extreme_messages(np.random.default_rng(1), 15))
    with serving() as server, Client(server) as client:
        client.send(*messages, Control((MONO,), {"min_spots": 9}), message(0))
        *answers, changed, last = client.answers(len(messages) + 2)
    assert {a["type"] for a in answers} == {"answer", "started", "changed", "error"}
    assert (changed["type"], last["status"]) == ("changed", "indexed")


def test_spots_that_are_not_finite_are_a_bad_frame():
    spots = SPOTS[0].copy()
    spots[3, 1] = np.nan
    with serving() as server, Client(server) as client:
        client.send(message(0, spots=spots), message(1))
        answers = {a["number"]: a["status"] for a in client.answers(2)}
    assert answers == {0: "bad_spots", 1: "indexed"}


def test_pixels_become_spots_by_the_start_message():
    detector = FlatDetector(150.0, 75.0, (4000, 4000), (2000.0, 2010.0))
    with serving() as server, Client(server) as client:
        client.send(Frame("r", 0, "blank", pixels=np.ones((9, 2), np.float32), sent=2.5))
        (answer,) = client.answers(1)
        assert answer["type"] == "error"
        assert [answer[key] for key in ("run", "number", "name", "sent")] == ["r", 0, "blank", 2.5]
        assert "geometry" in answer["message"]
        client.send(Start("r", FlatPanel((2000.0, 2010.0), 150.0, 75.0, (4000, 4000)), 1.0))
        pixels = detector.pixels(SPOTS[0].astype(float), 1.0).astype(np.float32)
        client.send(Frame("r", 1, "", pixels=pixels[np.isfinite(pixels).all(axis=1)]))
        started, answer = client.answers(2)
    assert started["type"] == "started"
    assert answer["status"] == "indexed"


def test_of_too_many_frames_the_oldest_are_dropped_and_answered():
    with serving(queue=4) as server, Client(server) as client:
        client.send(*(message(k) for k in range(200)))
        answers = client.answers(200)
    kinds = [a["type"] for a in answers]
    assert set(kinds) == {"answer", "dropped"}
    assert sorted(a["number"] for a in answers) == list(range(200))
    assert max(a["dropped"] for a in answers if a["type"] == "answer") == kinds.count("dropped")
    assert server.state.as_dict()["whole"]["dropped"] == kinds.count("dropped")


def test_cells_and_parameters_change_by_a_control_message():
    with serving(cells=("70,80,90,90,90,90",)) as server, Client(server) as client:
        client.send(message(0), Control((MONO,)), message(1), Control((), {"min_new_spots": 1000}), message(2))
        answers = client.answers(5)
        assert [a.get("status") for a in answers] == ["not_indexed", None, "indexed", None, "too_few_spots"]
        client.send(Control((), {"nonsense": 1}), Control(("1,2",)), Control(("/etc/passwd",)), message(3))
        assert [a["type"] for a in client.answers(4)] == ["error", "error", "error", "answer"]


def test_a_control_message_holds_for_the_next_runs_too(tmp_path):
    output = str(tmp_path / "{run}.h5")
    with serving(cells=("70,80,90,90,90,90",), output=output) as server, Client(server) as client:
        client.send(Control((MONO,)), message(0, "a"), End("a"), message(0, "b"))
        changed, *answers = client.answers(4)
        assert "next run" in changed["message"]
        assert [a.get("status") for a in answers] == ["indexed", None, "indexed"]
        client.send(Control((), {"min_new_spots": 1000}), message(1, "b"), message(0, "c"))
        assert [a.get("status") for a in client.answers(3)] == [None, "too_few_spots", "too_few_spots"]
        client.send(Control((), {"learn_geometry": 100}))
        assert "--learn-geometry" in client.answers(1)[0]["message"]
    assert sorted(path.name for path in tmp_path.glob("*.h5")) == ["a.h5", "b.h5", "c.h5"]


def test_runs_with_the_same_cell_share_its_plan_which_is_made_before_the_first_frame(tmp_path, monkeypatch):
    calls, index_batch = [], one_run.index_batch

    def noted(devices, block, cells, p, *, keep_all):
        calls.append((cells.plan, cells.given, p))
        return index_batch(devices, block, cells, p, keep_all=keep_all)

    monkeypatch.setattr(one_run, "index_batch", noted)
    parameters = {"learn_cell": 60}
    with serving(output=str(tmp_path / "{run}.h5"), parameters=parameters) as server, Client(server) as client:
        n_before = len(calls)
        client.send(message(0, "a"), message(0, "b"))
        client.answers(2)
    assert len(calls) == n_before + 2
    assert n_before > 0
    for plan, given, p in calls:
        assert plan is calls[0][0]
        assert given is calls[0][1]
        assert p == calls[0][2]


def test_spot_lists_come_from_the_sockets_of_other_programs(tmp_path):
    pushes, publishes = f"ipc://{tmp_path}/push", f"ipc://{tmp_path}/pub"
    with zmq.Context() as context, context.socket(zmq.PUSH) as push, context.socket(zmq.XPUB) as pub:
        push.bind(pushes)
        pub.bind(publishes)
        with serving(connect=(pushes,), subscribe=(publishes,), topic="spots") as server, Client(server) as client:
            assert pub.poll(30_000)
            assert pub.recv() == b"\x01spots"
            push.send(own.encode(message(0)))
            pub.send_multipart([b"other", own.encode(message(1))])
            pub.send_multipart([b"spots", own.encode(message(2))])
            assert sorted(a["number"] for a in client.answers(2)) == [0, 2]
        push.close(linger=0)
        pub.close(linger=0)


@pytest.mark.parametrize("option", ["connect", "subscribe", "request"])
def test_an_address_to_which_the_server_cannot_connect_is_an_error_with_its_option(option):
    with pytest.raises(UsageError, match=f"--{option} tcp://nonsense: Invalid argument"):
        Sockets(DoorSettings(**{option: ("tcp://nonsense",)}), Waiting(1), LiveState())


def test_a_message_that_is_too_large_ends_its_connection_and_nothing_else():
    with serving() as server, Client(server) as client:
        client.send(bytes(LARGEST_MESSAGE + 1), message(0))
        client.send(message(1))
        assert [a["type"] for a in client.answers(2)] == ["answer", "answer"]


def test_one_cell_with_two_lattices_is_refused_as_index_refuses_it():
    cells = ("70,80,90,90,90,90", "70,80,90,90,90,90,C")
    with pytest.raises(UsageError, match="the same cell is given as oP and as oC") as of_index:
        ffbidx_core.index(ffbidx_core.RunRequest(cells=cells, spots=list(SPOTS)))
    with pytest.raises(UsageError) as of_serve, serving(cells=cells):
        pass
    assert str(of_serve.value) == str(of_index.value)
    with serving() as server, Client(server) as client:
        client.send(Control(cells), message(0))
        error, answer = client.answers(2)
    assert str(of_index.value) in error["message"]
    assert answer["status"] == "indexed"


def test_runs_begin_and_end_as_the_stream_says(tmp_path):
    with serving(output=str(tmp_path / "new" / "{run}.h5")) as server, Client(server) as client:
        client.send(
            Start("one"), message(0, "one"), message(1, "one"), End("one"), message(0, "two/../x"), message(2, "one")
        )
        found = client.answers(6)
        assert [s.complete for s in server.finished] == [True]
    assert [a["type"] for a in found] == ["started", "answer", "answer", "ended", "answer", "error"]
    assert [len(ffbidx_core.read_results(tmp_path / "new" / name)) for name in ("one.h5", "two_.._x.h5")] == [2, 1]
    assert [s.complete for s in server.summaries] == [True, False]


@pytest.mark.parametrize("address", ["tcp://0.0.0.0:5555", "tcp://*:5555", "tcp://beamline:5555"])
def test_other_machines_need_keys(address):
    with pytest.raises(UsageError, match="keys"), serving(bind=address):
        pass
