"""The answers to frames, as dictionaries that every dialect can carry."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..model.cell import cell_parameters
from ..model.records.frame import FrameStatus
from ..model.records.reason import FrameReason
from ..run.outcome import BatchFound
from .messages import Frame

Answer = dict[str, Any]


def answers_of(found: BatchFound, frames: Sequence[Frame], run: str, since: Sequence[float]) -> list[Answer]:
    """The answer to each frame of a batch.

    Parameters
    ----------
    found
        The results of the batch.
    frames
        The frames of the batch as they came.
    run
        Name of the run.
    since
        Time of arrival of each frame, seconds of `time.perf_counter`.
    """
    result, now = found.result, time.perf_counter()
    cells = result.cells[result.crystals]
    columns = {
        "cell": np.asarray(cells, np.float64).round(5).tolist(),
        "parameters": np.asarray(cell_parameters(cells), np.float64).round(4).tolist(),
        "n_indexed": result.n_indexed.tolist(),
        "rmsd": result.rmsd.astype(np.float64).tolist(),
        "log10_false": _or_none(result.log10_false),
        "resolution": _or_none(result.resolution),
    }
    crystals = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    offsets, reasons, status = result.crystal_offsets.tolist(), result.reason.tolist(), found.status.tolist()
    return [
        {
            "type": "answer",
            "run": run,
            "number": frame.number,
            "name": frame.name,
            "status": FrameStatus(status[f]).name.lower(),
            "reason": FrameReason(reasons[f]).name.lower() if reasons[f] else "",
            "n_spots": int(found.batch.n_spots[f]),
            "crystals": crystals[offsets[f] : offsets[f + 1]],
            "milliseconds": round(1e3 * (now - since[f]), 3),
            "sent": frame.sent,
        }
        for f, frame in enumerate(frames)
    ]


def _or_none(values: np.ndarray) -> list[float | None]:
    """The numbers with None for nan, which JSON does not have."""
    return [value if np.isfinite(value) else None for value in values.astype(np.float64).tolist()]


def error_answer(message: str, sent: float | None = None) -> Answer:
    """The answer to a message that cannot be used."""
    return {"type": "error", "message": message, "sent": sent}


def drop_answer(frame: Frame) -> Answer:
    """The answer to a frame that was dropped because frames arrived faster than they can be indexed."""
    return {"type": "dropped", "run": frame.run, "number": frame.number, "name": frame.name, "sent": frame.sent}
