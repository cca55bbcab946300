"""The sockets of a live server, all of them in one thread: spot lists in, answers out."""

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

from ..errors import UsageError
from .answers import Answer, drop_answer, error_answer
from .dialects import DIALECTS, Dialect, decoded, own
from .keys import authenticator, use_server_keys
from .messages import LARGEST_MESSAGE, Frame, MessageError
from .waiting import Received, Waiting

AT_ONCE = 256
"""Messages that are taken from one socket before the others have their turn."""
MOST_ANSWERS = 10_000
"""Answers that wait for a slow reader; of more it loses some, which it sees by their sequence numbers."""
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")


@dataclass(frozen=True)
class Addresses:
    """Where a server listens, and what it connects to; empty addresses are not used.

    Attributes
    ----------
    bind, reply, publish : str
        PULL for spot lists, ROUTER for those that want their answer back, PUB for all answers.
    connect, subscribe : tuple of str
        Addresses of others: PUSH sockets to pull from, PUB sockets to subscribe to.
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
        """With the ports behind that of `bind` for answers, where they are not given."""
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
        """Refuse to listen where other machines can send, unless they need a key."""
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
        A completed set of addresses.
    waiting
        Takes the messages.
    dialect
        Word of the dialect, or `auto`.
    keys
        Folder with keys, or empty.
    on_drop, on_error
        Called for a frame that is dropped, and for a message that cannot be used.

    Attributes
    ----------
    bound : dict
        The address that each of `bind`, `reply`, `publish` really has.
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
        # A larger one ends the connection that it comes from.
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
        """Begin to receive."""
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
        """Send an answer, from whatever thread: it goes with the next `flush`, or with the next message that comes."""
        self._outbox.append((sender, dialect, answer))

    def flush(self) -> None:
        """Have the answers sent now."""
        # A bell whose queue is full rings already.
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
            # The reader is gone, or so slow that its queue is full.
            self._on_error()

    def close(self) -> None:
        """Send what waits, and close all sockets."""
        self._stop.set()
        if self._thread.is_alive():
            self.flush()
            self._thread.join()
        if self._auth is not None:
            self._auth.stop()
        self._context.destroy(linger=500)


def _dialect_for_answers(data: bytes, otherwise: Dialect) -> Dialect:
    """The dialect in which a message that cannot be used is answered."""
    return DIALECTS["json"] if data.lstrip()[:1] in (b"{", b"[") else otherwise
