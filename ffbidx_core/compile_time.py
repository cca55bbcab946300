"""The time that this process has spent on compiling kernels, which no speed counts."""

from __future__ import annotations

_spent: list[float] = []


def add(seconds: float) -> None:
    """Count a kernel that was not kept from before."""
    _spent.append(seconds)


def seconds() -> float:
    """Seconds so far; 0 where all kernels were kept from before."""
    return sum(_spent)
