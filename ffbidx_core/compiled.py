"""How functions are compiled to machine code, and where that is kept. Imported only by modules that have some."""

from __future__ import annotations

import functools
import gc
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from . import compile_time

config: Any = numba.config
F = TypeVar("F", bound=Callable[..., Any])

_compiling = threading.Lock()


@functools.cache
def cache_folder(sources: tuple[Path, ...], mode: bytes = b"") -> Path:
    """Folder of the machine code of some sources, named after their text and a mode, which Numba does not see.

    `NUMBA_CACHE_DIR` is honoured; else the user's cache folder, else a temporary one.
    """
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


def compiled(function: F, folder: Path, **options: Any) -> F:
    """Compile without the interpreter's lock, and keep the machine code in a folder."""
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
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


def called_from_python(dispatcher: F) -> F:
    """A compiled function that is safe to call from several threads at its first call, too."""
    inner: Any = dispatcher

    @functools.wraps(inner.py_func)
    def call(*args: Any) -> Any:
        if not inner.overloads:
            with _first_call():
                began, known = time.perf_counter(), sum(inner.stats.cache_misses.values())
                result = inner(*args)
                if sum(inner.stats.cache_misses.values()) > known:
                    compile_time.add(time.perf_counter() - began)
                return result
        return inner(*args)

    return cast(F, call)


def python_sources(folder: Path) -> tuple[Path, ...]:
    """The modules in a folder and those below it, by their names."""
    return tuple(sorted(folder.rglob("*.py")))
