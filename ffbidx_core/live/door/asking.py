"""Asking another program for frames, as CrystFEL asks OM: each request gets one message."""

from __future__ import annotations

from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from ...errors import UsageError
from .publisher import new_socket

NEXT = b"next"
"""The request that OM answers with its next frame."""


class Asking:
    """A socket with at most one request under way; a request is lost only if its connection is.

    Parameters
    ----------
    address
        Address at which the other program answers requests.

    Attributes
    ----------
    socket : zmq.Socket
        The socket in which messages arrive.
    events : zmq.Socket
        The socket that reports connections.
    """

    def __init__(self, context: Any, address: str) -> None:
        # A REQ socket would wait for ever for the answer of a program that was started anew.
        self.socket = new_socket(context, zmq.DEALER)
        self.events = self.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        self._is_connected = self._is_asked = False
        try:
            self.socket.connect(address)
        except zmq.ZMQError as error:
            raise UsageError(f"--request {address}: {error}") from None

    def note_events(self) -> None:
        """Take note of connections; what was asked of a lost one gets no answer."""
        try:
            while True:
                event = parse_monitor_message(self.events.recv_multipart(zmq.NOBLOCK))["event"]
                self._is_connected = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
                self._is_asked = False
        except zmq.Again:
            return

    def answered(self) -> None:
        """Take note of an answer."""
        self._is_asked = False

    def ask(self) -> None:
        """Ask for the next message, unless a request is under way or there is no connection."""
        if self._is_connected and not self._is_asked:
            self.socket.send_multipart([b"", NEXT])
            self._is_asked = True
