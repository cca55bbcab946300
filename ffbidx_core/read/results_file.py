"""A results file whose arrays are read when they are asked for, frames by themselves."""

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
    """The results of a run, which stay in their file until they are asked for.

    Parameters
    ----------
    path
        A results file that `ffbidx index` wrote.

    Returns
    -------
    ResultsFile
        `results[10:20]` reads ten frames, `results.rmsd` one array of all.

    Raises
    ------
    InputError
        When the file is none, or lacks what all results have.
    """
    return ResultsFile(os.fspath(path))


class ResultsFile:
    """The results of F frames in a file. It has the attributes of `Results`, each read when it is asked for first.

    Attributes
    ----------
    path : str
    header : ResultsHeader
        How the results were made.
    complete : bool
        False when the run was stopped before its end.
    n_frames : int
        F.
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
        """Some frames, read from the file: those of a slice, or one."""
        span, step = frames_of(frames, self.n_frames)
        self._check_same()
        return every(read_frames(self.path, span), step)

    def __repr__(self) -> str:
        return described(self, f"{type(self).__name__} {self.path}")

    @property
    def frame_of_crystal(self) -> NDArray[np.int64]:
        """Frame of each crystal, (k,)."""
        return np.repeat(np.arange(self.n_frames), np.diff(self.crystal_offsets))

    def read(self) -> Results:
        """All frames in memory."""
        self._check_same()
        return read_results(self.path)

    def to_pandas(self, rows: str = "crystals") -> Any:
        """A pandas DataFrame with a row for each of the crystals or frames; see `Results.to_pandas`."""
        return data_frame(self.read(), rows)

    def _check_same(self) -> None:
        if size_and_time(self.path) != self._then:
            raise InputError(self.path, "has changed since it was opened: open it again")
