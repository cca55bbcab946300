"""Short waiting times for the threads of a live server."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator

SWITCH_SECONDS = 2e-4
"""Longest time in seconds that a thread waits for the interpreter's lock while another thread computes."""


@contextlib.contextmanager
def steady() -> Iterator[None]:
    """A context in which a thread waits neither 5 ms for the interpreter's lock nor long for the garbage collector.

    Everything that exists at its beginning, such as compilers and their modules, is left out of garbage collection,
    which would otherwise stop all threads for a tenth of a second at a time.
    """
    before = sys.getswitchinterval()
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
        gc.unfreeze()
