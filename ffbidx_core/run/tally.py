"""The counts and cell statistics of a run, gathered batch by batch in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import compile_time
from ..model.basis import ConventionalCells
from ..model.cell import Array, cell_parameters
from ..model.detector.distortion import Distortion
from ..model.detector.peaks import note_of_panels
from ..model.percentiles import median_and_spread
from ..model.records.doubt import UNJUDGED, Contest
from ..model.records.frame import BatchResult, FrameStatus
from ..model.records.notes import Notes
from ..model.records.reason import FrameReason, Rung
from ..model.records.remedy import Remedy
from ..model.records.results import Results
from ..model.records.run import Mark
from ..read.files.opened_results import OpenResults
from .summary import CellSummary, Summary

LARGEST_SAMPLE = 1 << 14
"""Largest number of crystals from which the median and spread of an input cell are taken."""

MANY_AT_ORIGIN = 0.05
"""Share of the spots inside the first shell of reciprocal space above which a note is made."""
AT_ORIGIN = (
    "{:.0%} of the spots lie nearer to the beam than any reflection: check the distance of the detector and the "
    "wavelength (or photon energy), and the units of both"
)


class Sample:
    """A bounded sample of the rows of a long stream: all rows at first, then every second, every fourth, and so on.

    Parameters
    ----------
    measured
        Function of the sampled rows (n, ...) that returns the quantities (n, q) whose median is of interest.
    """

    def __init__(self, measured: Callable[[NDArray[Any]], Array] = np.asarray) -> None:
        self.count, self._measured = 0, measured
        self._stride = 1
        self._parts: list[NDArray[Any]] = []
        self._n_rows = 0

    def add(self, rows: NDArray[Any]) -> None:
        """Add rows (n, ...)."""
        # The rows are copied so that the whole batch to which they belong is not kept in memory.
        taken = rows[-self.count % self._stride :: self._stride].copy()
        self.count += len(rows)
        self._parts.append(taken)
        self._n_rows += len(taken)
        while self._n_rows > LARGEST_SAMPLE:
            self._parts = [np.concatenate(self._parts)[::2].copy()]
            self._n_rows = len(self._parts[0])
            self._stride *= 2

    def median_and_spread(self) -> tuple[list[float] | None, list[float] | None]:
        """The median and half the width of the central 68 % of each quantity; None if there are too few rows."""
        if not self._n_rows:
            return None, None
        median, spread = median_and_spread(self._measured(np.concatenate(self._parts)))
        return median.tolist(), spread.tolist() if self._n_rows > 1 else None


@dataclass
class Tally:
    """Counts of frames, spots and crystals that grow with every batch."""

    n_crystals: int = 0
    n_spots: int = 0
    n_left_out: int = 0
    n_not_sampled: int = 0
    n_at_origin: int = 0
    n_off_panels: int = 0
    notes: Notes = field(default_factory=Notes)
    started: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.status = np.zeros(len(FrameStatus), dtype=np.int64)
        self.reasons = np.zeros(len(FrameReason), dtype=np.int64)
        self.rungs = np.zeros(len(Rung), dtype=np.int64)
        self.n_before = 0
        self._compiled_before = compile_time.seconds()
        self._samples: dict[int, Sample] = {}

    @property
    def n_frames(self) -> int:
        """Number of frames so far."""
        return int(self.status.sum())

    @property
    def n_indexed(self) -> int:
        """Number of frames with a crystal."""
        return int(self.status[FrameStatus.INDEXED])

    @property
    def n_processed(self) -> int:
        """Number of frames that could be used, whatever was found on them."""
        return self.n_frames - int(self.status[[FrameStatus.BAD_SPOTS, FrameStatus.UNREADABLE]].sum())

    @property
    def why_nothing(self) -> str:
        """A sentence that says why no frame could be processed."""
        if self.n_frames == 0:
            return "the input has no frames: nothing to index"
        first = f"; the first problem: {self.notes.commonest}" if self.notes.kept else ""
        if self.n_frames == 1:
            return f"the only frame or file could not be used{first}"
        return f"none of the {self.n_frames} frames and files could be used{first}"

    @property
    def note_of_origin(self) -> str:
        """A note if many spots lie inside the first shell of reciprocal space; otherwise empty."""
        if self.n_at_origin <= MANY_AT_ORIGIN * self.n_spots:
            return ""
        return AT_ORIGIN.format(self.n_at_origin / self.n_spots)

    @property
    def note_of_panels(self) -> str:
        """A note with the share of the peaks that lie on no panel of the geometry; empty if there are none."""
        return note_of_panels(self.n_off_panels, self.n_spots)

    @property
    def seconds(self) -> float:
        """Time in seconds since the start, without the time for compiling kernels."""
        return time.perf_counter() - self.started - self.compiling

    @property
    def compiling(self) -> float:
        """Time in seconds since the start that was spent on compiling kernels that were not in the cache."""
        return compile_time.seconds() - self._compiled_before

    def add(
        self,
        status: NDArray[np.uint8],
        n_spots: NDArray[np.int32],
        result: BatchResult | Results | OpenResults,
        input_cell_rows: NDArray[np.int32],
    ) -> None:
        """Count frames; `input_cell_rows` (M,) are the rows of their input cells among the input cells of the run."""
        self.status += np.bincount(status, minlength=len(FrameStatus))
        if result.reason is not None and result.rung is not None:
            self.reasons += np.bincount(result.reason, minlength=len(FrameReason))
            self.rungs += np.bincount(result.rung[status == FrameStatus.INDEXED.value], minlength=len(Rung))
        self.n_crystals += len(result.crystals)
        self.n_spots += int(n_spots.sum())
        searched = status <= FrameStatus.NOT_INDEXED.value
        at_origin = 0 if result.n_at_origin is None else result.n_at_origin
        self.n_at_origin += int(np.sum(at_origin))
        self.n_not_sampled += int((n_spots - result.n_sampled - at_origin)[searched].sum())
        if not len(result.crystals):
            return
        rows = input_cell_rows[result.input_cell[result.crystals]]
        cells = result.cells[result.crystals]
        for row in np.unique(rows) if len(input_cell_rows) > 1 else input_cell_rows:
            self._samples.setdefault(int(row), Sample(cell_parameters)).add(cells[rows == row])

    def take_up(self, mark: Mark) -> None:
        """Start from frames that were finished before; these do not count for the speed."""
        self.n_before = self.n_frames
        self.n_left_out += mark.n_left_out
        self.n_off_panels += mark.n_off_panels
        for problem in mark.problems:
            self.notes.add(problem)

    def note(self, problem: str) -> bool:
        """Note a problem; returns whether it is a new one."""
        return self.notes.add(problem)

    def cell_summary(
        self, row: int, given: ConventionalCells, learned: ConventionalCells | None, learned_from: int
    ) -> CellSummary:
        """The summary of the input cell (3, 3) with this row among the cells of the run."""
        sample = self._samples.get(row, Sample())
        median, spread = sample.median_and_spread()
        return CellSummary(
            [float(v) for v in cell_parameters(given)],
            None if learned is None else [float(v) for v in cell_parameters(learned)],
            learned_from,
            sample.count,
            median,
            spread,
        )

    def summary(
        self,
        cells: list[CellSummary],
        *,
        method: str,
        backend: str,
        device: str,
        output: str,
        complete: bool,
        expected_false: float | None = None,
        contest: Contest = UNJUDGED,
        remedy: Remedy | None = None,
        distortion: Distortion | None = None,
    ) -> Summary:
        """The summary of the run so far."""
        seconds = self.seconds
        return Summary(
            self.n_frames,
            self.n_indexed,
            self.n_crystals,
            None if contest.doubt else expected_false,
            {status.name.lower(): int(n) for status, n in zip(FrameStatus, self.status, strict=True)},
            self.n_spots,
            self.n_left_out,
            self.n_not_sampled,
            cells,
            round(seconds, 3),
            round((self.n_frames - self.n_before) / seconds, 2),
            method,
            backend,
            device,
            output,
            complete,
            self.notes.lines,
            {each.name.lower(): int(n) for each, n in zip(FrameReason, self.reasons, strict=True) if each},
            {each.name.lower(): int(n) for each, n in zip(Rung, self.rungs, strict=True)},
            self.n_at_origin,
            contest.doubt,
            round(self.compiling, 3),
            remedy,
            distortion,
            contest.verdict,
        )
