"""Files that hang: each is opened by a child process first, since an open on a dead file system cannot be given up."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
from collections.abc import Iterator

from ...errors import InputError
from ...parameters import OPEN_TIMEOUT

_CHILD = """
import json, os, sys
for line in sys.stdin:
    try:
        descriptor = os.open(json.loads(line), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.read(descriptor, 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        pass
    try:
        os.write(1, b"\\n")
    except OSError:
        # The program that asked is gone.
        break
"""


class Prober:
    """Opens files in a child process.

    Parameters
    ----------
    timeout
        Seconds that a file may take.
    script
        What the child runs: for each line of JSON, the name of a file, it writes a line when the file was opened or
        could not be.
    """

    def __init__(self, timeout: float = OPEN_TIMEOUT, script: str = _CHILD) -> None:
        self._timeout, self._script = timeout, script
        self._hanging: set[str] = set()
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    @property
    def timeout(self) -> float:
        """Seconds that a file may take."""
        return self._timeout

    def check(self, path: str) -> None:
        """Return once a file was opened, or could not be; whatever is wrong with it will show.

        Raises
        ------
        InputError
            When it hangs.
        """
        with self._lock:
            if path not in self._hanging and not self._opens(path):
                # The child may be beyond killing, in the hands of the file system; it is left behind.
                self.close()
                self._hanging.add(path)
        if path in self._hanging:
            raise InputError(path, f"cannot be read: it did not open within {self._timeout:g} s")

    def _opens(self, path: str) -> bool:
        child = self._child
        if child is None or child.poll() is not None:
            # A session of its own: Ctrl-C is for the run.
            child = self._child = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", self._script],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                bufsize=0,
            )
        assert child.stdin is not None
        assert child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(json.dumps(path).encode() + b"\n")
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            if not selector.select(self._timeout):
                return False
        if not os.read(child.stdout.fileno(), 64):
            # Somebody ended the child; the next file gets a new one.
            self.close()
        return True

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            for stream in (self._child.stdin, self._child.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            self._child.kill()
            self._child = None


_prober: Prober | None = None


@contextlib.contextmanager
def probing(prober: Prober | None) -> Iterator[None]:
    """While inside, every input is probed before it is opened; None: none is."""
    global _prober
    before, _prober = _prober, prober
    try:
        yield
    finally:
        _prober = before
        if prober is not None:
            prober.close()


def open_timeout() -> float | None:
    """Seconds that a file may take to open, where files are probed."""
    return None if _prober is None else _prober.timeout


def check_opens(path: str) -> None:
    """Refuse a file that hangs when it is opened, where files are probed.

    Raises
    ------
    InputError
        When it hangs.
    """
    if _prober is not None:
        _prober.check(path)
