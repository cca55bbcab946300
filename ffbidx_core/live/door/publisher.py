"""The socket on which all answers are published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import zmq

from ...errors import UsageError
from ..answers import Answer
from ..dialects import DIALECTS, own
from ..messages import LARGEST_MESSAGE
from .keys import use_server_keys
from .waiting import Origin

MOST_ANSWERS = 10_000
"""Number of answers that wait for a slow reader; it loses further ones, and sees this by the sequence numbers."""


@dataclass(frozen=True)
class Encoded:
    """An answer as bytes.

    Attributes
    ----------
    topic, published : bytes
        The topic and the bytes for all readers, which lack the sequence number; empty: not for them.
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

    @property
    def reply_only(self) -> Self:
        """The answer for its client only."""
        return replace(self, published=b"")


def new_socket(context: Any, kind: int) -> Any:
    """A socket with the limits that all sockets of a server have."""
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 500)
    socket.setsockopt(zmq.SNDHWM, MOST_ANSWERS)
    # A larger message ends its connection.
    socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
    return socket


def bound(context: Any, name: str, kind: int, address: str, keys: str) -> tuple[Any, str]:
    """A socket bound to the address that an option names, and its actual address.

    Raises
    ------
    UsageError
        If the address cannot be used; the error names the option.
    """
    socket = new_socket(context, kind)
    if keys:
        use_server_keys(socket, keys)
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        raise UsageError(f"--{name} {address}: {error}") from None
    return socket, socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()


class Publisher:
    """A PUB socket, and the sequence numbers of what it publishes.

    Attributes
    ----------
    bound : str
        The actual address.
    """

    def __init__(self, context: Any, address: str, keys: str) -> None:
        self._socket, self.bound = bound(context, "publish", zmq.PUB, address, keys)
        self._sequence = 0

    def publish(self, topic: bytes, data: bytes) -> None:
        """Publish an answer in CBOR, with the next sequence number; a reader that is too slow loses it."""
        self._send(topic, own.with_field(data, "sequence", self._next()))

    def publish_all(self, topic: bytes, answers: Sequence[Answer]) -> None:
        """Publish answers as `publish` does; this adds the sequence numbers to them."""
        for answer in answers:
            answer["sequence"] = self._next()
            self._send(topic, own.encode_answer(answer))

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _send(self, topic: bytes, data: bytes) -> None:
        self._socket.send(topic, zmq.SNDMORE)
        self._socket.send(data)
