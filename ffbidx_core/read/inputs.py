"""The command line's INPUT arguments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A spot file, or one frame of it when `index` is given (0-based)."""

    path: str
    index: int | None = None


def expand_inputs(arguments: Iterable[str]) -> list[Source]:
    """The sources that INPUT arguments name, in their order."""
    raise NotImplementedError
