"""Output files, written whole or not at all. The only place that opens one."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable

from ..errors import OutputError, UsageError

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def check_output(path: str, overwrite: bool, inputs: Iterable[str] = ()) -> None:
    """Refuse, before the run, an output that could not be written after it.

    Parameters
    ----------
    path
        The output.
    overwrite
        Whether an existing one may be replaced.
    inputs
        Files that the run reads, which it must not replace.

    Raises
    ------
    UsageError
        When the output is one of the inputs.
    OutputError
        When it is there already, or its directory cannot take it.
    """
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        _check_directory(path)
        return
    except (OSError, ValueError) as error:
        raise _failed(path, error) from None
    for name in inputs:
        with contextlib.suppress(OSError, ValueError):
            if os.path.samestat(found, os.stat(name)):
                raise UsageError(f"{path}: the output is the input {name}: give another name with -o")
    if not stat.S_ISREG(found.st_mode):
        raise OutputError(path, "is a directory" if stat.S_ISDIR(found.st_mode) else "is no regular file")
    if not overwrite:
        raise OutputError(path, "is already there: give another name with -o, or --overwrite")
    _check_directory(path)


def _check_directory(path: str) -> None:
    # What a symbolic link points to is replaced, not the link.
    directory = os.path.dirname(os.path.realpath(path)) or "."
    if path == "" or path.endswith("/"):
        raise OutputError(path or "''", "is no file name")
    if not os.path.isdir(directory):
        raise OutputError(path, f"its directory {directory} does not exist")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise OutputError(path, f"its directory {directory} cannot be written to")


def write_file(path: str, data: bytes | Iterable[bytes], overwrite: bool) -> None:
    """Write a file so that it is there whole or not at all, whatever happens meanwhile.

    Parameters
    ----------
    data
        The content, in one piece or several.
    overwrite
        Whether an existing file may be replaced; it stays as it is until the new one is safely on the disk.

    Raises
    ------
    OutputError
        With the system's reason; nothing is left behind.
    """
    target = os.path.realpath(path)
    # Not made of the target's name, which may be as long as names can be.
    temporary = os.path.join(os.path.dirname(target), f".ffbidx-{secrets.token_hex(6)}.part")
    try:
        try:
            _write(temporary, [data] if isinstance(data, bytes) else data)
            _publish(temporary, target, overwrite)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    except FileExistsError:
        raise OutputError(path, "is already there, written by another program meanwhile: not replaced") from None
    except (OSError, ValueError) as error:
        raise _failed(path, error) from None


def _write(temporary: str, pieces: Iterable[bytes]) -> None:
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        for piece in pieces:
            _write_all(descriptor, piece)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        try:
            written = os.write(descriptor, rest)
        except InterruptedError:
            continue
        if written == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rest = rest[written:]


def _publish(temporary: str, target: str, overwrite: bool) -> None:
    if overwrite:
        os.replace(temporary, target)
    else:
        _link(temporary, target)
    # Some file systems cannot sync a directory; the file itself is on the disk by now.
    with contextlib.suppress(OSError):
        descriptor = os.open(os.path.dirname(target), os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _link(temporary: str, target: str) -> None:
    """Give the file its name unless that is taken, which a link does in one step and a rename does not."""
    try:
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
        os.rename(temporary, target)


def _failed(path: str, error: Exception) -> OutputError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return OutputError(path, f"cannot be written: {reason.lower()}")
