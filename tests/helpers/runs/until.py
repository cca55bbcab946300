"""Waiting for a condition of another thread or process, however slow the machine is."""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Return once a condition holds; it fails after so many seconds, which only a fault takes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"a condition did not hold within {seconds:g} s"
        time.sleep(0.02)
