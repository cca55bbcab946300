"""The sockets of a live server for spot lists and answers, all of them in one thread."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import zmq
import zmq.auth

from ...errors import UsageError
from ..answers import Answer, drop_answer, error_answer
from ..dialects import DIALECTS, Dialect, decoded, own
from ..messages import LARGEST_MESSAGE, Frame, MessageError
from .keys import authenticator, use_server_keys
from .waiting import Received, Waiting

AT_ONCE = 256
"""Number of messages that are taken from one socket before the other sockets have their turn."""
MOST_ANSWERS = 10_000
"""Number of answers that wait for a slow reader; it loses further ones, and sees this by the sequence numbers."""
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")


@dataclass(frozen=True)
class Addresses:
    """The addresses at which a server listens and to which it connects; empty addresses are not used.

    Attributes
    ----------
    bind, reply, publish : str
        Addresses of the PULL socket for spot lists, the ROUTER socket for requests, the PUB socket for all answers.
    connect, subscribe : tuple of str
        Addresses of other programs: PUSH sockets from which to pull, PUB sockets to which to subscribe.
    topic : str
        Topic of the subscriptions.
    """

    bind: str = ""
    reply: str = ""
    publish: str = ""
    connect: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    topic: str = ""

    def completed(self) -> Addresses:
        """The addresses, with the ports of `bind` + 1 and + 2 for answers if these are not given."""
        if not self.bind:
            return self
        host, _, port = self.bind.rpartition(":")
        if self.bind.startswith("ipc://"):
            publish, reply = f"{self.bind}.answers", f"{self.bind}.reply"
        elif port == "*":
            publish = reply = self.bind
        elif port.isdigit() and 0 < int(port) < 65534:
            publish, reply = f"{host}:{int(port) + 1}", f"{host}:{int(port) + 2}"
        else:
            raise UsageError(f"--bind {self.bind}: expected tcp://127.0.0.1:PORT or ipc://FILE")
        return Addresses(
            self.bind, self.reply or reply, self.publish or publish, self.connect, self.subscribe, self.topic
        )

    def check(self, has_keys: bool) -> None:
        """Raise an error if other machines could send without a key."""
        for option, address in (("--bind", self.bind), ("--reply", self.reply), ("--publish", self.publish)):
            host = address.removeprefix("tcp://").rpartition(":")[0]
            if address and not has_keys and not address.startswith("ipc://") and host not in LOOPBACK:
                raise UsageError(
                    f"{option} {address}: other machines could send there; give keys with --keys DIR (made by "
                    "--make-keys DIR), or listen on 127.0.0.1"
                )


class Sockets:
    """The sockets and their thread.

    Parameters
    ----------
    addresses
        The addresses, as returned by `completed`.
    waiting
        The queue that takes the messages.
    dialect
        Name of the dialect, or `auto`.
    keys
        Folder with keys; empty: no keys.
    on_drop, on_error
        Functions that are called for a dropped frame, and for a message that cannot be used.

    Attributes
    ----------
    bound : dict
        The actual address of each of `bind`, `reply`, `publish`.
    """

    def __init__(
        self,
        addresses: Addresses,
        waiting: Waiting,
        *,
        dialect: str,
        keys: str,
        on_drop: Callable[[], None],
        on_error: Callable[[], None],
    ) -> None:
        self._waiting, self._dialect, self._on_drop, self._on_error = waiting, dialect, on_drop, on_error
        self._context = zmq.Context()
        self._auth = authenticator(self._context, keys) if keys else None
        self._keys, self._sources, self._sequence = keys, list[Any](), 0
        self._outbox: deque[tuple[bytes | None, Dialect, Answer]] = deque()
        self.bound: dict[str, str] = {}
        try:
            self._open(addresses)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise UsageError(f"{self._at_hand}: {error}") from None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ffbidx sockets", daemon=True)

    def _open(self, addresses: Addresses) -> None:
        self._router = self._publisher = None
        if addresses.bind:
            self._sources.append(self._bound("bind", zmq.PULL, addresses.bind))
        for address in addresses.connect:
            self._sources.append(self._connected(zmq.PULL, address))
        for address in addresses.subscribe:
            socket = self._connected(zmq.SUB, address)
            socket.setsockopt(zmq.SUBSCRIBE, addresses.topic.encode())
            self._sources.append(socket)
        if addresses.reply:
            self._router = self._bound("reply", zmq.ROUTER, addresses.reply)
            self._sources.append(self._router)
        if addresses.publish:
            self._publisher = self._bound("publish", zmq.PUB, addresses.publish)
        self._at_hand = "inproc"
        self._bell_in = self._context.socket(zmq.PULL)
        self._bell_in.bind("inproc://bell")
        self._bell_lock = threading.Lock()
        self._bell_out = self._context.socket(zmq.PUSH)
        self._bell_out.connect("inproc://bell")

    def _socket(self, kind: int) -> Any:
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 500)
        socket.setsockopt(zmq.SNDHWM, MOST_ANSWERS)
        # A larger message ends its connection.
        socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
        return socket

    def _bound(self, name: str, kind: int, address: str) -> Any:
        self._at_hand = f"--{name} {address}"
        socket = self._socket(kind)
        if self._keys:
            use_server_keys(socket, self._keys)
        socket.bind(address)
        self.bound[name] = socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
        return socket

    def _connected(self, kind: int, address: str) -> Any:
        self._at_hand = address
        socket = self._socket(kind)
        socket.connect(address)
        return socket

    def start(self) -> None:
        """Start receiving."""
        self._thread.start()

    def _run(self) -> None:
        poller = zmq.Poller()
        for socket in (*self._sources, self._bell_in):
            poller.register(socket, zmq.POLLIN)
        while not self._stop.is_set():
            ready = dict(poller.poll(200))
            if self._bell_in in ready:
                self._drain_bell()
            for socket in self._sources:
                if socket in ready:
                    self._receive(socket)
            self._send_all()
        self._send_all()

    def _drain_bell(self) -> None:
        with contextlib.suppress(zmq.Again):
            while True:
                self._bell_in.recv(zmq.NOBLOCK)

    def _receive(self, socket: Any) -> None:
        for _ in range(AT_ONCE):
            try:
                parts: Sequence[bytes] = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            sender = parts[0] if socket is self._router else None
            self._take(parts[-1], sender)

    def _take(self, data: bytes, sender: bytes | None) -> None:
        dialect = DIALECTS["cbor"]
        try:
            dialect, messages = decoded(data, self._dialect)
        except MessageError as error:
            self._on_error()
            self._outbox.append((sender, _dialect_for_answers(data, dialect), error_answer(str(error))))
            return
        answer = functools.partial(self.answer, sender, dialect)
        for message in messages:
            lost = self._waiting.put(Received(message, answer))
            if lost is not None and isinstance(lost.message, Frame):
                self._on_drop()
                lost.answer(drop_answer(lost.message))

    def answer(self, sender: bytes | None, dialect: Dialect, answer: Answer) -> None:
        """Send an answer, from any thread; it leaves with the next `flush`, or when the next message arrives."""
        self._outbox.append((sender, dialect, answer))

    def flush(self) -> None:
        """Make the thread send the waiting answers now."""
        # If the queue of the bell is full, it is ringing already.
        with self._bell_lock, contextlib.suppress(zmq.Again):
            self._bell_out.send(b"", zmq.NOBLOCK)

    def _send_all(self) -> None:
        while self._outbox:
            sender, dialect, answer = self._outbox.popleft()
            if sender is not None and self._router is not None:
                self._send(self._router, [sender, b"", dialect.encode_answer(answer)])
            if self._publisher is not None:
                self._sequence += 1
                topic = answer["run"] if answer["type"] == "answer" else answer["type"]
                data = own.encode_answer(answer | {"sequence": self._sequence})
                self._send(self._publisher, [(topic or "run").encode(), data])

    def _send(self, socket: Any, parts: list[bytes]) -> None:
        try:
            socket.send_multipart(parts, zmq.NOBLOCK)
        except zmq.ZMQError:
            # The reader has gone, or is so slow that its queue is full.
            self._on_error()

    def close(self) -> None:
        """Send the waiting answers, and close all sockets."""
        self._stop.set()
        if self._thread.is_alive():
            self.flush()
            self._thread.join()
        if self._auth is not None:
            self._auth.stop()
        self._context.destroy(linger=500)


def _dialect_for_answers(data: bytes, otherwise: Dialect) -> Dialect:
    """The dialect of the answer to a message that cannot be used."""
    return DIALECTS["json"] if data.lstrip()[:1] in (b"{", b"[") else otherwise
