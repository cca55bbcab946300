"""How much of a file is there while another program writes it in SWMR mode (single writer, multiple readers).

HDF5 promises a reader of such a file that its structure is sound at any moment, and that what the writer has flushed
is there. It promises nothing of the order in which the parts of one frame arrive: the length of a dataset, its values,
and those of another dataset come each by itself, some with a flush and some before it, when a cache is full. Until
then a reader meets the fill value, usually 0: offsets without spots, counts of peaks without peaks.

What is relied on here, besides: a writer appends frames in their order, each with one write to each dataset, and the
chunks of a dataset arrive in the order in which they were written (HDF5 evicts and flushes the oldest first). So all
rows before the last one that is not the fill value are there, and of a frame the rest of its rows in that one's chunk.
Frames behind that are not there yet. Once the writer has closed the file all of it counts as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

_FIRST_LOOK, _LARGEST_LOOK = 2**14, 2**22


def rows_written(dataset: h5py.Dataset, n_rows: int) -> int:
    """Number of rows, among the first `n_rows`, up to the last one that is not all fill value."""
    width = max(1, int(np.prod(dataset.shape[1:])))
    end, at_once = n_rows, _FIRST_LOOK
    while end > 0:
        begin = max(0, end - max(1, at_once // width))
        found = np.flatnonzero(_differs(dataset[begin:end], dataset.fillvalue).reshape(end - begin, -1).any(axis=1))
        if len(found):
            return begin + int(found[-1]) + 1
        end, at_once = begin, min(4 * at_once, _LARGEST_LOOK)
    return 0


def _differs(values: NDArray[Any], fill: Any) -> NDArray[np.bool_]:
    if values.dtype.kind == "f" and np.isnan(fill):
        return np.asarray(~np.isnan(values))
    return np.asarray(values != fill)


def whole_frames(
    offsets: h5py.Dataset,
    per_spot: Sequence[h5py.Dataset],
    per_frame: Sequence[h5py.Dataset],
    blank: Sequence[h5py.Dataset] = (),
) -> int:
    """Number of frames that a growing file of spots has whole.

    Parameters
    ----------
    offsets
        (F + 1,), frame i owns rows offsets[i] to offsets[i + 1] of the datasets `per_spot`.
    per_spot, per_frame
        Datasets in which a frame has to be there.
    blank
        Datasets among these that some writers leave at the fill value throughout.
    """
    n = min([rows_written(offsets, len(offsets)) - 1, *(len(dataset) for dataset in per_frame)])
    for dataset in per_frame:
        written = rows_written(dataset, max(n, 0))
        n = n if dataset in blank and not written else min(n, written)
    if n <= 0:
        return 0
    ends = offsets[1 : n + 1].astype(np.int64)
    n = int(np.searchsorted(ends, min(len(dataset) for dataset in per_spot), side="right"))
    for dataset in per_spot:
        there = _rows_there(dataset, ends[:n])
        if there or dataset not in blank:
            n = int(np.searchsorted(ends[:n], there, side="right"))
    return n


def _rows_there(dataset: h5py.Dataset, ends: NDArray[np.int64]) -> int:
    """Number of rows that are there, given the ends of the frames' rows."""
    last = rows_written(dataset, int(ends[-1])) - 1 if len(ends) and 0 < ends[-1] <= len(dataset) else -1
    if last < 0:
        return 0
    # One write brought all of a frame that is in one chunk, padding included.
    chunk = dataset.chunks[0] if dataset.chunks else 1
    return int(min(ends[np.searchsorted(ends, last, side="right")], (last // chunk + 1) * chunk))
