"""Views of results in Python besides their arrays: selections of frames, a short description, data frames."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ...errors import ParameterError, UsageError
from ...nouns import counted
from ..cell import PARAMETER_NAMES
from .frame import FrameStatus

if TYPE_CHECKING:
    from .results import Results

Part = TypeVar("Part", bound="Results")
ROWS = ("crystals", "frames")
"""Kinds of rows that a data frame can have."""


def described(results: Any, name: str) -> str:
    """A short description of results: numbers of frames, indexed frames and crystals, method and device."""
    n_indexed = int((results.status == FrameStatus.INDEXED).sum())
    whole = "" if results.complete else ", stopped before the end"
    made = f"{results.header.method} on {results.header.device or results.header.backend}"
    frames, crystals = counted(results.n_frames, "frame"), counted(int(results.crystal_offsets[-1]), "crystal")
    return f"<{name}: {frames}, {n_indexed} indexed, {crystals}, {made}{whole}>"


def frames_of(frames: int | slice, n_frames: int) -> tuple[slice, int]:
    """The range of consecutive frames that an index or a slice spans, and the step of the slice.

    Raises
    ------
    IndexError
        If the frame does not exist, or the slice goes backwards.
    """
    if not isinstance(frames, slice):
        number = operator.index(frames)
        if not -n_frames <= number < n_frames:
            raise IndexError(f"frame {number} of {counted(n_frames, 'frame')}")
        number %= n_frames
        return slice(number, number + 1), 1
    begin, end, step = frames.indices(n_frames)
    if step < 1:
        raise IndexError(f"a slice with the step {step}: frames are taken in their order, with a step of 1 or more")
    return slice(begin, max(begin, end)), step


def every(results: Part, step: int) -> Part:
    """The results of every frame whose number is a multiple of the step."""
    return results if step == 1 else results.take(np.arange(0, results.n_frames, step))


def data_frame(results: Results, rows: str) -> Any:
    """A pandas DataFrame with one row for each crystal or for each frame.

    Parameters
    ----------
    results
        Results of a run.
    rows : {"crystals", "frames"}
        The kind of rows. A crystal has the number, file, index and name of its frame, its rank on the frame, input
        cell, score (lower is better), all measures of the results and the cell parameters (angstrom, degrees). A frame
        has all columns of the results, with enumerations by name, and its number of crystals.

    Raises
    ------
    UsageError
        If pandas is not installed.
    ParameterError
        If `rows` has another value.
    """
    try:
        import pandas
    except ImportError:
        raise UsageError("to_pandas needs pandas, which is not installed: pip install 'ffbidx[pandas]'") from None
    if rows not in ROWS:
        raise ParameterError("rows", rows, f"one of {', '.join(ROWS)}")
    return pandas.DataFrame(_of_crystals(results) if rows == "crystals" else _of_frames(results))


def _of_crystals(results: Results) -> dict[str, Any]:
    """The columns of a data frame with one row for each crystal."""
    frame = results.frame_of_crystal
    table = {"frame": frame, "source": results.source[frame], "index": results.index[frame], "id": results.id[frame]}
    table["crystal"] = np.arange(len(frame)) - results.crystal_offsets[frame]
    table |= {"input_cell": results.input_cell[results.crystals], "score": results.scores[results.crystals]}
    table |= {name: values for name, values in _plain_columns(results, "crystals").items() if name != "crystals"}
    return table | dict(zip(PARAMETER_NAMES, results.crystal_parameters.T, strict=True))


def _of_frames(results: Results) -> dict[str, Any]:
    """The columns of a data frame with one row for each frame."""
    return _plain_columns(results, "frames") | {"n_crystals": np.diff(results.crystal_offsets)}


def _plain_columns(results: Results, rows: str) -> dict[str, Any]:
    """The columns that have a single number, text or enumeration name in each row of a kind."""
    from .results import COLUMNS

    table = {}
    for name, column in COLUMNS.items():
        values = getattr(results, name)
        if column.rows == rows and not column.tail and values is not None:
            names = column.names
            table[name] = values if names is None else np.array([names(v).name.lower() for v in values], object)
    return table
