"""How an input file is recognised, wherever it is copied: by its size and a hash of its content."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from ...errors import InputError
from ...model.records.run import InputIdentity
from .inputs import Source
from .probe import check_opens

MOST_READ = 256 * 2**20
"""Most bytes that are hashed of all inputs together; they are shared evenly, within the next two limits."""
LARGEST_SAMPLE, SMALLEST_SAMPLE = 16 * 2**20, 16 * 2**10
"""Most and fewest bytes that are hashed of one file: a smaller file whole, a larger one in evenly spread blocks."""
BLOCKS = 16

_AT_ONCE = 8
"""Files that are read at the same time, since each may take long to open on a network."""


def identities(sources: Iterable[Source]) -> tuple[InputIdentity, ...]:
    """Size, time of modification and hash of the file of each source; -1, -1 and empty where there is no file.

    At most `MOST_READ` bytes are read of all files together, or `SMALLEST_SAMPLE` bytes of each.
    """
    sources = list(sources)
    paths = list(dict.fromkeys(source.path for source in sources))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        known = dict(zip(paths, pool.map(lambda path: identity(path, sample_of(len(paths))), paths), strict=True))
    return tuple(known[s.path]._replace(frame=-1 if s.index is None else s.index) for s in sources)


def sample_of(n_files: int) -> int:
    """Bytes hashed of each of `n_files` files: a power of 2, so that a few more files change nothing."""
    return min(LARGEST_SAMPLE, max(SMALLEST_SAMPLE, 1 << (MOST_READ // max(n_files, 1)).bit_length() - 1))


def identity(path: str, sample: int = LARGEST_SAMPLE) -> InputIdentity:
    """The identity of a file, of which at most `sample` bytes are hashed."""
    unknown = InputIdentity(text_of(path), -1, -1, -1)
    try:
        check_opens(path)
        found = os.stat(path)
    except (InputError, OSError, ValueError):
        return unknown
    digest = _digest(path, found.st_size, sample) if stat.S_ISREG(found.st_mode) else ""
    return unknown._replace(size=found.st_size, mtime_ns=found.st_mtime_ns, digest=digest)


def text_of(path: str) -> str:
    """The name of a file as text: bytes that are none are escaped."""
    return path.encode("utf-8", "backslashreplace").decode()


def size_and_time(path: str) -> tuple[int, int]:
    """Size in bytes and time of modification in ns; -1 where there is no such file."""
    try:
        check_opens(path)
        found = os.stat(path)
    except (InputError, OSError, ValueError):
        return -1, -1
    return found.st_size, found.st_mtime_ns


def identity_now(path: str, known: InputIdentity) -> InputIdentity:
    """The identity of a file as it is now, hashed as the known one was."""
    sample = known.digest.partition(":")[0]
    return identity(path, int(sample) if sample else SMALLEST_SAMPLE)


def _digest(path: str, size: int, sample: int) -> str:
    """Number of bytes hashed, and their hash, as `SAMPLE:HASH`; empty where the file cannot be read."""
    looked_at, hasher = min(size, sample), hashlib.blake2b(digest_size=16)
    block = looked_at if looked_at == size else sample // BLOCKS
    starts = [0] if block == size else [i * (size - block) // (BLOCKS - 1) for i in range(BLOCKS)]
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            for start in starts:
                hasher.update(os.pread(descriptor, block, start))
        finally:
            os.close(descriptor)
    except OSError:
        return ""
    return f"{looked_at}:{hasher.hexdigest()}"
