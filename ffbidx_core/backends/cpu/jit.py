"""How the CPU kernels are compiled, and where their machine code is kept."""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

config: Any = numba.config
F = TypeVar("F", bound=Callable[..., Any])

REASSOCIATING = frozenset({"reassoc", "nsz", "nnan", "ninf", "contract", "arcp", "afn"})
"""Sums may be taken in any order, so that they vectorise. Every number that comes in has been found finite."""


@functools.cache
def cache_folder() -> Path:
    """Folder of the compiled kernels, named after their sources, because Numba does not see changes in other files.

    `NUMBA_CACHE_DIR` is honoured; else the user's cache folder, else a temporary one.
    """
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
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


def _compiled(function: F, fastmath: Any) -> F:
    before, config.CACHE_DIR = config.CACHE_DIR, str(cache_folder())
    try:
        return numba.njit(function, nogil=True, cache=True, fastmath=fastmath, error_model="numpy")  # type: ignore[no-any-return]
    finally:
        config.CACHE_DIR = before


def kernel(function: F) -> F:
    """Compile without the interpreter's lock and with sums that vectorise; inputs must be finite."""
    return _compiled(function, set(REASSOCIATING))


def exact(function: F) -> F:
    """Compile without the interpreter's lock, floating point as written."""
    return _compiled(function, False)
