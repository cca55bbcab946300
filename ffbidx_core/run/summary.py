"""What a run says of itself: its progress after every batch, and its summary at the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class CellSummary:
    """The crystals that came from one input cell.

    Attributes
    ----------
    given, learned : list of 6 float
        a, b, c in angstrom, alpha, beta, gamma in degrees; `learned` is None where nothing was learned.
    learned_from : int
        Crystals that the cell was learned from.
    crystals : int
        Number of crystals that came from the cell.
    median, spread : list of 6 float or None
        Median and spread of the parameters of these crystals. The spread is half the distance between the 16th and the
        84th percentile, one standard deviation of a normal distribution.
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
    expected_false : float or None
        Crystals that chance is expected to make at most, were all frames blank; None where it was not asked.
    status : dict
        Frames by status.
    spots, spots_left_out, spots_not_sampled : int
        Spots given; padding and duplicates among the input; spots beyond `max_spots`, which only the fits use.
    cells : list of CellSummary
        In the order of `/input_cells`.
    seconds, frames_per_second : float
        Wall-clock time of reading, computing and writing; for a run that was taken up, of its last part.
    complete : bool
        False when the run was stopped.
    problems : list of str
    reasons : dict
        Frames without a crystal by reason.
    rungs : dict
        Indexed frames by the try that did it.
    spots_at_origin : int
        Spots left out because they lie inside the first shell of reciprocal space.
    doubt : str
        Why the crystals of the run are not to be believed; empty where nothing speaks against them.
    seconds_compiling : float
        Seconds besides `seconds` that went into compiling kernels; 0 where they were kept from before.
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

    @property
    def bad_frames(self) -> int:
        """Frames and files that could not be used."""
        return self.status["bad_spots"] + self.status["unreadable"]

    @property
    def processed(self) -> int:
        """Frames that could be used, whatever was found on them."""
        return self.frames - self.bad_frames

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Progress:
    """How far a run is; the caller gets one after every batch.

    Attributes
    ----------
    frames, indexed, crystals : int
        Counts so far, with the frames that were finished before the run was taken up.
    total : int or None
        Number of frames of the whole job, where it is known.
    seconds : float
        Since the start.
    problems : tuple of str
        Problems that came up since the event before.
    before : int
        Frames that were finished when the run was taken up.
    to_compute, to_write : float
        How full the queues before the computation and before the writing are, 0 to 1.
    to_learn : int or None
        Frames that came, while more are waited for to learn the cell from.
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
