"""Short waiting times for the threads and processes of a live server."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from collections.abc import Iterator

SWITCH_SECONDS = 2e-4
"""Longest time in seconds that a thread waits for the interpreter's lock while another thread computes."""
MOST_OBJECTS = 50_000
"""Number of objects, made less freed, after which the garbage collector looks at new ones; a batch makes thousands."""
KEPT_BYTES = 2**26
"""Largest amount of freed memory that a process keeps for its next arrays."""
LARGEST_KEPT = 2**25
"""Largest array whose memory is kept, bytes; the C library allows no more."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


@contextlib.contextmanager
def steady() -> Iterator[None]:
    """A context in which a thread waits neither 5 ms for the interpreter's lock nor long for the garbage collector.

    Everything that exists at its beginning, such as compilers and their modules, is left out of garbage collection,
    which would otherwise stop all threads for a tenth of a second at a time, and collections are rarer. Freed memory is
    kept from then on.
    """
    keep_freed_memory()
    before, thresholds, frozen = sys.getswitchinterval(), gc.get_threshold(), gc.get_freeze_count()
    gc.collect()
    gc.freeze()
    gc.set_threshold(MOST_OBJECTS, *thresholds[1:])
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
        gc.set_threshold(*thresholds)
        if not frozen:
            gc.unfreeze()


def keep_freed_memory() -> None:
    """Make the C library keep the memory of freed arrays, if it is the GNU one.

    It would return the memory of arrays of more than 128 KiB, as blocks of frames are, to the operating system, which
    clears each page of it before it gives it out again.
    """
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is not None:
        adjust(_MMAP_THRESHOLD, LARGEST_KEPT)
        adjust(_TRIM_THRESHOLD, KEPT_BYTES)
