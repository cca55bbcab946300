"""Identity of an input file, by which it is recognised wherever it is copied: its size and a hash of its content."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ...errors import InputError
from ...model.records.run import InputIdentity
from .inputs import Source
from .probe import Prober, check_opens

T = TypeVar("T")

MOST_READ = 256 * 2**20
"""Largest number of bytes that are hashed in all inputs together, divided evenly within the next two limits."""
LARGEST_SAMPLE, SMALLEST_SAMPLE = 16 * 2**20, 16 * 2**10
"""Limits of the number of bytes that are hashed in one file: a smaller file is hashed whole, a larger one in blocks."""
BLOCKS = 16
"""Number of evenly spread blocks that are hashed in a file which is larger than its sample."""

_AT_ONCE = 8
"""Number of files that are read at the same time, since opening each may take long on a network."""


def identities(sources: Iterable[Source], prober: Prober | None = None) -> tuple[InputIdentity, ...]:
    """The identity of the file of each source; size and time are -1 and the hash is empty if there is no file.

    At most `MOST_READ` bytes are read in all files together, or `SMALLEST_SAMPLE` bytes in each.
    """
    sources = list(sources)
    sample = sample_of(len({source.path for source in sources}))
    found = _of_each_file(sources, lambda path: identity(path, sample, prober))
    return tuple(
        known._replace(frame=-1 if source.index is None else source.index)
        for known, source in zip(found, sources, strict=True)
    )


def sizes(sources: Iterable[Source], prober: Prober | None = None) -> list[int]:
    """The size of the file of each source in bytes; -1 if there is no file."""
    return _of_each_file(list(sources), lambda path: size_and_time(path, prober)[0])


def _of_each_file(sources: Sequence[Source], look: Callable[[str], T]) -> list[T]:
    """The result of a function for the file of each source; it is called once for each file."""
    paths = list(dict.fromkeys(source.path for source in sources))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        known = dict(zip(paths, pool.map(look, paths), strict=True))
    return [known[source.path] for source in sources]


def sample_of(n_files: int) -> int:
    """Number of bytes hashed in each of `n_files` files, a power of 2, which a few more files do not change."""
    return min(LARGEST_SAMPLE, max(SMALLEST_SAMPLE, 1 << (MOST_READ // max(n_files, 1)).bit_length() - 1))


def identity(path: str, sample: int = LARGEST_SAMPLE, prober: Prober | None = None) -> InputIdentity:
    """The identity of a file, in which at most `sample` bytes are hashed."""
    unknown = InputIdentity(text_of(path), -1, -1, -1)
    try:
        check_opens(path, prober)
        found = os.stat(path)
    except (InputError, OSError, ValueError):
        return unknown
    digest = _digest(path, found.st_size, sample) if stat.S_ISREG(found.st_mode) else ""
    return unknown._replace(size=found.st_size, mtime_ns=found.st_mtime_ns, digest=digest)


def text_of(path: str) -> str:
    """The name of a file as text, in which bytes that are not valid text are escaped."""
    return path.encode("utf-8", "backslashreplace").decode()


def size_and_time(path: str, prober: Prober | None = None) -> tuple[int, int]:
    """Size in bytes and time of modification in nanoseconds of a file; both are -1 if there is no such file."""
    try:
        check_opens(path, prober)
        found = os.stat(path)
    except (InputError, OSError, ValueError):
        return -1, -1
    return found.st_size, found.st_mtime_ns


def identity_now(path: str, known: InputIdentity, prober: Prober | None = None) -> InputIdentity:
    """The present identity of a file, with as many bytes hashed as in a known identity."""
    sample = known.digest.partition(":")[0]
    return identity(path, int(sample) if sample else SMALLEST_SAMPLE, prober)


def _digest(path: str, size: int, sample: int) -> str:
    """The number of bytes hashed and their hash, as `SAMPLE:HASH`; empty if the file cannot be read."""
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
