"""Recognition of a file's kind by its content, never by its name."""

from __future__ import annotations

import os
import re
import stat
import zlib
from collections.abc import Iterable

from ...errors import InputError, NothingProcessed
from .compressed import errors_of_file, is_gzip, open_plain

LARGEST_TEXT = 64 * 2**20
"""Size limit of a text file, bytes; it holds one frame, and the limit allows a million spots."""

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_USER_BLOCKS = (0, 512, 1024, 2048)
_SUPERBLOCK, _WRITTEN_BY_SWMR = 3, 4
_HEAD = 4096
_PICKLES = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
"""First bytes of Python pickles, from protocol 2 on."""
_OLD_PICKLE = re.compile(rb"\([dlt]p\d+\n|[]}]q\x00|c[A-Za-z_][\w.]*\n\w+\n[pq(]")
"""Beginning of a pickle of protocol 0, which is text, or 1: an empty container, or the name of a class."""
_PICKLED_TABLE = b"dials_array_family_flex_ext"
"""Text near the beginning of a pickled DIALS reflection table, in any protocol."""
_NO_PICKLE = (
    'make strong.refl of it with `dials.python -c "from dials.array_family import flex; '
    "flex.reflection_table.from_pickle('FILE').as_file('strong.refl')\"`, or find the spots anew with dials.find_spots"
)
_KINDS = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def check_is_there(path: str) -> None:
    """Check that a file exists.

    Raises
    ------
    InputError
        If it does not exist, with the reason that the operating system gives.
    """
    try:
        os.stat(path)
    except ValueError:
        raise InputError(repr(path), "is not a file name") from None
    except OSError as error:
        raise _unreadable(path, error) from None


def check_are_there(paths: Iterable[str]) -> None:
    """Check that a file exists, or at least one of several; without paths nothing is checked.

    Raises
    ------
    InputError
        If there is one path, and no file.
    NothingProcessed
        If there are several paths, and no file.
    """
    names = list(dict.fromkeys(paths))
    if names and not any(map(os.path.lexists, names)):
        try:
            check_is_there(names[0])
        except InputError as error:
            if len(names) == 1:
                raise
            n = len(names) - 1
            others = "the other input is" if n == 1 else f"none of the {n} other inputs is"
            raise NothingProcessed(f"{error}; {others} {'not ' if n == 1 else ''}there") from None


def read_text(path: str, largest: int = LARGEST_TEXT) -> str | None:
    """The text of a file, or None if the file is HDF5.

    Byte-order marks are honoured. Bytes that are not valid UTF-8 become replacement characters, which no number has.

    Raises
    ------
    InputError
        If the file cannot be opened, is neither text nor HDF5, or is larger than `largest` bytes.
    """
    try:
        # A blocking open of a named pipe without a writer would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:
        raise InputError(repr(path), "is not a file name") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    try:
        return _read_text(path, descriptor, largest)
    except OSError as error:
        raise _unreadable(path, error) from None
    finally:
        os.close(descriptor)


def read_head(path: str, size: int = _HEAD) -> bytes:
    """The first bytes of a file, decompressed; empty if the file cannot be read or is not a regular file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            head = os.read(descriptor, size) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
        finally:
            os.close(descriptor)
        if not is_gzip(head):
            return head
        with open_plain(path) as file:
            return file.read(size)
    except (OSError, EOFError, zlib.error, ValueError):
        # The error is raised where the whole file is read.
        return b""


def _read_text(path: str, descriptor: int, largest: int) -> str | None:
    """The text of an open file, or None if the file is HDF5."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        raise InputError(path, "is a directory: name the files in it")
    if not stat.S_ISREG(mode):
        raise InputError(path, f"is {_KINDS.get(stat.S_IFMT(mode), 'not a regular file')}: only regular files are read")
    data = os.read(descriptor, _HEAD)
    if is_hdf5(data):
        return None
    if is_gzip(data):
        with errors_of_file(path), open_plain(path) as file:
            data = file.read(largest + 1)
        if is_hdf5(data):
            raise InputError(path, "is a compressed HDF5 file: decompress it with gunzip")
    else:
        while len(data) <= largest and (more := os.read(descriptor, 2**20)):
            data += more
    if len(data) > largest:
        raise InputError(path, f"is not an HDF5 file, and larger than the limit for text ({largest // 2**10} KiB)")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    if data.startswith(_PICKLES) or _OLD_PICKLE.match(data) or _PICKLED_TABLE in data[:_HEAD]:
        raise InputError(path, f"is a pickle of Python, as DIALS wrote until 2019, which is not read: {_NO_PICKLE}")
    if b"\0" in data:
        raise InputError(path, "is neither HDF5 nor text")
    return data.decode("utf-8-sig", "replace")


def is_hdf5(head: bytes) -> bool:
    """Whether a file with these first bytes is HDF5; its signature may follow a user block of up to 2 KiB."""
    return any(head.startswith(_SIGNATURE, at) for at in _USER_BLOCKS)


def is_growing(path: str) -> bool:
    """Whether a program is writing an HDF5 file in SWMR mode, or died while it did.

    The superblock records this from version 3 on: byte 8 is its version, byte 11 holds the consistency flags (HDF5
    File Format Specification, II.A).
    """
    head = read_head(path)
    at = next((at for at in _USER_BLOCKS if head.startswith(_SIGNATURE, at)), len(head))
    block = head[at : at + 12]
    return len(block) == 12 and block[8] >= _SUPERBLOCK and bool(block[11] & _WRITTEN_BY_SWMR)


def _unreadable(path: str, error: OSError) -> InputError:
    """The error for a file that the operating system cannot read."""
    if isinstance(error, NotADirectoryError) and "//" in path:
        return InputError(path, "is no frame of a file: FILE//INDEX has the number of the frame, counted from 0")
    return InputError(path, f"cannot be read: {(error.strerror or str(error)).lower()}")
