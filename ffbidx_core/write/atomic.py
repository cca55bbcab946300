"""Output files, written whole or not at all. The only place that opens one."""

from __future__ import annotations

from collections.abc import Iterable


def check_output(path: str, overwrite: bool, inputs: Iterable[str] = ()) -> None:
    """Refuse, before the run, an output that could not be written after it."""
    raise NotImplementedError


def write_file(path: str, data: bytes | Iterable[bytes], overwrite: bool) -> None:
    """Write a file so that it is there whole or not at all, whatever happens meanwhile."""
    raise NotImplementedError
