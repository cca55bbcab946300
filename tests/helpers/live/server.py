"""A live server in this process, and a client of it."""

import contextlib
import threading
import time

import cbor2
import numpy as np
import zmq

from ffbidx_core.live.dialects import own
from ffbidx_core.live.messages import Frame
from ffbidx_core.live.request import ServeRequest
from ffbidx_core.live.server import Server
from tests.helpers.calls import MONO
from tests.helpers.frames import frame

QUICK = {"num_halfsphere_points": 4096, "learn_cell": 0, "judge_frames": 0}
SPOTS = [frame(seed)[1] for seed in range(8)]
ANYWHERE = "tcp://127.0.0.1:*"


def message(k: int, run: str = "", **more) -> Frame:
    """The kth clear frame as a message."""
    return Frame(run, k, f"frame {k}", **({"spots": SPOTS[k % len(SPOTS)]} | more))


@contextlib.contextmanager
def serving(**asked):
    """A context with a server in a thread of this process, which ends and is joined at its end."""
    parameters = QUICK | asked.pop("parameters", {})
    request = ServeRequest(**({"cells": (MONO,), "bind": ANYWHERE, "parameters": parameters, "threads": 1} | asked))
    request.check()
    shown, finished, stop, ready, errors = [], [], threading.Event(), threading.Event(), []
    server = Server(request, show=shown.append, stop=stop, finished=finished.append)
    server.shown, server.finished, server.stop = shown, finished, stop

    def work():
        try:
            server.serve(ready=ready.set)
        except BaseException as error:
            errors.append(error)
            ready.set()

    server.thread = thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(120)
    try:
        if not errors:
            yield server
    finally:
        stop.set()
        thread.join(60)
    if errors:
        raise errors[0]


class Client:
    """A client that pushes messages, requests answers, and receives published answers."""

    def __init__(self, server, keys=None, *, is_admitted=True):
        bound = server.door.bound
        self.context = zmq.Context()
        self.push, self.sub, self.req = (self.context.socket(kind) for kind in (zmq.PUSH, zmq.SUB, zmq.REQ))
        self.sub.setsockopt(zmq.SUBSCRIBE, b"")
        admitted = self.sub.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        for socket, name in ((self.push, "bind"), (self.sub, "publish"), (self.req, "reply")):
            if keys is not None:
                keys(socket)
            socket.connect(bound[name])
        if is_admitted:
            assert admitted.poll(30_000)
        self.sub.disable_monitor()
        # A subscription needs a moment to reach the publisher.
        time.sleep(0.1)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.context.destroy(linger=0)

    def send(self, *messages):
        for each in messages:
            self.push.send(each if isinstance(each, bytes) else own.encode(each))

    def answers(self, n, seconds=60):
        """The next n published answers."""
        found = []
        end = time.monotonic() + seconds
        while len(found) < n and time.monotonic() < end:
            if self.sub.poll(100):
                found.append(cbor2.loads(self.sub.recv_multipart()[-1]))
        assert len(found) == n, found
        return found

    def ask(self, data: bytes, seconds=60) -> bytes:
        self.req.send(data)
        assert self.req.poll(1000 * seconds), "no answer"
        return self.req.recv()


def crystals(answers) -> list:
    """The cells in the answers, in the order of the frame numbers."""
    return [np.array([each["cell"] for each in a["crystals"]]) for a in sorted(answers, key=lambda a: a["number"])]
