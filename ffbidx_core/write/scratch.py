"""Temporary storage of bytes on the disk, in a file without a name, until they are written to an output."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from typing import IO

from .atomic import pieces_of, write_all


@contextlib.contextmanager
def scratch(folder: str) -> Iterator[Scratch]:
    """A context with room for bytes on the disk, in a file without a name, of which nothing remains in any case.

    Parameters
    ----------
    folder
        Directory on the file system of the output, which must have room for the bytes anyway. Empty: the directory of
        temporary files.
    """
    with tempfile.TemporaryFile(dir=folder or None, buffering=0) as file:
        yield Scratch(file)


class Scratch:
    """Bytes that wait on the disk until they are written to an output."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.size = file, 0

    def add(self, data: bytes) -> None:
        """Append bytes; raises OSError if the disk has no room for them."""
        write_all(self._file.fileno(), data)
        self.size += len(data)

    def pieces(self) -> Iterator[bytes]:
        """Yield all bytes, some at a time."""
        self._file.seek(0)
        yield from pieces_of(self._file)
