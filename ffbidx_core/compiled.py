"""Compilation of functions to machine code by Numba, and the folder in which the machine code is cached.

Only modules with compiled functions import this one, since importing Numba takes 0.35 seconds.
"""

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
    """Folder in which the machine code of some sources is cached.

    The folder is named by a hash of the sources' text and of the mode, because Numba's own cache notices neither an
    edit of another file nor a change of mode. It lies in `NUMBA_CACHE_DIR` if that is set, else in the user's cache
    folder, else in a temporary one.

    Parameters
    ----------
    sources
        The modules that contribute to the machine code.
    mode
        Any further property of the compilation that changes the machine code.
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
    """Compile a function that runs without the interpreter's lock, and cache the machine code in `folder`.

    `options` are passed on to `numba.njit`.
    """
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    # Kernels allocate nothing, so no references need counting (_nrt), and none is called from C (cfunc).
    options |= {"nogil": True, "cache": True, "error_model": "numpy", "_nrt": False, "no_cfunc_wrapper": True}
    try:
        made: Any = numba.njit(function, **options)
    finally:
        config.CACHE_DIR = before
    # Numba would first import its rules of typing and lowering, 0.13 seconds, which cached machine code does not need;
    # a compilation imports them itself.
    made._cache.load_overload = made._cache._load_overload
    return cast(F, made)


@contextmanager
def _first_call() -> Iterator[None]:
    """Admit one thread at a time, and pause the garbage collector: compiling makes many objects but little garbage."""
    with _compiling:
        collecting = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if collecting:
                gc.enable()


def called_from_python(dispatcher: F) -> F:
    """Wrap a compiled function so that several threads may make its first call, which compiles it, at once."""
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
    """The Python modules in a folder and its subfolders, sorted by path."""
    return tuple(sorted(folder.rglob("*.py")))
