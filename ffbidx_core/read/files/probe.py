"""Probing of files that may hang: a child process opens each first, since an open on a dead file system never ends."""

from __future__ import annotations

import contextlib
import json
import selectors
import subprocess
import sys
import threading
from collections.abc import Iterable
from typing import Self

from ...errors import InputError
from ...parameters import OPEN_TIMEOUT

_CHILD = """
import json, os, sys
def write():
    try:
        os.write(1, b"\\n")
    except OSError:
        # The program that asked is gone.
        sys.exit()
write()
for line in sys.stdin:
    try:
        descriptor = os.open(json.loads(line), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.read(descriptor, 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        pass
    write()
"""


class Prober:
    """A child process that opens files, to find out whether they hang.

    Parameters
    ----------
    timeout
        Time that opening a file may take, seconds.
    script
        Python script of the child: it writes a line once it has started, and for each line with the name of a file in
        JSON a line once the file has been opened or has failed to open.
    """

    def __init__(self, timeout: float = OPEN_TIMEOUT, script: str = _CHILD) -> None:
        self._timeout, self._script = timeout, script
        self._hanging: set[str] = set()
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Prober], tuple[float, str]]:
        """Give a copy in another process a child of its own, which finds out by itself which files hang there."""
        return Prober, (self._timeout, self._script)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def check(self, path: str) -> None:
        """Return once a file has been opened or has failed to open; a failure will show where the file is read.

        Raises
        ------
        InputError
            If opening the file hangs.
        """
        with self._lock:
            if path not in self._hanging and not self._opens(path):
                # The child may be stuck in the file system and impossible to kill; it is abandoned.
                self.close()
                self._hanging.add(path)
        if path in self._hanging:
            raise InputError(path, f"cannot be read: it did not open within {self._timeout:g} s")

    def _opens(self, path: str) -> bool:
        """Whether the child answers in time; the time in which it starts does not count."""
        child = self._child
        is_new = child is None or child.poll() is not None
        if child is None or is_new:
            # The child has a session of its own, so that Ctrl-C reaches only the run.
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
        answer = child.stdout.read(1) if is_new else b"\n"
        if answer:
            with selectors.DefaultSelector() as selector:
                selector.register(child.stdout, selectors.EVENT_READ)
                if not selector.select(self._timeout):
                    return False
            answer = child.stdout.read(1)
        if not answer:
            # The child was ended from outside; the next file gets a new one.
            self.close()
        return True

    def close(self) -> None:
        """End the child process."""
        if self._child is not None:
            for stream in (self._child.stdin, self._child.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            self._child.kill()
            self._child = None


def prober_of(paths: Iterable[str], seconds: float | None, *, more_come: bool) -> Prober | None:
    """Make the prober for several inputs, so that an input that hangs does not delay the others.

    Parameters
    ----------
    paths
        The inputs.
    seconds
        Time that opening an input may take, seconds; None for `OPEN_TIMEOUT`, 0 for no limit.
    more_come
        Whether further inputs may appear.

    Returns
    -------
    Prober or None
        None for a single input, and for no limit.
    """
    seconds = OPEN_TIMEOUT if seconds is None else seconds
    return Prober(seconds) if seconds > 0 and (more_come or len(set(paths)) > 1) else None


def check_opens(path: str, prober: Prober | None) -> None:
    """Check that a file does not hang when it is opened, if there is a prober.

    Raises
    ------
    InputError
        If opening the file hangs.
    """
    if prober is not None:
        prober.check(path)
