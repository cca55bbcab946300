"""Reading of results files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..model.records.results import Results, ResultsHeader
from ..model.records.run import InputIdentity, Learned, Mark, RunRecord
from .files.datasets import errors_of
from .files.opened_results import header_of, open_results_file, opened


def read_results(path: str | os.PathLike[str]) -> Results:
    """Read the results of a run.

    Parameters
    ----------
    path
        A results file that `ffbidx index` wrote.

    Returns
    -------
    Results
        The results of all frames, in memory.

    Raises
    ------
    InputError
        If the file is not a results file, is damaged, or its parts do not fit each other.
    """
    with opened(os.fspath(path)) as results:
        return results.whole()


def results_in_pieces(path: str, frames_at_once: int = 8192, *, is_own: bool = False) -> Iterator[Results]:
    """Read the results of a run, at most `frames_at_once` frames at a time; see `OpenResults` for `is_own`.

    Yields
    ------
    Results
        The results of consecutive frames, with all input cells.

    Raises
    ------
    InputError
        If the file is not a results file, or is damaged.
    """
    with opened(path, is_own=is_own) as results:
        results.check_datasets()
        for begin in range(0, results.n_frames, frames_at_once):
            yield results.frames(slice(begin, min(begin + frames_at_once, results.n_frames)))


def read_frames(path: str, frames: slice) -> Results:
    """Read the results of consecutive frames, with all input cells; nothing else is read.

    Parameters
    ----------
    path
        The results file.
    frames
        First frame and end of the frames, which must lie inside the file.

    Raises
    ------
    InputError
        If the file is not a results file, or the parts that are read are damaged.
    """
    with opened(path) as results:
        return results.frames(frames)


def some_frames(path: str, chosen: NDArray[np.int64]) -> Iterator[Results]:
    """Read the results of a selection of frames (ascending numbers), one piece for each input file.

    Raises
    ------
    InputError
        If the file is not a results file, or is damaged.
    """
    before, parts = 0, []
    for piece in results_in_pieces(path):
        mine = chosen[(chosen >= before) & (chosen < before + piece.n_frames)] - before
        before += piece.n_frames
        parts.append(piece.take(mine))
    if parts:
        # The pieces are joined first, so that each input file is opened only once.
        whole = Results.joined(parts)
        ends = np.flatnonzero(whole.source[1:] != whole.source[:-1]) + 1
        yield from (whole.take(part) for part in np.split(np.arange(whole.n_frames), ends) if len(part))


def read_header(path: str) -> tuple[ResultsHeader, bool, int]:
    """The header of a results file, whether its run reached the end, and its number of frames.

    Raises
    ------
    InputError
        If the file is not a results file, or lacks a dataset.
    """
    with opened(path) as results:
        results.check_datasets()
        return results.header, results.complete, results.n_frames


def read_column(path: str, name: str) -> Any:
    """Read one array of the results in a file, by the name of its attribute; None if the file lacks it.

    Raises
    ------
    InputError
        If the dataset is damaged.
    """
    with opened(path) as results:
        return getattr(results, name)


def read_run(path: str) -> tuple[ResultsHeader, bool, RunRecord, Mark, list[Learned] | None]:
    """Read the record of a run from its results file.

    Returns
    -------
    header : ResultsHeader
        Header of the results.
    complete : bool
        Whether the run reached its end.
    record : RunRecord
        Settings and inputs.
    mark : Mark
        Progress of the run.
    learned : list of Learned or None
        Learned cells; None if nothing has been learned yet.

    Raises
    ------
    InputError
        If the file is not a results file, or was written by a program that keeps no record.
    """
    with open_results_file(path) as file:
        with errors_of(path, "attributes"):
            header, complete = header_of(path, dict(file.attrs))
        if "run" not in file:
            raise InputError(path, "does not say how it was made: it has no group /run")
        with errors_of(path, "/run"):
            later = [name for name in ("versions", "cell_search") if f"run/{name}" in file]
            names = ("settings", "config", "mark", "learned", *later)
            words = {name: json.loads(file[f"run/{name}"].asstr()[()]) for name in names}
            paths = file["run/input/path"].asstr("utf-8", "surrogateescape")[()]
            numbers = [file[f"run/input/{name}"][()].tolist() for name in ("frame", "size", "mtime_ns")]
            has_digests = "run/input/digest" in file
            digests = file["run/input/digest"].asstr()[()] if has_digests else [""] * len(paths)
        inputs = tuple(InputIdentity(*row) for row in zip(paths, *numbers, digests, strict=True))
    learned = words["learned"]
    others = {name: words.get(name, {}) for name in ("versions", "cell_search")}
    record = RunRecord(words["settings"], inputs, words["config"], **others)
    return (
        header,
        complete,
        record,
        Mark.from_dict(words["mark"]),
        None if learned is None else [Learned.from_dict(values) for values in learned],
    )


def read_record(path: str) -> tuple[ResultsHeader, RunRecord]:
    """The header of a results file, and the record of its run, which is empty if the file has none.

    Raises
    ------
    InputError
        If the file is not a results file.
    """
    with open_results_file(path) as file:
        with errors_of(path, "attributes"):
            header, _ = header_of(path, dict(file.attrs))
        knows_its_run = "run" in file
    return header, read_run(path)[2] if knows_its_run else RunRecord({}, ())
