"""Tables of the crystals and frames of a run, as text and for other programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffbidx_cli.columns import Column
from ffbidx_core.model.cell import PARAMETER_NAMES
from ffbidx_core.model.records.frame import FrameStatus
from ffbidx_core.model.records.reason import FrameReason, Rung
from ffbidx_core.model.records.results import Results


def crystal_columns(results: Results, most: int | None = None) -> list[Column]:
    """The columns of a table with a row for each of the first `most` crystals."""
    frames = results.frame_of_crystal[:most]
    parameters = results.crystal_parameters[:most].T
    return [
        Column("frame", _names(results, frames), is_name=True),
        Column("spots", [str(n) for n in results.n_spots[frames]]),
        Column("indexed", [str(n) for n in results.n_indexed[:most]]),
        Column("by chance", [_known(n) for n in results.n_expected[:most]]),
        Column("rmsd 1/A", [f"{rmsd:.5f}" for rmsd in results.rmsd[:most]]),
        Column("d/A", [_known(d, 2) for d in results.resolution[:most]]),
        Column("log10 false", [_known(level) for level in results.log10_false[:most]]),
        *(
            Column(name, numbers(values, 2), begins=name == "a")
            for name, values in zip(PARAMETER_NAMES, parameters, strict=True)
        ),
    ]


def frame_columns(results: Results, most: int | None = None, *, failed: bool = False) -> list[Column]:
    """The columns of a table with a row for each frame, or with `failed` for each frame without a crystal.

    The last column has the try that indexed a frame; `failed` leaves it out, since no try indexed such a frame.
    """
    records = frame_records(results, chosen_frames(results, failed)[:most])
    columns = [
        Column("frame", [f"{s}//{i}" for s, i in zip(records["source"], records["index"], strict=True)], is_name=True),
        Column("spots", [str(n) for n in records["n_spots"]]),
        Column("crystals", [str(n) for n in records["crystals"]]),
        Column("status", [name.replace("_", " ") for name in records["status"]], is_text=True),
        Column("reason", [words or "-" for words in records["reason"]], is_text=True),
    ]
    if not failed:
        columns.append(Column("indexed by", [words or "-" for words in records["try"]], is_text=True))
    return columns


def chosen_frames(results: Results, failed: bool) -> NDArray[np.int64]:
    """The numbers of all frames, or of those without a crystal."""
    return np.flatnonzero(results.status != FrameStatus.INDEXED) if failed else np.arange(results.n_frames)


def frame_records(results: Results, frames: NDArray[np.int64]) -> dict[str, list[Any]]:
    """The columns of a table with a row for each frame, by name; text that is not known is empty."""
    status = [FrameStatus(value) for value in results.status[frames].tolist()]
    reason = [0] * len(frames) if results.reason is None else results.reason[frames].tolist()
    rung = [None] * len(frames) if results.rung is None else results.rung[frames].tolist()
    indexed = [each == FrameStatus.INDEXED for each in status]
    return {
        "source": results.source[frames].tolist(),
        "index": results.index[frames].tolist(),
        "id": results.id[frames].tolist(),
        "n_spots": results.n_spots[frames].tolist(),
        "crystals": np.diff(results.crystal_offsets)[frames].tolist(),
        "status": [each.name.lower() for each in status],
        "reason": [FrameReason(value).words if value else "" for value in reason],
        "try": [
            Rung(value).words if is_indexed and value is not None else ""
            for is_indexed, value in zip(indexed, rung, strict=True)
        ],
    }


def json_of(table: dict[str, list[Any]]) -> bytes:
    """A table as a JSON array with an object for each row; unknown numbers are null."""
    rows = (dict(zip(table, map(_plain, row), strict=True)) for row in zip(*table.values(), strict=True))
    return b"[" + b",\n ".join(json.dumps(row).encode() for row in rows) + b"]\n"


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _names(results: Results, frames: Iterable[int]) -> list[str]:
    return [f"{results.source[f]}//{results.index[f]}" for f in frames]


def numbers(values: Iterable[float], digits: int) -> list[str]:
    """The numbers as text, with `digits` digits after the decimal point."""
    return [f"{value:.{digits}f}" for value in values]


def _known(value: float, digits: int = 1) -> str:
    return "-" if np.isnan(value) else f"{value:.{digits}f}"
