"""Output files, each written completely or not at all; no other module opens, links or removes one."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import IO, Self

from ..errors import OutputError

_system = os
"""The module whose functions change files; tests of faults replace it."""

REMOVERS = 4
"""Number of threads that remove the files of a directory."""
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def write_file(path: str, data: bytes | Iterable[bytes], overwrite: bool) -> None:
    """Write a file; see `write_files`."""
    write_files({path: data}, overwrite)


def write_files(contents: Mapping[str, bytes | Iterable[bytes]], overwrite: bool) -> None:
    """Write files that belong together, so that each is there completely or not at all, whatever happens meanwhile.

    All files are safely on the disk before the first gets its name. If a file cannot get its name, those named before
    it are removed, and the files that they replaced get their names back. A process that is killed between the first
    and the last name leaves both old and new files, the old ones as `.ffbidx-*.old` beside the new ones.

    Parameters
    ----------
    contents
        Content of each file, keyed by its path, as one piece of bytes or several.
    overwrite
        Whether existing files may be replaced; they stay as they are until the new ones are safely on the disk.

    Raises
    ------
    OutputError
        If a file cannot be written, with the system's reason; the directories are then as they were before.
    """
    targets = {path: os.path.realpath(path) for path in contents}
    temporaries = {path: beside(target, ".part") for path, target in targets.items()}
    try:
        for path, data in contents.items():
            with _errors_of(path):
                _write(temporaries[path], [data] if isinstance(data, bytes) else data)
        with _Replaced() as replaced:
            for path, target in targets.items():
                with _errors_of(path):
                    # A single file is replaced in one atomic step.
                    if overwrite and len(targets) > 1:
                        replaced.keep(target)
                    _publish(temporaries[path], target, overwrite)
                replaced.named.append(target)
    finally:
        for path, temporary in temporaries.items():
            with _errors_of(path), contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)


class _Replaced:
    """Files about to be replaced, each kept under a second name until all new files have their names.

    A context manager: after an exception inside, the new files are removed and the old ones get their names back.

    Attributes
    ----------
    named : list of str
        Paths of the new files that have their names already.
    """

    def __init__(self) -> None:
        self.named: list[str] = []
        self._kept: dict[str, str] = {}

    def keep(self, target: str) -> None:
        """Keep the file at a path, if there is one, by a link, or by a rename if links are not supported."""
        try:
            if not stat.S_ISREG(os.lstat(target).st_mode):
                return
        except FileNotFoundError:
            return
        kept = self._kept[target] = beside(target, ".old")
        try:
            _system.link(target, kept)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            _system.rename(target, kept)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            for target in self.named:
                if target not in self._kept:
                    remove_file(target)
        for target, kept in self._kept.items():
            # If the old file cannot get its name back, it stays under the second name.
            with contextlib.suppress(OSError):
                if error is not None:
                    os.rename(kept, target)
                # This is also needed after a rename, which does nothing if both are names of one file.
                os.unlink(kept)
        for directory in {os.path.dirname(target) for target in self._kept}:
            _sync_directory(directory)


def beside(target: str, suffix: str) -> str:
    """A new name in the directory of a file; it does not contain the file's name, which may have the maximal length."""
    return os.path.join(os.path.dirname(target), f".ffbidx-{secrets.token_hex(6)}{suffix}")


def publish_file(temporary: str, path: str, overwrite: bool) -> None:
    """Give a file that another process has written on the same file system its name, once it is safely on the disk.

    Raises
    ------
    OutputError
        If this fails, with the system's reason.
    """
    with _errors_of(path):
        sync_file(temporary)
        _publish(temporary, os.path.realpath(path), overwrite)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def sync_file(path: str) -> None:
    """Wait until what is written to a file so far is on the disk."""
    descriptor = _system.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _system.fsync(descriptor)
    finally:
        os.close(descriptor)


def append(path: str, data: bytes, at: int) -> None:
    """Replace everything after the first `at` bytes of a file by data, and wait until it is on the disk.

    Raises
    ------
    OutputError
        If this fails, with the system's reason; any part of the data may then follow the first `at` bytes.
    """
    try:
        descriptor = _system.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.ftruncate(descriptor, at)
            os.lseek(descriptor, at, os.SEEK_SET)
            write_all(descriptor, data)
            _system.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise failed(path, error) from None


def make_directory(path: str) -> None:
    """Make a directory, unless it exists.

    Raises
    ------
    OutputError
        If this fails, with the system's reason.
    """
    try:
        with contextlib.suppress(FileExistsError):
            _system.mkdir(path)
        _sync_directory(os.path.dirname(os.path.abspath(path)))
    except OSError as error:
        raise failed(path, error) from None


def copy_file(source: str, target: str) -> None:
    """Give a file a second name, or copy it if links are not supported or the names are on two file systems.

    Raises
    ------
    OutputError
        If this fails, with the system's reason.
    """
    try:
        try:
            _system.link(source, target)
        except OSError as error:
            if error.errno not in (*_NO_LINKS, errno.EXDEV):
                raise
            with open(source, "rb") as file:
                _write(target, pieces_of(file))
    except OSError as error:
        raise failed(target, error) from None


def pieces_of(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the rest of an open file, some bytes at a time."""
    yield from iter(lambda: file.read(2**20), b"")


def remove_file(path: str) -> None:
    """Remove a file if possible, and wait until its directory is on the disk without it."""
    with contextlib.suppress(OSError):
        os.unlink(path)
        _sync_directory(os.path.dirname(path))


def remove_directory(path: str) -> None:
    """Remove a directory with its content, as far as possible; several threads free the memory of its files."""
    with contextlib.suppress(OSError), ThreadPoolExecutor(REMOVERS, "ffbidx-remove") as pool:
        for entry in os.scandir(path):
            pool.submit(os.unlink, entry.path)
    shutil.rmtree(path, ignore_errors=True)


def _write(temporary: str, pieces: Iterable[bytes]) -> None:
    descriptor = _system.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        for piece in pieces:
            write_all(descriptor, piece)
        _system.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, piece: bytes) -> None:
    """Write all bytes to an open file, even if the system takes only some of them at a time."""
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
    # Some file systems cannot sync a directory; its files are on the disk by now.
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _link(temporary: str, target: str) -> None:
    """Give a file its name unless the name is taken; a link does this atomically, a rename does not."""
    try:
        _system.link(temporary, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
        _system.rename(temporary, target)


@contextlib.contextmanager
def _errors_of(path: str) -> Iterator[None]:
    """A context that turns system errors into an `OutputError` that names this output."""
    try:
        yield
    except FileExistsError:
        raise OutputError(path, "is already there, written by another program meanwhile: not replaced") from None
    except (OSError, ValueError) as error:
        raise failed(path, error) from None


def failed(path: str, error: Exception) -> OutputError:
    """The error of an output that cannot be written, with the system's reason."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return OutputError(path, f"cannot be written: {reason.lower()}")
