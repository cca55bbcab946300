"""The answers to replayed frames, and their delays."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import cbor2
import numpy as np
import zmq

from ..errors import UsageError
from .door.keys import use_client_keys
from .messages import LARGEST_MESSAGE


@dataclass
class Replayed:
    """The outcome of the frames that were sent.

    Attributes
    ----------
    sent, answered, indexed, dropped, errors : int
        Number of frames sent, answered, indexed, dropped by the server, and answered with an error.
    seconds : float
        Time from sending the first frame to sending the last one.
    delays : list of float
        Delay from sending a frame to receiving its answer, in milliseconds on this machine's clock.
    missed : int
        Number of answers that were lost on the way, determined from their sequence numbers.
    error : str
        Message of the latest error; empty if there was none.
    """

    sent: int = 0
    answered: int = 0
    indexed: int = 0
    dropped: int = 0
    errors: int = 0
    seconds: float = 0.0
    missed: int = 0
    delays: list[float] = field(default_factory=list)
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The counts, the rate, and percentiles of the delays in milliseconds."""
        counts: dict[str, Any] = {
            name: getattr(self, name) for name in ("sent", "answered", "indexed", "dropped", "errors", "missed")
        }
        counts["frames_per_second"] = round(self.sent / self.seconds, 1) if self.seconds else None
        for q in (50, 90, 99, 100):
            counts[f"p{q}"] = round(float(np.percentile(self.delays, q)), 2) if self.delays else None
        return counts


def connect_subscriber(socket: Any, address: str, patience: float, stop: threading.Event | None = None) -> None:
    """Connect a SUB socket, and return once the publisher has admitted it.

    Nothing is raised if that does not happen within `patience` seconds, or before the event `stop` is set.
    """
    monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    try:
        socket.connect(address)
        end = time.monotonic() + patience
        while not monitor.poll(100) and time.monotonic() < end and not (stop and stop.is_set()):
            continue
    finally:
        socket.disable_monitor()
        monitor.close(linger=0)
    # The subscription follows the handshake, and nothing shows its arrival.
    time.sleep(0.1)


class Answers:
    """Receives the answers of a server in a thread of its own.

    Raises
    ------
    UsageError
        If the address cannot be used; the error names the option `--answers`.
    """

    def __init__(
        self, context: Any, address: str, keys: str, into: Replayed, patience: float, stop: threading.Event
    ) -> None:
        self._into, self._stop, self._last = into, threading.Event(), 0
        self._socket = context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
        try:
            if keys:
                use_client_keys(self._socket, keys)
            self._socket.setsockopt(zmq.SUBSCRIBE, b"")
            connect_subscriber(self._socket, address, patience, stop)
        except BaseException as error:
            # The context waits without end for a socket that is left open.
            self._socket.close(linger=0)
            if isinstance(error, zmq.ZMQError):
                raise UsageError(f"--answers {address}: {error}") from None
            raise
        self._thread = threading.Thread(target=self._run, name="ffbidx answers", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._socket.poll(100):
                self._take(cbor2.loads(self._socket.recv_multipart()[-1]))

    def _take(self, answer: dict[str, Any]) -> None:
        into = self._into
        sequence = answer["sequence"]
        if self._last:
            # A server that was started anew counts from 1 again.
            into.missed += sequence - 1 - (self._last if sequence > self._last else 0)
        self._last = sequence
        if answer["type"] == "answer":
            into.answered += 1
            into.indexed += bool(answer["crystals"])
            if answer["sent"] is not None:
                into.delays.append(1e3 * (time.time() - answer["sent"]))
        elif answer["type"] == "dropped":
            into.dropped += 1
        elif answer["type"] == "error":
            into.errors += 1
            into.error = answer["message"]

    @property
    def there(self) -> int:
        """Number of frames that are answered, dropped or refused."""
        return self._into.answered + self._into.dropped + self._into.errors

    def close(self) -> None:
        """Stop receiving."""
        self._stop.set()
        self._thread.join()
        self._socket.close(linger=0)
