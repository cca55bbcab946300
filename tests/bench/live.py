"""Live indexing on loopback: delays at steady rates, and many messages with invalid ones and a killed server.

    python -m tests.bench.live --cores 2 --rates 100 500

Server and sender are processes of one machine; a delay is the time from sending a frame to receiving its answer.
"""

import argparse
import json
import os
import re
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cbor2
import numpy as np
import zmq

from ffbidx_core.live.dialects import own
from ffbidx_core.live.messages import Frame
from ffbidx_core.live.replayed import connect_subscriber
from ffbidx_core.simulate import Scenario, SimulatedFrames, simulate
from tests.bench import record
from tests.helpers.calls import start
from tests.helpers.live.load import delays_under_load

CELL = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0)
STILLS = 512
"""Number of simulated frames, which are sent repeatedly."""
GARBAGE = 100
"""Every how many messages an invalid one is sent."""


class Served:
    """A server in a process of its own.

    Parameters
    ----------
    folder
        Folder of its socket.
    cores
        Number of processors that it may use; None: all.
    """

    def __init__(self, folder: Path, *arguments: object, cores: int | None = None) -> None:
        self.address = f"ipc://{folder}/in"
        before = os.sched_getaffinity(0)
        if cores is not None:
            # Processors with adjacent numbers are often two threads of one core.
            os.sched_setaffinity(0, sorted(before)[:: len(before) // cores][:cores])
        cell = ",".join(f"{v:g}" for v in CELL)
        self.process = start("serve", "--bind", self.address, "--cell", cell, *arguments)
        os.sched_setaffinity(0, before)
        for line in self.process.stderr:
            if "spot lists" in line:
                return
        raise SystemExit(f"the server ended with status {self.process.wait()}")

    @property
    def resident(self) -> float:
        """The resident memory of the server, MB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024

    def end(self, number: int = signal.SIGTERM) -> None:
        """End the process by a signal."""
        self.process.send_signal(number)
        self.process.communicate(timeout=120)


def delays(
    stills: SimulatedFrames, folder: Path, rate: float, seconds: float, cores: int | None, options: list[str]
) -> dict:
    """The delays at a rate, without the frames from which the cell is learned."""
    server = Served(folder, *options, cores=cores)
    try:
        # The run goes on with the learned cell.
        run = {"run": "timed"}
        delays_under_load(server.address, stills.spots, stills.offsets, rate=100, n_frames=300, **run)
        time.sleep(3)
        n_frames = int(rate * seconds)
        return delays_under_load(server.address, stills.spots, stills.offsets, rate=rate, n_frames=n_frames, **run)
    finally:
        server.end()


@dataclass
class Soaked:
    """Counts of many messages, and the memory of the server in MB before and after them."""

    sent: int = 0
    garbage: int = 0
    answered: int = 0
    dropped: int = 0
    errors: int = 0
    kills: int = 0
    unanswered: int = 0
    before: float = 0.0
    after: float = 0.0


def soak(folder: Path, messages: int, kills: int = 2) -> Soaked:
    """Send many frames with too few spots to be searched, invalid messages, and kill the server; a reader is slow.

    Between two kills all frames are awaited: each is answered or dropped, and each invalid message gives an error.
    """
    found, context = Soaked(kills=kills), zmq.Context()
    spots = np.full((3, 3), 0.1, np.float32) + np.arange(3, dtype=np.float32)[:, None] / 100
    try:
        for part in range(kills + 1):
            server = Served(folder, "--save-every", "1", "-o", folder / "soak.h5", "--resume")
            push, sub, slow = (context.socket(kind) for kind in (zmq.PUSH, zmq.SUB, zmq.SUB))
            for each in (sub, slow):
                each.setsockopt(zmq.RCVHWM, 0 if each is sub else 1)
                each.setsockopt(zmq.SUBSCRIBE, b"")
                connect_subscriber(each, f"{server.address}.answers", 30)
            push.connect(server.address)
            n = messages // (kills + 1)
            before = found.answered + found.dropped + found.errors
            for k in range(n):
                is_garbage = k % GARBAGE == 0
                push.send(b"\x00garbage" if is_garbage else own.encode(Frame("r", k, f"{part}/{k}", spots=spots)))
                found.garbage += is_garbage
                found.sent += not is_garbage
                _receive(sub, found, 0)
                if k == n // 4:
                    found.before = server.resident
            end = time.monotonic() + 60
            while found.answered + found.dropped + found.errors < before + n and time.monotonic() < end:
                _receive(sub, found, 100)
            found.after = server.resident
            for each in (push, sub, slow):
                each.close(linger=0)
            server.end(signal.SIGKILL if part < kills else signal.SIGTERM)
    finally:
        context.destroy(linger=0)
    found.unanswered = found.sent + found.garbage - found.answered - found.dropped - found.errors
    return found


def _receive(sub: zmq.Socket, found: Soaked, timeout: int) -> None:
    while sub.poll(timeout):
        kind = cbor2.loads(sub.recv_multipart()[-1])["type"]
        found.answered += kind == "answer"
        found.dropped += kind == "dropped"
        found.errors += kind == "error"


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.bench.live", description=__doc__)
    parser.add_argument("--rates", type=float, nargs="*", default=[100, 500], help="frames a second")
    parser.add_argument("--seconds", type=float, default=20, help="seconds at each rate")
    parser.add_argument("--spots", type=int, default=100, help="spots of a frame")
    parser.add_argument("--cores", type=int, help="processors of the server")
    parser.add_argument("--soak", type=int, default=0, metavar="N", help="messages of the long run")
    parser.add_argument("--serve", default="", help="further options of `ffbidx serve`, in one argument")
    record.add_option(parser)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenario = Scenario(cells=(CELL,), n_spots=(options.spots,) * 2, lattices=(1, 1))
        stills = simulate(scenario, STILLS, 1) if options.rates else None
        for rate in options.rates:
            row = delays(stills, folder, rate, options.seconds, options.cores, options.serve.split())
            rows.append(
                {
                    "where": options.serve or "cpu",
                    "cores": options.cores or len(os.sched_getaffinity(0)),
                    "rate": rate,
                    "load": os.getloadavg()[0],
                }
                | row
            )
            print(json.dumps(rows[-1]), flush=True)
        if options.soak:
            found = soak(folder, options.soak)
            print(found, flush=True)
            rows.append({"where": "soak"} | asdict(found))
    if options.json:
        record.write(options.json, rows, f"{record.processor()}, of a server on {options.cores or 'all'} of them")
    return int(any(row.get("unanswered") for row in rows))


if __name__ == "__main__":
    sys.exit(main())
