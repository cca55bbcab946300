"""Division of the input into shares for several jobs, and into stretches for the tasks of a cluster."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import InputError, UsageError
from ..model.detector.panels import GivenGeometry
from ..model.records.frame import Place
from .blocks import MOST_FILES_COUNTED
from .files.inputs import Source
from .files.probe import Prober
from .formats.open import open_spots


@dataclass(frozen=True)
class Stretch:
    """A stretch of consecutive frames of the input.

    Attributes
    ----------
    start
        Place at which the stretch begins.
    end
        Position in the input before which the stretch stops; None for the end of the input.
    n_frames
        Number of selected frames in the stretch.
    """

    start: Place
    end: int | None
    n_frames: int


@dataclass(frozen=True)
class Span(Stretch):
    """The share of the input that one of several jobs processes.

    Attributes
    ----------
    number, of
        Number of the share, from 1, and number of shares.
    positions
        Number of frames of the whole input, whether selected or not.
    """

    number: int
    of: int
    positions: int

    @property
    def name(self) -> str:
        """Number of the share and number of shares, such as 3/8."""
        return f"{self.number}/{self.of}"


def parse_share(text: str, environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Number of a share, from 1, and number of shares.

    Parameters
    ----------
    text
        K/N for share K of N; `slurm` for the position of the task in its Slurm job array or job; `slurm/N` for task K
        of a job array 1-N, whichever of its tasks were submitted.
    environment
        Environment variables, in which Slurm describes the task.

    Raises
    ------
    UsageError
        If the text has another form, or the variables of Slurm are missing.
    """
    if text == "slurm":
        return _slurm(environment)
    if (some := re.fullmatch(r"slurm/(\d{1,9})", text)) is not None:
        task = environment.get("SLURM_ARRAY_TASK_ID", "")
        if not (task.isdecimal() and 1 <= int(task) <= int(some[1])):
            raise UsageError(f"--shard {text}: SLURM_ARRAY_TASK_ID is {task or 'not set'}, expected 1 to {some[1]}")
        return int(task), int(some[1])
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard {text}: is neither K/N, such as 3/8 for the third of eight, nor slurm or slurm/N")
    return int(match[1]), int(match[2])


def _slurm(environment: Mapping[str, str]) -> tuple[int, int]:
    """Number of the share, from 1, and number of shares, by the variables of Slurm."""

    def number(name: str) -> int | None:
        return int(environment[name]) if environment.get(name, "").isdecimal() else None

    task, low, high = (number(f"SLURM_ARRAY_TASK_{name}") for name in ("ID", "MIN", "MAX"))
    if task is not None and low is not None and high is not None:
        count = number("SLURM_ARRAY_TASK_COUNT") or high - low + 1
        # Some tasks of an array that are submitted again must not be taken for a whole array.
        if low > 1 or count != high - low + 1 or (number("SLURM_ARRAY_TASK_STEP") or 1) > 1:
            found = f"the tasks of the job array are {count} between {low} and {high}, not all from 1 (or 0) on"
            raise UsageError(f"--shard slurm: {found}: give the number of shares, as --shard slurm/N for an array 1-N")
        return task - low + 1, count
    rank, tasks = number("SLURM_PROCID"), number("SLURM_NTASKS")
    if rank is not None and tasks is not None:
        return rank + 1, tasks
    raise UsageError("--shard slurm: there are neither SLURM_ARRAY_TASK_ID, _MIN, _MAX nor SLURM_PROCID, SLURM_NTASKS")


def span_of(
    sources: Sequence[Source],
    number: int,
    of: int,
    *,
    geometry: GivenGeometry | None = None,
    every: int = 1,
    max_frames: int | None = None,
    prober: Prober | None = None,
) -> Span:
    """Share `number` (from 1) of `of` shares of the frames of the sources; each file is opened to count its frames.

    A file that cannot be used belongs to the share in which it would begin. The other parameters are those of
    `read_blocks`.
    """
    counts = list(map(_Counts(geometry, prober), sources))
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
    return Span(start, None if number == of else end, n_frames, number, of, total)


def first_without_pixels(
    sources: Sequence[Source],
    stretch: Stretch | None = None,
    *,
    geometry: GivenGeometry | None = None,
    every: int = 1,
    max_frames: int | None = None,
    prober: Prober | None = None,
) -> str | None:
    """The first input with a selected frame, or no frame so far, whose spots have no pixels on a detector; else None.

    At most `MOST_FILES_COUNTED` files are opened. Only the sources of a stretch count, if one is given; the other
    parameters are those of `read_blocks`.
    """
    count, start, end = _Counts(geometry, prober), Place() if stretch is None else stretch.start, math.inf
    if stretch is not None and stretch.end is not None:
        end = stretch.end
    if max_frames is not None:
        end = min(end, (max_frames - 1) * every + 1)
    begin, position = start.position, start.position - start.frame
    for source in sources[start.source :]:
        if position >= end or count.n_files == MOST_FILES_COUNTED:
            break
        n_frames = count(source)
        selected = -(-max(begin, position) // every) * every
        if source.path in count.without_pixels and (n_frames == 0 or selected < min(position + n_frames, end)):
            return source.path
        position += n_frames
    return None


@dataclass(frozen=True)
class Cut(Stretch):
    """A stretch that is planned before it is read.

    Attributes
    ----------
    last
        Place after the last selected frame, provided that no file has changed since its frames were counted.
    """

    last: Place


class Cutter:
    """Division of the input, from a place on, into consecutive stretches.

    A file is opened to count its frames when the first stretch reaches it. A file that cannot be used belongs to the
    same stretch as the frames after it.

    Parameters
    ----------
    sources, geometry, every, max_frames, prober
        Parameters of `read_blocks`.
    start
        Place where the first stretch begins.
    end
        Position in the input before which the last stretch stops; None for the end of the input.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        start: Place,
        end: int | None = None,
        geometry: GivenGeometry | None = None,
        every: int = 1,
        max_frames: int | None = None,
        prober: Prober | None = None,
    ) -> None:
        self._sources, self._count = sources, _Counts(geometry, prober)
        self._every, self._most, self._end = every, max_frames, end
        self._next: Place | None = start

    def cut(self, n_frames: int) -> Cut | None:
        """The next stretch, with at most `n_frames` (1 or more) selected frames; None if there are no more frames.

        The last stretch includes the files without frames at the end of the input.
        """
        start = self._next
        most = n_frames if start is None or self._most is None else min(n_frames, self._most - start.taken)
        if start is None or most < 1:
            return None
        last, taken, is_last = start, 0, True
        source, frame, position = start.source, start.frame, start.position
        while source < len(self._sources):
            left, skipped = self._left(source, frame), -position % self._every
            if left <= skipped:
                source, frame, position = source + 1, 0, position + left
                continue
            to_end = left if self._end is None else min(left, self._end - position)
            if to_end <= skipped or taken == most:
                is_last = to_end <= skipped or start.taken + taken == self._most
                break
            n = min(most - taken, -(-(to_end - skipped) // self._every))
            passed = skipped + (n - 1) * self._every + 1
            taken, position = taken + n, position + passed
            index = self._sources[source].index
            frame = frame + passed if index is None else index + 1
            last = Place(source, frame, position, start.taken + taken)
        # The next stretch begins directly after the last frame, so that unusable files in between belong to it.
        self._next = None if is_last else last
        return Cut(start, self._end if is_last else last.position, taken, last)

    def _left(self, source: int, frame: int) -> int:
        """Number of frames of a source from a given frame on."""
        index = self._sources[source].index
        if index is not None and frame > index:
            return 0
        return max(0, self._count(self._sources[source]) - (frame if index is None else 0))


class _Counts:
    """Counter of the frames of sources, which opens each file once; a file that cannot be used has 0 frames.

    Attributes
    ----------
    without_pixels : set of str
        Files that were opened whose spots have no pixels on a detector.
    """

    def __init__(self, geometry: GivenGeometry | None, prober: Prober | None) -> None:
        self.without_pixels: set[str] = set()
        self._geometry, self._prober = geometry, prober
        self._known: dict[str, int | None] = {}

    @property
    def n_files(self) -> int:
        """Number of files that were opened, or could not be used."""
        return len(self._known)

    def __call__(self, source: Source) -> int:
        path = source.path
        if path not in self._known:
            self._known[path] = None
            with (
                contextlib.suppress(InputError),
                contextlib.closing(open_spots(path, self._geometry, self._prober)) as file,
            ):
                self._known[path] = file.n_frames
                if file.geometry is None:
                    self.without_pixels.add(path)
        n_frames = self._known[path]
        return 0 if n_frames is None else n_frames if source.index is None else 1
