"""What results offer in Python besides their arrays: frames by their number, a short description, data frames."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ...errors import ParameterError, UsageError
from ..cell import PARAMETER_NAMES
from .frame import FrameStatus

if TYPE_CHECKING:
    from .results import Results

Part = TypeVar("Part", bound="Results")
ROWS = ("crystals", "frames")
"""What the rows of a data frame may be."""


def described(results: Any, name: str) -> str:
    """Results in short: how many frames, indexed frames and crystals there are, and what made them."""
    n_indexed = int((results.status == FrameStatus.INDEXED).sum())
    whole = "" if results.complete else ", stopped before the end"
    made = f"{results.header.method} on {results.header.device or results.header.backend}"
    n_crystals = int(results.crystal_offsets[-1])
    return f"<{name}: {results.n_frames} frames, {n_indexed} indexed, {n_crystals} crystals, {made}{whole}>"


def frames_of(frames: int | slice, n_frames: int) -> tuple[slice, int]:
    """The consecutive frames that an index or a slice spans, and its step.

    Raises
    ------
    IndexError
        For a frame that is not there, and for a slice that goes backwards.
    """
    if not isinstance(frames, slice):
        number = operator.index(frames)
        if not -n_frames <= number < n_frames:
            raise IndexError(f"frame {number} of {n_frames} frames")
        number %= n_frames
        return slice(number, number + 1), 1
    begin, end, step = frames.indices(n_frames)
    if step < 1:
        raise IndexError(f"a slice with the step {step}: frames are taken in their order, with a step of 1 or more")
    return slice(begin, max(begin, end)), step


def every(results: Part, step: int) -> Part:
    """Every frame whose number is a multiple of the step."""
    return results if step == 1 else results.take(np.arange(0, results.n_frames, step))


def data_frame(results: Results, rows: str) -> Any:
    """A pandas DataFrame with a row for each crystal or for each frame.

    Parameters
    ----------
    rows : {"crystals", "frames"}
        What each row is. Of a crystal: number, file and name of its frame, its rank on the frame, input cell, score
        (lower is better), all numbers of the results and the cell parameters (angstrom, degrees). Of a frame: all that
        the results hold, enumerations by their names, and how many crystals it has.

    Raises
    ------
    UsageError
        Without pandas.
    ParameterError
        For other rows.
    """
    try:
        import pandas
    except ImportError:
        raise UsageError("to_pandas needs pandas, which is not installed: pip install 'ffbidx[pandas]'") from None
    if rows not in ROWS:
        raise ParameterError("rows", rows, f"one of {', '.join(ROWS)}")
    return pandas.DataFrame(_of_crystals(results) if rows == "crystals" else _of_frames(results))


def _of_crystals(results: Results) -> dict[str, Any]:
    frame = results.frame_of_crystal
    table = {"frame": frame, "source": results.source[frame], "index": results.index[frame], "id": results.id[frame]}
    table["crystal"] = np.arange(len(frame)) - results.crystal_offsets[frame]
    table |= {"input_cell": results.input_cell[results.crystals], "score": results.scores[results.crystals]}
    table |= {name: values for name, values in _plain_columns(results, "crystals").items() if name != "crystals"}
    return table | dict(zip(PARAMETER_NAMES, results.crystal_parameters.T, strict=True))


def _of_frames(results: Results) -> dict[str, Any]:
    return _plain_columns(results, "frames") | {"n_crystals": np.diff(results.crystal_offsets)}


def _plain_columns(results: Results, rows: str) -> dict[str, Any]:
    """The columns of one number, text or name for each row."""
    from .results import COLUMNS

    table = {}
    for name, column in COLUMNS.items():
        values = getattr(results, name)
        if column.rows == rows and not column.tail and values is not None:
            names = column.names
            table[name] = values if names is None else np.array([names(v).name.lower() for v in values], object)
    return table
