"""How the CPU kernels are compiled, and where their machine code is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ... import compiled
from .plain import PLAIN

F = TypeVar("F", bound=Callable[..., Any])

REASSOCIATING = frozenset({"reassoc", "nsz", "nnan", "ninf", "contract", "arcp", "afn"})
"""Sums may be taken in any order, so that they vectorise. Every number that comes in has been found finite."""


def cache_folder() -> Path:
    """Folder of the compiled kernels, named after their sources and the mode of the formulas."""
    return compiled.cache_folder(compiled.python_sources(Path(__file__).parent), b"plain" if PLAIN else b"")


def _compiled(function: F, **options: Any) -> F:
    return compiled.compiled(function, cache_folder(), **options)


def kernel(function: F) -> F:
    """Compile without the interpreter's lock and with sums that vectorise; inputs must be finite."""
    return compiled.called_from_python(_compiled(function, fastmath=set(REASSOCIATING)))


def exact(function: F) -> F:
    """Compile without the interpreter's lock, floating point as written."""
    return compiled.called_from_python(_compiled(function))


def part_of_kernel(function: F) -> F:
    """Compile for calls from kernels only, with sums that vectorise."""
    return _compiled(function, fastmath=set(REASSOCIATING), no_cpython_wrapper=True)


def exact_part(function: F) -> F:
    """Compile for calls from kernels only, floating point as written."""
    return _compiled(function, no_cpython_wrapper=True)
