"""Running programs in a pseudo terminal of a given width."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x1b\][^\x07]*\x07|\r")
"""Control sequences for colours and for moving the cursor."""


def screen_of(
    command: Sequence[str],
    width: int,
    cwd: str,
    typed: Sequence[tuple[str, str]] = (),
    timeout: float = 60.0,
    until: str = "",
) -> str:
    """The text that a command writes to a terminal of this width, without colours.

    Parameters
    ----------
    typed
        Pairs of a text for which to wait and a text to type once the command is then silent for a moment.
    timeout
        Time in seconds after which the command is ended.
    until
        Text at which the command is ended once everything is typed; empty: it ends by itself.
    """
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    process = subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, cwd=cwd, env=environment(), start_new_session=True
    )
    os.close(follower)
    written, waiting, end = b"", list(typed), time.monotonic() + timeout
    while time.monotonic() < end:
        # Asked before the terminal is read, so that nothing is missed that was written last.
        has_ended = process.poll() is not None
        if select.select([leader], [], [], 0.5 if waiting else 0.1)[0]:
            try:
                part = os.read(leader, 1 << 16)
            except OSError:
                break
            if not part:
                break
            written += part
            if until and not waiting and until in CONTROL.sub("", written.decode("utf-8", "replace")):
                break
        elif waiting:
            if waiting[0][0].encode() in written:
                os.write(leader, waiting.pop(0)[1].encode())
        elif has_ended:
            break
    process.kill()
    process.wait()
    os.close(leader)
    return CONTROL.sub("", written.decode("utf-8", "replace"))


def environment() -> Mapping[str, str]:
    """The environment of a terminal, without variables for its size."""
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    return kept | {"TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
