"""The time that this process has spent on compiling kernels, which reported speeds leave out."""

from __future__ import annotations

_spent: list[float] = []


def add(seconds: float) -> None:
    """Add the seconds that compiling a kernel took that was not in the cache."""
    _spent.append(seconds)


def seconds() -> float:
    """Seconds spent on compiling so far; 0 if all kernels came from the cache."""
    return sum(_spent)
