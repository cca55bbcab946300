"""Frames that the server asks for, as CrystFEL asks OM with the request `next`."""

import contextlib
import threading

import msgpack
import zmq

from tests.helpers.live.server import SPOTS, Client, serving

EVENTS = 6


class Monitor:
    """A monitor as OM has it: a ROUTER that answers each request with a list of one map, until its events end."""

    def __init__(self, address: str) -> None:
        self.asked, self._stop = [], threading.Event()
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.bind(address)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self._router.poll(20):
                continue
            who, empty, word = self._router.recv_multipart()
            self.asked.append((empty, word))
            if (k := len(self.asked)) > EVENTS:
                continue
            frame = {"number": k, "name": f"event {k}", "spots": SPOTS[k % len(SPOTS)].tolist()}
            self._router.send_multipart([who, empty, msgpack.packb([frame])])

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._context.destroy(linger=0)


def test_om_is_asked_for_frames_again_and_again_and_after_its_restart(tmp_path):
    address = f"ipc://{tmp_path}/om"
    with contextlib.ExitStack() as held, serving(request=(address,), queue=8) as server, Client(server) as client:
        for _ in range(2):
            monitor = Monitor(address)
            held.callback(monitor.close)
            answers = client.answers(EVENTS)
            assert {a["type"] for a in answers} == {"answer"}
            assert sorted(a["number"] for a in answers) == list(range(1, EVENTS + 1))
            assert set(monitor.asked) == {(b"", b"next")}
            monitor.close()
        assert server.state.as_dict()["whole"]["dropped"] == 0
