"""How the CPU kernels are compiled, and where their machine code is kept."""

from __future__ import annotations

import functools
import gc
import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from .plain import PLAIN

config: Any = numba.config
F = TypeVar("F", bound=Callable[..., Any])

REASSOCIATING = frozenset({"reassoc", "nsz", "nnan", "ninf", "contract", "arcp", "afn"})
"""Sums may be taken in any order, so that they vectorise. Every number that comes in has been found finite."""

_compiling = threading.Lock()


@functools.cache
def cache_folder() -> Path:
    """Folder of the compiled kernels, named after the sources and the mode of the formulas, which Numba does not see.

    `NUMBA_CACHE_DIR` is honoured; else the user's cache folder, else a temporary one.
    """
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    mode = b"plain" if PLAIN else b""
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources) + mode).hexdigest()[:16]
    named = os.environ.get("NUMBA_CACHE_DIR")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    usual = [os.path.join(home, "ffbidx"), os.path.join(tempfile.gettempdir(), f"ffbidx-{os.getuid()}")]
    for base in [named] if named else usual:
        folder = Path(base) / digest
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return Path(tempfile.mkdtemp(prefix="ffbidx-"))


def _compiled(function: F, **options: Any) -> F:
    before, config.CACHE_DIR = config.CACHE_DIR, str(cache_folder())
    # Kernels allocate nothing, so that no references need to be counted (_nrt); nobody calls them from C (cfunc).
    options |= {"nogil": True, "cache": True, "error_model": "numpy", "_nrt": False, "no_cfunc_wrapper": True}
    try:
        return cast(F, numba.njit(function, **options))
    finally:
        config.CACHE_DIR = before


@contextmanager
def _first_call() -> Iterator[None]:
    """One thread at a time, and no collection of garbage: compiling makes many objects and hardly any of it."""
    with _compiling:
        collecting = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if collecting:
                gc.enable()


def _called_from_python(dispatcher: Any) -> Any:
    @functools.wraps(dispatcher.py_func)
    def call(*args: Any) -> Any:
        if not dispatcher.overloads:
            with _first_call():
                return dispatcher(*args)
        return dispatcher(*args)

    return call


def kernel(function: F) -> F:
    """Compile without the interpreter's lock and with sums that vectorise; inputs must be finite."""
    return cast(F, _called_from_python(_compiled(function, fastmath=set(REASSOCIATING))))


def exact(function: F) -> F:
    """Compile without the interpreter's lock, floating point as written."""
    return cast(F, _called_from_python(_compiled(function)))


def part_of_kernel(function: F) -> F:
    """Compile for calls from kernels only, with sums that vectorise."""
    return _compiled(function, fastmath=set(REASSOCIATING), no_cpython_wrapper=True)


def exact_part(function: F) -> F:
    """Compile for calls from kernels only, floating point as written."""
    return _compiled(function, no_cpython_wrapper=True)
