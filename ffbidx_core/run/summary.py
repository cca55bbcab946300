"""The progress of a run after every batch, and its summary at the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ..model.detector.distortion import Distortion
from ..model.records.doubt import Verdict
from ..model.records.remedy import Remedy


@dataclass(frozen=True)
class CellSummary:
    """The crystals that came from one input cell.

    Attributes
    ----------
    given, learned : list of 6 float
        Cell parameters a, b, c in angstrom, alpha, beta, gamma in degrees; `learned` is None if nothing was learned.
    learned_from : int
        Number of crystals from which the cell was learned.
    crystals : int
        Number of crystals that came from the cell.
    median, spread : list of 6 float or None
        Median and spread of the parameters of these crystals. The spread is half the distance between the 16th and the
        84th percentile, which is one standard deviation of a normal distribution.
    """

    given: list[float]
    learned: list[float] | None
    learned_from: int
    crystals: int
    median: list[float] | None
    spread: list[float] | None


@dataclass(frozen=True)
class Summary:
    """Counts and figures of a run.

    Attributes
    ----------
    frames, indexed, crystals : int
        Number of frames, of frames with a crystal, and of crystals.
    expected_false : float or None
        Largest number of crystals that chance is expected to produce, if all frames were blank; None if unknown, and
        if there is a doubt.
    status : dict
        Number of frames, keyed by status.
    spots, spots_left_out, spots_not_sampled : int
        Number of spots given; of padding and duplicates in the input; of spots beyond `max_spots`, used by fits only.
    cells : list of CellSummary
        Summaries of the input cells, in the order of `/input_cells`.
    seconds, frames_per_second : float
        Wall-clock time of reading, computing and writing, and the speed; for a resumed run, of its last part.
    complete : bool
        Whether the run reached its end; false if it was stopped.
    problems : list of str
        Notes on problems that came up in the run.
    reasons : dict
        Number of frames without a crystal, keyed by reason.
    rungs : dict
        Number of indexed frames, keyed by the try that indexed them.
    spots_at_origin : int
        Number of spots left out because they lie inside the first shell of reciprocal space.
    doubt : str
        Reason why the crystals of the run are not to be believed, or not confirmed; empty if there is none.
    seconds_compiling : float
        Seconds, in addition to `seconds`, spent on compiling kernels; 0 if they were in the cache.
    remedy : Remedy or None
        Option that is probably wrong, with the right value; None if all seem right.
    distortion : Distortion or None
        Stretch and tilt (radian) of the detector that the run corrected; None if it found none.
    verdict : str
        `confirmed`, `not confirmed` or `not to be believed`, or `not judged` if there was nothing to judge.
    """

    frames: int
    indexed: int
    crystals: int
    expected_false: float | None
    status: dict[str, int]
    spots: int
    spots_left_out: int
    spots_not_sampled: int
    cells: list[CellSummary]
    seconds: float
    frames_per_second: float
    method: str
    backend: str
    device: str
    output: str
    complete: bool
    problems: list[str]
    reasons: dict[str, int] = field(default_factory=dict)
    rungs: dict[str, int] = field(default_factory=dict)
    spots_at_origin: int = 0
    doubt: str = ""
    seconds_compiling: float = 0.0
    remedy: Remedy | None = None
    distortion: Distortion | None = None
    verdict: str = Verdict.NOT_JUDGED

    @property
    def bad_frames(self) -> int:
        """Number of frames and files that could not be used."""
        return self.status["bad_spots"] + self.status["unreadable"]

    @property
    def processed(self) -> int:
        """Number of frames that could be used, whatever was found on them."""
        return self.frames - self.bad_frames

    def as_dict(self) -> dict[str, Any]:
        """All fields as a dictionary that can be written as JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Progress:
    """The progress of a run, which the caller gets after every batch.

    Attributes
    ----------
    frames, indexed, crystals : int
        Counts so far, including the frames that were finished before the run was resumed.
    total : int or None
        Number of frames of the whole job; None if it is not known.
    seconds : float
        Time in seconds since the start.
    problems : tuple of str
        Problems that came up since the previous event.
    before : int
        Number of frames that were finished when the run was resumed.
    to_compute, to_write : float
        Fill of the queues before the computation and before the writing, 0 to 1.
    to_learn : int or None
        Number of frames that came, while more are awaited for learning the cell; otherwise None.
    """

    frames: int
    indexed: int
    crystals: int
    total: int | None
    seconds: float
    problems: tuple[str, ...] = ()
    before: int = 0
    to_compute: float = 0.0
    to_write: float = 0.0
    to_learn: int | None = None
