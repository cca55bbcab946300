"""The HTTP server of a live run: its page, and its counters for Prometheus."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources

from ..errors import UsageError
from .state import LiveState, metrics

MOST_READERS = 32
"""Largest number of pages that are kept up to date at the same time."""
SECONDS = 1.0
"""Time in seconds between events."""


class _ServerOfIPv6(ThreadingHTTPServer):
    """A server at an IPv6 address."""

    address_family = socket.AF_INET6


class Page:
    """The page of a live server, served by a thread.

    Parameters
    ----------
    address
        Address of the page, HOST:PORT or [HOST]:PORT, as an IPv6 address is written.
    state
        The counts that the page shows.

    Attributes
    ----------
    url : str
        Address of the page for a browser.
    """

    def __init__(self, address: str, state: LiveState) -> None:
        host, _, port = address.rpartition(":")
        if not port.isdigit() or int(port) > 65535 or not host:
            raise UsageError(f"--http {address}: expected HOST:PORT, such as 127.0.0.1:8080")
        host, self._stop = host.strip("[]"), threading.Event()
        is_ipv6 = ":" in host
        server = _ServerOfIPv6 if is_ipv6 else ThreadingHTTPServer
        try:
            self._server = server((host, int(port)), _handler(state, self._stop))
        except OSError as error:
            raise UsageError(f"--http {address}: {(error.strerror or str(error)).lower()}") from None
        self._server.daemon_threads = True
        self.url = f"http://{f'[{host}]' if is_ipv6 else host}:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, name="ffbidx page", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End all connections."""
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()


def _handler(state: LiveState, stop: threading.Event) -> type[BaseHTTPRequestHandler]:
    readers = threading.BoundedSemaphore(MOST_READERS)

    class Handler(BaseHTTPRequestHandler):
        """The handler of one connection."""

        timeout = 30

        def do_GET(self) -> None:
            """Send the page, its events, the counters, or the state."""
            path = self.path.partition("?")[0]
            if path == "/":
                self._send("text/html; charset=utf-8", page())
            elif path == "/metrics":
                self._send("text/plain; version=0.0.4; charset=utf-8", metrics(state.as_dict()).encode())
            elif path == "/state":
                self._send("application/json", json.dumps(state.as_dict()).encode())
            elif path == "/events":
                self._events()
            else:
                self.send_error(404)

        def _send(self, kind: str, data: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Content-Security-Policy", "default-src 'self' 'unsafe-inline'")
            self.end_headers()
            self.wfile.write(data)

        def _events(self) -> None:
            if not readers.acquire(blocking=False):
                self.send_error(503, "too many pages are open")
                return
            try:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                while not stop.is_set():
                    self.wfile.write(f"data: {json.dumps(state.as_dict())}\n\n".encode())
                    self.wfile.flush()
                    stop.wait(SECONDS)
            except OSError:
                # The reader closed the page.
                pass
            finally:
                readers.release()

        def log_message(self, format: str, *args: object) -> None:
            """Suppress the log of requests."""

    return Handler


def page() -> bytes:
    """The bytes of the page, which is a single self-contained file."""
    return resources.files(__package__).joinpath("page.html").read_bytes()
