"""A results file whose arrays and frames are read only when they are accessed."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..model.records.results import COLUMNS, Results, ResultsHeader
from ..model.records.view import data_frame, described, every, frames_of
from .files.identity import size_and_time
from .results import read_column, read_frames, read_header, read_results


def open_results(path: str | os.PathLike[str]) -> ResultsFile:
    """Open the results of a run, which are read from their file only when they are accessed.

    Parameters
    ----------
    path
        A results file that `ffbidx index` wrote.

    Returns
    -------
    ResultsFile
        `results[10:20]` reads ten frames, `results.rmsd` reads one array for all frames.

    Raises
    ------
    InputError
        If the file is not a results file, or lacks a dataset that all results have.
    """
    return ResultsFile(os.fspath(path))


class ResultsFile:
    """The results of F frames in a file, with the attributes of `Results`, each of which is read on first access.

    Attributes
    ----------
    path : str
        The results file.
    header : ResultsHeader
        Record of how the results were made.
    complete : bool
        Whether the run reached its end.
    n_frames : int
        The number F of frames.
    """

    def __init__(self, path: str) -> None:
        self.path, self._then = path, size_and_time(path)
        header, complete, n_frames = read_header(path)
        self.header: ResultsHeader = header
        self.complete, self.n_frames = complete, n_frames

    def __getattr__(self, name: str) -> Any:
        if name not in COLUMNS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self._check_same()
        values = read_column(self.path, name)
        setattr(self, name, values)
        return values

    def __len__(self) -> int:
        return self.n_frames

    def __getitem__(self, frames: int | slice) -> Results:
        """Read the results of one frame, or of the frames of a slice."""
        span, step = frames_of(frames, self.n_frames)
        self._check_same()
        return every(read_frames(self.path, span), step)

    def __repr__(self) -> str:
        return described(self, f"{type(self).__name__} {self.path}")

    @property
    def frame_of_crystal(self) -> NDArray[np.int64]:
        """Number of the frame of each crystal, (k,)."""
        return np.repeat(np.arange(self.n_frames), np.diff(self.crystal_offsets))

    def read(self) -> Results:
        """Read the results of all frames into memory."""
        self._check_same()
        return read_results(self.path)

    def to_pandas(self, rows: str = "crystals") -> Any:
        """A pandas DataFrame with one row for each crystal or for each frame; see `Results.to_pandas`."""
        return data_frame(self.read(), rows)

    def _check_same(self) -> None:
        """Check that the file has not changed since it was opened."""
        if size_and_time(self.path) != self._then:
            raise InputError(self.path, "has changed since it was opened: open it again")
