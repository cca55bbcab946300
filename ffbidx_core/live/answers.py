"""The answers to frames: a batch of them as columns, and each as a dictionary that every dialect can carry."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..model.cell import cell_parameters
from ..model.records.frame import FrameStatus
from ..model.records.reason import FrameReason
from ..run.outcome import BatchFound
from .columns import FrameColumns
from .messages import Frame

Answer = dict[str, Any]
_STATUS = {status.value: status.name.lower() for status in FrameStatus}
_REASON = {reason.value: reason.name.lower() if reason.value else "" for reason in FrameReason}


@dataclass(frozen=True)
class BatchAnswers:
    """The answers to the F frames of a batch, with k crystals, as columns that another process can turn into messages.

    Attributes
    ----------
    run : str
        Name of the run.
    numbers : (F,) int64
        Number of each frame.
    names : list of str, F
        Name of each frame.
    sent : (F,) float64
        Time of sending of each frame; nan if its message has none.
    status, reasons, n_spots : (F,)
        Outcome of each frame, as in the results.
    milliseconds : (F,) float64
        Time from the arrival of each frame to its answer.
    offsets : (F + 1,) int64
        Frame f has the crystals offsets[f]:offsets[f + 1].
    cells : (k, 3, 3) float32
        Oriented cells, rows a, b, c, angstrom.
    n_indexed, rmsd, log10_false, resolution : (k,)
        Measures of the crystals, as in the results.
    dropped : int
        Number of frames that the server has dropped so far.
    """

    run: str
    numbers: NDArray[np.int64]
    names: list[str]
    sent: NDArray[np.float64]
    status: NDArray[np.uint8]
    reasons: NDArray[np.uint8]
    n_spots: NDArray[np.int32]
    milliseconds: NDArray[np.float64]
    offsets: NDArray[np.int64]
    cells: NDArray[np.float32]
    n_indexed: NDArray[np.int32]
    rmsd: NDArray[np.float32]
    log10_false: NDArray[np.float32]
    resolution: NDArray[np.float32]
    dropped: int

    @classmethod
    def of(cls, found: BatchFound, frames: Sequence[FrameColumns], run: str, dropped: int) -> Self:
        """The answers to the frames of a batch, from its results."""
        result = found.result
        return cls(
            run,
            _joined([each.numbers for each in frames]),
            [name for each in frames for name in each.names],
            _joined([each.sent for each in frames]),
            found.status,
            result.reason,
            found.batch.n_spots,
            1e3 * (time.perf_counter() - _joined([each.at for each in frames])),
            result.crystal_offsets,
            result.cells[result.crystals],
            result.n_indexed,
            result.rmsd,
            result.log10_false,
            result.resolution,
            dropped,
        )

    def answers(self) -> list[Answer]:
        """The answer to each frame."""
        crystals = [
            {
                "cell": cell,
                "parameters": parameters,
                "n_indexed": n_indexed,
                "rmsd": rmsd,
                "log10_false": log10_false,
                "resolution": resolution,
            }
            for cell, parameters, n_indexed, rmsd, log10_false, resolution in zip(
                self.cells.astype(np.float64).round(5).tolist(),
                cell_parameters(self.cells).round(4).tolist(),
                self.n_indexed.tolist(),
                self.rmsd.astype(np.float64).tolist(),
                _or_none(self.log10_false),
                _or_none(self.resolution),
                strict=True,
            )
        ]
        offsets = self.offsets.tolist()
        rows = zip(
            self.numbers.tolist(),
            self.names,
            _or_none(self.sent),
            self.status.tolist(),
            self.reasons.tolist(),
            self.n_spots.tolist(),
            self.milliseconds.round(3).tolist(),
            strict=True,
        )
        return [
            {
                "type": "answer",
                "run": self.run,
                "number": number,
                "name": name,
                "status": _STATUS[status],
                "reason": _REASON[reason],
                "n_spots": n_spots,
                "crystals": crystals[offsets[f] : offsets[f + 1]],
                "milliseconds": milliseconds,
                "sent": sent,
                "dropped": self.dropped,
            }
            for f, (number, name, sent, status, reason, n_spots, milliseconds) in enumerate(rows)
        ]


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _or_none(values: np.ndarray) -> list[float | None]:
    """The numbers with None for nan, which JSON does not have."""
    return [value if math.isfinite(value) else None for value in values.astype(np.float64).tolist()]


def error_answer(message: str, sent: float | None = None) -> Answer:
    """The answer to a message that cannot be used."""
    return {"type": "error", "message": message, "sent": sent}


def refusal(frames: FrameColumns, f: int, why: str) -> Answer:
    """The answer to frame `f` of some columns if it cannot be indexed: an error with the frame's number and name."""
    (sent,) = _or_none(frames.sent[f : f + 1])
    known: Answer = {"run": frames.run}
    # A frame that the server has not numbered yet may have neither.
    if (number := int(frames.numbers[f])) >= 0:
        known["number"] = number
    if name := frames.names[f]:
        known["name"] = name
    return error_answer(why, sent) | known


def drop_answer(frame: Frame) -> Answer:
    """The answer to a frame that was dropped because frames arrived faster than they can be indexed."""
    return {"type": "dropped", "run": frame.run, "number": frame.number, "name": frame.name, "sent": frame.sent}
