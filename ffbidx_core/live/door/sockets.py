"""The sockets of a live server for spot lists and answers; one thread or one process uses all of them."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import zmq

from ...errors import UsageError
from ..answers import Answer, drop_answer, error_answer
from ..dialects import decoded, is_json
from ..messages import Frame, MessageError
from .asking import Asking
from .keys import authenticator
from .publisher import Encoded, Publisher, bound, new_socket
from .settings import DoorSettings
from .waiting import PUSHED, Counts, Origin, Queue, Received

AT_ONCE = 32
"""Number of messages that are taken from one socket before others have their turn, and before a batch may go."""


class Sockets:
    """The sockets, used by one thread only, except that any thread may call `answer`.

    Parameters
    ----------
    settings
        The addresses, as returned by `completed`, the dialect and the keys.
    waiting
        The queue that takes the messages.
    counts
        The counts of dropped frames, and of messages that cannot be used.

    Attributes
    ----------
    bound : dict
        The actual address of each of `bind`, `reply`, `publish`.
    outbox : deque of Encoded
        The answers that `send` sends.
    lines : deque of Answer
        The answers to lines of standard input, which somebody else writes.
    publisher : Publisher or None
        The socket for all readers; None if there is no address for it.
    """

    def __init__(self, settings: DoorSettings, waiting: Queue, counts: Counts) -> None:
        self._settings, self._waiting, self._counts = settings, waiting, counts
        self._context = zmq.Context()
        self._auth = authenticator(self._context, settings.keys) if settings.keys else None
        self._sources, self._asking = list[Any](), list[Asking]()
        self._poller = zmq.Poller()
        self.outbox, self.lines = deque[Encoded](), deque[Answer]()
        self.bound: dict[str, str] = {}
        try:
            self._open()
        except BaseException:
            self._end(linger=0)
            raise

    def _open(self) -> None:
        settings = self._settings
        self._router = self.publisher = None
        if settings.bind:
            self._sources.append(self._bound("bind", zmq.PULL, settings.bind))
        for address in settings.connect:
            self._sources.append(self._connected("connect", zmq.PULL, address))
        for address in settings.subscribe:
            socket = self._connected("subscribe", zmq.SUB, address)
            socket.setsockopt(zmq.SUBSCRIBE, settings.topic.encode())
            self._sources.append(socket)
        for address in settings.request:
            self._asking.append(Asking(self._context, address))
            self.watch(self._asking[-1].socket)
            self.watch(self._asking[-1].events)
        if settings.reply:
            self._router = self._bound("reply", zmq.ROUTER, settings.reply)
            self._sources.append(self._router)
        if settings.publish:
            self.publisher = Publisher(self._context, settings.publish, settings.keys)
            self.bound["publish"] = self.publisher.bound
        for socket in self._sources:
            self._poller.register(socket, zmq.POLLIN)

    def _bound(self, name: str, kind: int, address: str) -> Any:
        socket, self.bound[name] = bound(self._context, name, kind, address, self._settings.keys)
        return socket

    def _connected(self, name: str, kind: int, address: str) -> Any:
        socket = new_socket(self._context, kind)
        try:
            socket.connect(address)
        except zmq.ZMQError as error:
            raise UsageError(f"--{name} {address}: {error}") from None
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
        for asking in self._asking:
            if asking.events in ready:
                asking.note_events()
            if asking.socket in ready and self._receive(asking.socket):
                asking.answered()
            # Nobody has to drop a frame that nobody asked for.
            if not self._waiting.is_full:
                asking.ask()
        return ready

    def _receive(self, socket: Any) -> bool:
        """Take the messages of a socket; returns whether there was one."""
        is_router = socket is self._router
        for number in range(AT_ONCE):
            try:
                # Parts that are not copied know whether another one follows, without a call for this.
                part = socket.recv(zmq.NOBLOCK, copy=False)
                client = part.bytes if is_router else None
                while part.more:
                    part = socket.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return number > 0
            self._take(part.bytes, client)
        return True

    def _take(self, data: bytes, client: bytes | None) -> None:
        try:
            dialect, messages = decoded(data, self._settings.dialect)
        except MessageError as error:
            self._counts.failed()
            self.answer(Origin(client, "json" if is_json(data) else "cbor"), error_answer(str(error)))
            return
        origin, at = PUSHED if client is None else Origin(client, dialect.name), time.perf_counter()
        for message in messages:
            lost = self._waiting.put(Received(message, origin, at))
            if lost is not None and isinstance(lost.message, Frame):
                self._counts.dropped()
                self.answer(lost.origin, drop_answer(lost.message))

    def answer(self, origin: Origin, answer: Answer) -> None:
        """Add an answer to the outbox or to the lines, from any thread."""
        if origin.is_line:
            self.lines.append(answer)
        else:
            self.outbox.append(Encoded.of(answer, origin))

    def send(self) -> list[Encoded]:
        """Send the answers in the outbox, and return those that are still to be published by another process."""
        left = []
        while self.outbox:
            encoded = self.outbox.popleft()
            if encoded.client is not None and self._router is not None:
                self._reply(encoded.client, encoded.reply)
            if not encoded.published:
                continue
            if self.publisher is not None:
                self.publisher.publish(encoded.topic, encoded.published)
            else:
                left.append(encoded)
        return left

    def _reply(self, client: bytes, data: bytes) -> None:
        assert self._router is not None
        try:
            self._router.send_multipart([client, b"", data], zmq.NOBLOCK)
        except zmq.ZMQError:
            # The client has gone, or is so slow that its queue is full.
            self._counts.failed()

    def close(self) -> None:
        """Send the answers in the outbox, and close all sockets."""
        self.send()
        self._end(linger=500)

    def _end(self, linger: int) -> None:
        """Close all sockets; `linger` is the longest time in ms for messages that are not sent yet."""
        if self._auth is not None:
            self._auth.stop()
        self._context.destroy(linger=linger)
