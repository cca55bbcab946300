"""Reading of files that are compressed with gzip as if they were not."""

from __future__ import annotations

import gzip
import mmap
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

from ...errors import InputError

_GZIP = b"\x1f\x8b\x08"


def is_gzip(head: bytes) -> bool:
    """Whether a file with these first bytes is compressed with gzip."""
    return head.startswith(_GZIP)


@contextmanager
def errors_of_file(path: str) -> Iterator[None]:
    """A context that converts the exceptions for a file that cannot be read to an `InputError`."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(path, f"cannot be decompressed: {' '.join(str(error).split()).lower()}") from None
    except OSError as error:
        raise InputError(path, f"cannot be read: {(error.strerror or str(error)).lower()}") from None


def open_plain(path: str) -> IO[bytes]:
    """Open a file for reading, and decompress it if it is compressed; errors are those of `open` and `gzip`."""
    with open(path, "rb") as file:
        compressed = is_gzip(file.read(len(_GZIP)))
    return cast(IO[bytes], gzip.open(path)) if compressed else open(path, "rb")


def mapped(path: str) -> mmap.mmap:
    """The content of a file as mapped memory; a compressed file is decompressed to a temporary file first.

    Raises
    ------
    InputError
        If the file cannot be read, or is empty.
    """
    with errors_of_file(path):
        try:
            with open_plain(path) as file:
                if not isinstance(file, gzip.GzipFile):
                    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                with tempfile.TemporaryFile() as plain:
                    shutil.copyfileobj(file, plain, 2**20)
                    plain.flush()
                    return mmap.mmap(plain.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise InputError(path, "is empty") from None
