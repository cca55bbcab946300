"""The number of whole frames in a file that another program is writing in SWMR mode (single writer, multiple readers).

HDF5 guarantees a reader of such a file that the structure is sound at any moment, and that all data which the writer
has flushed can be read. It guarantees no order in which the parts of a frame arrive: the length of a dataset, its
values and the values of another dataset become visible independently, some with a flush and some earlier, when a cache
is full. Until then a reader sees the fill value, usually 0: offsets without spots, or counts of peaks without peaks.

The code here further assumes that a writer appends frames in order, with one write to each dataset per frame, and that
the chunks of a dataset become visible in the order in which they were written (HDF5 evicts and flushes the oldest
first). All rows before the last one that differs from the fill value are then present, and so are the other rows of the
same frame in the chunk of that row. Later frames are not present yet. Once the writer has closed the file, all of its
content counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

_FIRST_LOOK, _LARGEST_LOOK = 2**14, 2**22


def rows_written(dataset: h5py.Dataset, n_rows: int) -> int:
    """Number of rows, among the first `n_rows`, up to the last one that differs from the fill value."""
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
    """Whether each value differs from the fill value, which may be nan."""
    if values.dtype.kind == "f" and np.isnan(fill):
        return np.asarray(~np.isnan(values))
    return np.asarray(values != fill)


def whole_frames(
    offsets: h5py.Dataset,
    per_spot: Sequence[h5py.Dataset],
    per_frame: Sequence[h5py.Dataset],
    blank: Sequence[h5py.Dataset] = (),
) -> int:
    """Number of whole frames in a growing file of spots.

    Parameters
    ----------
    offsets : (F + 1,)
        Frame i owns the rows offsets[i]:offsets[i + 1] of the datasets `per_spot`.
    per_spot, per_frame
        Datasets with one row for each spot, and for each frame, in which a frame must be present.
    blank
        Those of these datasets that some writers leave at the fill value throughout.
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
    """Number of rows that are present, from the ends of the frames' rows."""
    last = rows_written(dataset, int(ends[-1])) - 1 if len(ends) and 0 < ends[-1] <= len(dataset) else -1
    if last < 0:
        return 0
    # All rows of a frame in one chunk arrive with one write, including padding.
    chunk = dataset.chunks[0] if dataset.chunks else 1
    return int(min(ends[np.searchsorted(ends, last, side="right")], (last // chunk + 1) * chunk))
