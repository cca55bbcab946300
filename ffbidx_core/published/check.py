"""The check that an indexer can be made and computes on this machine."""

from __future__ import annotations

import itertools

import numpy as np

from ..errors import FfbidxError
from .arguments import RunOptions
from .indexer import Indexer

_CELL = np.diag([10.0, 11.0, 12.0])
_SMALL = RunOptions(num_halfsphere_points=256, num_angle_points=32)


def runtime_check() -> None:
    """Index a small frame with a default `Indexer()`.

    Raises
    ------
    RuntimeError
        If no indexer can be made, or if it does not compute correctly; the message gives the reason.
    """
    indices = np.array([hkl for hkl in itertools.product((-1, 0, 1), repeat=3) if any(hkl)])
    spots = np.ascontiguousarray((indices @ np.linalg.inv(_CELL).T).T)
    try:
        with Indexer() as indexer:
            cells, _ = indexer.run(spots, _CELL, **_SMALL)
    except FfbidxError as error:
        raise RuntimeError(f"ffbidx cannot compute here: {error}") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise RuntimeError(f"ffbidx cannot compute here, see `ffbidx doctor`: {reason}") from error
    if not np.isfinite(cells).all() or not cells[:, :3].any():
        raise RuntimeError("ffbidx computes wrong cells here, see `ffbidx doctor`")
