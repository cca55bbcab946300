"""A share of the input for one of several jobs."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import InputError, UsageError
from ..model.detector import Geometry
from ..model.frame import Place
from .inputs import Source
from .open import open_spots


@dataclass(frozen=True)
class Span:
    """Consecutive frames of the input, the share of one of several jobs.

    Attributes
    ----------
    number, of
        Which share, from 1, of how many.
    start
        Where it begins.
    end
        Position that it stops before; None for the end of the input.
    n_frames
        Frames to take.
    positions
        Frames of the whole input, taken or not.
    """

    number: int
    of: int
    start: Place
    end: int | None
    n_frames: int
    positions: int

    @property
    def name(self) -> str:
        """Such as 3/8."""
        return f"{self.number}/{self.of}"


def parse_shard(text: str, environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Number, from 1, and count of shards: of K/N, or of `slurm` the task's place in its job array or its job.

    Raises
    ------
    UsageError
        When the text is neither, or the variables are not there.
    """
    if text == "slurm":
        return _slurm(environment)
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard {text}: is neither K/N, such as 3/8 for the third of eight, nor slurm")
    return int(match[1]), int(match[2])


def _slurm(environment: Mapping[str, str]) -> tuple[int, int]:
    def number(name: str) -> int | None:
        return int(environment[name]) if environment.get(name, "").isdecimal() else None

    task, low, high = (number(f"SLURM_ARRAY_TASK_{name}") for name in ("ID", "MIN", "MAX"))
    if task is not None and low is not None and high is not None:
        step = number("SLURM_ARRAY_TASK_STEP") or 1
        return (task - low) // step + 1, (high - low) // step + 1
    rank, tasks = number("SLURM_PROCID"), number("SLURM_NTASKS")
    if rank is not None and tasks is not None:
        return rank + 1, tasks
    raise UsageError("--shard slurm: there are neither SLURM_ARRAY_TASK_ID, _MIN, _MAX nor SLURM_PROCID, SLURM_NTASKS")


def span_of(
    sources: Sequence[Source], number: int, of: int, *, geometry: Geometry | None = None, every: int = 1,
    max_frames: int | None = None,
) -> Span:
    """The share `number`, from 1, of the frames of the sources; each file is opened to count its frames.

    A file that cannot be used belongs to the share in which it would begin.
    """
    counts = _counts(sources, geometry)
    total = sum(counts)
    last = total if max_frames is None else min(total, (max_frames - 1) * every + 1)
    begin, end = ((k * last) // of for k in (number - 1, number))
    position = 0
    for source, count in enumerate(counts):
        if position + count > begin or (count == 0 and position >= begin):
            start = Place(source, begin - position if count else 0, begin, -(-begin // every))
            break
        position += count
    else:
        start = Place(len(sources), 0, begin, -(-begin // every))
    n_frames = -(-end // every) - start.taken
    return Span(number, of, start, None if number == of else end, n_frames, total)


def _counts(sources: Sequence[Source], geometry: Geometry | None) -> list[int]:
    """Frames of each source; 0 where the file cannot be used."""
    known: dict[str, int | None] = {}
    for source in sources:
        if source.path not in known:
            known[source.path] = None
            with contextlib.suppress(InputError), contextlib.closing(open_spots(source.path, geometry)) as file:
                known[source.path] = file.n_frames
    counts = []
    for source in sources:
        n_frames = known[source.path]
        counts.append(0 if n_frames is None else n_frames if source.index is None else 1)
    return counts
