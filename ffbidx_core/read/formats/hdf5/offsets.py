"""The check of the offsets in a spot file, which is made once for each file in a process.

A worker opens the file of a run for each of its tasks, and the file may have offsets of many million frames.
"""

from __future__ import annotations

import os

import h5py
import numpy as np
from numpy.typing import NDArray

from ....errors import InputError
from ...files.datasets import errors_of
from ...files.faults import Faults
from ...frames import MOST_SPOTS

_AT_ONCE = 2**20
_MOST_KNOWN = 10_000
_known: set[tuple[int, ...]] = set()


def check_once(file: h5py.File, path: str, offsets: h5py.Dataset, n_frames: int, n_spots: int) -> None:
    """Check the offsets in a file, unless they were found to be right and the file has not been written since."""
    found = os.fstat(file.id.get_vfd_handle())
    identity = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    if identity in _known:
        return
    check_offsets(path, offsets, n_frames, n_spots)
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known.add(identity)


def check_offsets(path: str, offsets: h5py.Dataset, n_frames: int, n_spots: int) -> None:
    """Check that the offsets ascend within the spots, and that no frame has too many spots.

    Raises
    ------
    InputError
        Naming the first wrong frame of each kind.
    """
    for begin in range(0, n_frames + 1, _AT_ONCE):
        with errors_of(path, "/offsets"):
            part = offsets[begin : min(begin + _AT_ONCE, n_frames) + 1]
        # Compared without conversion, since unsigned offsets may be too large for signed integers.
        outside = (part < 0) | (part > n_spots)
        faults = Faults()
        with faults.collected():
            _refuse_first(path, outside, begin, f"its spots begin outside the {n_spots} rows of /spots")
        counts = np.diff(part.astype(np.int64))
        with faults.collected():
            _refuse_first(path, counts < 0, begin, "its offsets run backwards")
        with faults.collected():
            _refuse_first(path, counts > MOST_SPOTS, begin, f"it claims more than {MOST_SPOTS} spots")
        faults.raise_all()


def _refuse_first(path: str, wrong: NDArray[np.bool_], begin: int, problem: str) -> None:
    """Raise an error for the first frame, counted from `begin`, for which `wrong` is true."""
    if wrong.any():
        raise InputError(path, f"frame {begin + int(wrong.argmax())}: {problem}", "/offsets")
