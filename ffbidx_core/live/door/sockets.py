"""The sockets of a live server for spot lists and answers; one thread or one process uses all of them."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import zmq
import zmq.auth

from ...errors import UsageError
from ..answers import Answer, drop_answer, error_answer
from ..dialects import DIALECTS, decoded, own
from ..messages import LARGEST_MESSAGE, Frame, MessageError
from .addresses import Addresses
from .keys import authenticator, use_server_keys
from .waiting import Origin, Received, Waiting

AT_ONCE = 256
"""Number of messages that are taken from one socket before the other sockets have their turn."""
MOST_ANSWERS = 10_000
"""Number of answers that wait for a slow reader; it loses further ones, and sees this by the sequence numbers."""


@dataclass(frozen=True)
class Encoded:
    """An answer as bytes.

    Attributes
    ----------
    topic, published : bytes
        The topic and the bytes for all readers, which lack the sequence number.
    client : bytes or None
        Address of the client that waits for a reply; None if there is none.
    reply : bytes
        The bytes for this client, in the dialect of its message.
    """

    topic: bytes
    published: bytes
    client: bytes | None
    reply: bytes

    @classmethod
    def of(cls, answer: Answer, origin: Origin) -> Self:
        """The bytes of an answer to a message that came from `origin`."""
        topic = (answer["run"] if answer["type"] == "answer" else answer["type"]) or "run"
        reply = b"" if origin.client is None else DIALECTS[origin.dialect].encode_answer(answer)
        return cls(topic.encode(), own.encode_answer(answer), origin.client, reply)


class Sockets:
    """The sockets, used by one thread only, except that any thread may add answers to `outbox`.

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
    outbox : deque of Encoded
        The answers that `send` sends.
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
        self._poller = zmq.Poller()
        self.outbox: deque[Encoded] = deque()
        self.bound: dict[str, str] = {}
        try:
            self._open(addresses)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise UsageError(f"{self._at_hand}: {error}") from None

    def _open(self, addresses: Addresses) -> None:
        self._at_hand = ""
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
        for socket in self._sources:
            self._poller.register(socket, zmq.POLLIN)

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

    def pair(self) -> tuple[Any, Any]:
        """Two connected sockets within this process: another thread sends to the second to end `receive`."""
        mine, other = self._context.socket(zmq.PULL), self._context.socket(zmq.PUSH)
        mine.bind("inproc://bell")
        other.connect("inproc://bell")
        self.watch(mine)
        return mine, other

    def watch(self, source: Any) -> None:
        """End `receive` also when a message waits in this socket or file descriptor."""
        self._poller.register(source, zmq.POLLIN)

    def receive(self, timeout: int) -> set[Any]:
        """Take messages into the queue, waiting for the first at most `timeout` milliseconds.

        Returns
        -------
        set
            The sockets and file descriptors in which something waited.
        """
        ready = {source for source, _ in self._poller.poll(timeout)}
        for socket in self._sources:
            if socket in ready:
                self._receive(socket)
        return ready

    def _receive(self, socket: Any) -> None:
        is_router = socket is self._router
        for _ in range(AT_ONCE):
            try:
                data = socket.recv(zmq.NOBLOCK)
                client = data if is_router else None
                while socket.getsockopt(zmq.RCVMORE):
                    data = socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._take(data, client)

    def _take(self, data: bytes, client: bytes | None) -> None:
        try:
            dialect, messages = decoded(data, self._dialect)
        except MessageError as error:
            self._on_error()
            self.outbox.append(Encoded.of(error_answer(str(error)), Origin(client, _dialect_of_error(data))))
            return
        origin = Origin(client, dialect.name)
        answer = functools.partial(self.answer, origin)
        for message in messages:
            lost = self._waiting.put(Received(message, answer, origin))
            if lost is not None and isinstance(lost.message, Frame):
                self._on_drop()
                lost.answer(drop_answer(lost.message))

    def answer(self, origin: Origin, answer: Answer) -> None:
        """Add an answer to the outbox, from any thread."""
        self.outbox.append(Encoded.of(answer, origin))

    def send(self) -> None:
        """Send the answers in the outbox."""
        while self.outbox:
            encoded = self.outbox.popleft()
            if encoded.client is not None and self._router is not None:
                self._send(self._router, encoded.client, b"", encoded.reply)
            if self._publisher is not None:
                self._sequence += 1
                data = own.with_field(encoded.published, "sequence", self._sequence)
                self._send(self._publisher, encoded.topic, data)

    def _send(self, socket: Any, *parts: bytes) -> None:
        try:
            for part in parts[:-1]:
                socket.send(part, zmq.NOBLOCK | zmq.SNDMORE)
            socket.send(parts[-1], zmq.NOBLOCK)
        except zmq.ZMQError:
            # The reader has gone, or is so slow that its queue is full.
            self._on_error()

    def close(self) -> None:
        """Send the answers in the outbox, and close all sockets."""
        self.send()
        if self._auth is not None:
            self._auth.stop()
        self._context.destroy(linger=500)


def _dialect_of_error(data: bytes) -> str:
    """Name of the dialect of the reply to a message that cannot be used."""
    return "json" if data.lstrip()[:1] in (b"{", b"[") else "cbor"
