"""Output files, written whole or not at all. The only place that opens, links or removes one."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import IO

from ..errors import OutputError, UsageError

_system = os
"""Where the calls that change files go; tests of faults put something else here."""

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
    """Write a file; see `write_files`."""
    write_files({path: data}, overwrite)


def write_files(contents: Mapping[str, bytes | Iterable[bytes]], overwrite: bool) -> None:
    """Write files that belong together, each so that it is there whole or not at all, whatever happens meanwhile.

    All are safely on the disk before the first gets its name; where one gets none, those before it are removed.

    Parameters
    ----------
    contents
        By the path of each what is in it, in one piece or several.
    overwrite
        Whether existing files may be replaced; they stay as they are until the new ones are safely on the disk.

    Raises
    ------
    OutputError
        With the system's reason; nothing is left behind.
    """
    targets = {path: os.path.realpath(path) for path in contents}
    # Not made of the target's name, which may be as long as names can be.
    temporaries = {path: f"{os.path.dirname(at)}/.ffbidx-{secrets.token_hex(6)}.part" for path, at in targets.items()}
    named: list[str] = []
    try:
        for path, data in contents.items():
            with _told_of(path):
                _write(temporaries[path], [data] if isinstance(data, bytes) else data)
        for path, target in targets.items():
            with _told_of(path):
                _publish(temporaries[path], target, overwrite)
            named.append(target)
    except BaseException:
        for target in named:
            remove_file(target)
        raise
    finally:
        for path, temporary in temporaries.items():
            with _told_of(path), contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)


def publish_file(temporary: str, path: str, overwrite: bool) -> None:
    """Give a file that another process has written on the same file system its name, once it is safely on the disk.

    Raises
    ------
    OutputError
        With the system's reason.
    """
    with _told_of(path):
        descriptor = _system.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _system.fsync(descriptor)
        finally:
            os.close(descriptor)
        _publish(temporary, os.path.realpath(path), overwrite)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def append(path: str, data: bytes, at: int) -> None:
    """Write data behind the first `at` bytes of a file, and what was there before away; then it is on the disk.

    Raises
    ------
    OutputError
        With the system's reason. What is behind the first `at` bytes is then any part of the data.
    """
    try:
        descriptor = _system.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.ftruncate(descriptor, at)
            os.lseek(descriptor, at, os.SEEK_SET)
            _write_all(descriptor, data)
            _system.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _failed(path, error) from None


def make_directory(path: str) -> None:
    """Make a directory, unless it is there.

    Raises
    ------
    OutputError
        With the system's reason.
    """
    try:
        with contextlib.suppress(FileExistsError):
            _system.mkdir(path)
        _sync_directory(os.path.dirname(os.path.abspath(path)))
    except OSError as error:
        raise _failed(path, error) from None


def copy_file(source: str, target: str) -> None:
    """A second name for a file, or a copy of it where the file system knows no second names.

    Raises
    ------
    OutputError
        With the system's reason.
    """
    try:
        try:
            _system.link(source, target)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with open(source, "rb") as file:
                _write(target, iter(lambda: file.read(2**20), b""))
    except OSError as error:
        raise _failed(target, error) from None


def remove_file(path: str) -> None:
    """Remove a file, if it is there and can be; then its directory is on the disk without it."""
    with contextlib.suppress(OSError):
        os.unlink(path)
        _sync_directory(os.path.dirname(path))


def remove_directory(path: str) -> None:
    """Remove a directory with all that is in it, as far as possible."""
    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def scratch(folder: str) -> Iterator[Scratch]:
    """Room for bytes on the disk while inside, in a file without a name: whatever happens, nothing is left of it.

    Parameters
    ----------
    folder
        Where: on the file system of the output, since there is room for them. Empty: where temporary files are.
    """
    with tempfile.TemporaryFile(dir=folder or None, buffering=0) as file:
        yield Scratch(file)


class Scratch:
    """Bytes that wait on the disk until they are written to an output."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.size = file, 0

    def add(self, data: bytes) -> None:
        """Append bytes; an OSError when there is no room for them."""
        _write_all(self._file.fileno(), data)
        self.size += len(data)

    def pieces(self) -> Iterator[bytes]:
        """All bytes, some at a time."""
        self._file.seek(0)
        yield from iter(lambda: self._file.read(2**20), b"")


def _write(temporary: str, pieces: Iterable[bytes]) -> None:
    descriptor = _system.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        for piece in pieces:
            _write_all(descriptor, piece)
        _system.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        try:
            written = _system.write(descriptor, rest)
        except InterruptedError:
            continue
        if written == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rest = rest[written:]


def _publish(temporary: str, target: str, overwrite: bool) -> None:
    if overwrite:
        _system.replace(temporary, target)
    else:
        _link(temporary, target)
    _sync_directory(os.path.dirname(target))


def _sync_directory(path: str) -> None:
    # Some file systems cannot sync a directory; what is in it is on the disk by now.
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _link(temporary: str, target: str) -> None:
    """Give the file its name unless that is taken, which a link does in one step and a rename does not."""
    try:
        _system.link(temporary, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
        _system.rename(temporary, target)


@contextlib.contextmanager
def _told_of(path: str) -> Iterator[None]:
    """Tell of what goes wrong inside as an error of this output."""
    try:
        yield
    except FileExistsError:
        raise OutputError(path, "is already there, written by another program meanwhile: not replaced") from None
    except (OSError, ValueError) as error:
        raise _failed(path, error) from None


def _failed(path: str, error: Exception) -> OutputError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return OutputError(path, f"cannot be written: {reason.lower()}")
