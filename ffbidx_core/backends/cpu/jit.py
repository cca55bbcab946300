"""Compilation of the CPU kernels, and the folder in which their machine code is cached."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ... import compiled
from .plain import PLAIN

F = TypeVar("F", bound=Callable[..., Any])
CPU = Path(__file__).parent
MODEL = CPU.parents[1] / "model"
"""The package whose constants are compiled into kernels."""

REASSOCIATING = frozenset({"reassoc", "nsz", "nnan", "ninf", "contract", "arcp", "afn"})
"""LLVM flags that allow sums in any order, so that loops vectorise, and assume finite numbers, which callers ensure."""


@functools.cache
def cache_folder() -> Path:
    """Folder of the compiled kernels, named by a hash of their sources, of the model's constants, and of the mode."""
    sources = [path for room in (CPU, MODEL) for path in compiled.python_sources(room)]
    return compiled.cache_folder(tuple(sources), b"plain" if PLAIN else b"")


def _compiled(function: F, **options: Any) -> F:
    """Compile a function with the cache of the CPU kernels."""
    return compiled.compiled(function, cache_folder(), **options)


def kernel(function: F) -> F:
    """Compile a kernel that runs without the interpreter's lock and with vectorised sums; inputs must be finite."""
    return compiled.called_from_python(_compiled(function, fastmath=set(REASSOCIATING)))


def exact(function: F) -> F:
    """Compile a kernel that runs without the interpreter's lock and keeps the order of floating-point operations."""
    return compiled.called_from_python(_compiled(function))


def part_of_kernel(function: F) -> F:
    """Compile a function that only kernels call, with vectorised sums; inputs must be finite."""
    return _compiled(function, fastmath=set(REASSOCIATING), no_cpython_wrapper=True)


def exact_part(function: F) -> F:
    """Compile a function that only kernels call and that keeps the order of floating-point operations."""
    return _compiled(function, no_cpython_wrapper=True)
