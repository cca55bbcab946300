"""Frames a second and the share of them that is indexed rightly, measured on simulated stills."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median
from typing import NamedTuple

import numpy as np

from .devices.lanes import in_lanes
from .method.index_frames import Backend, get_backend, index_frames
from .model.basis import as_primitive
from .model.misfit.equations import Spread
from .model.plan import SearchPlan
from .model.records.frame import BatchResult
from .parameters import Parameters
from .run.job import BATCH_SIZE
from .simulate import Scenario, SimulatedFrames, simulate, turned_copies
from .simulate.judge import Tally

LYSOZYME = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0)
TRICLINIC = (40.0, 50.0, 60.0, 80.0, 95.0, 105.0)


def _single(cell: tuple[float, ...], n_spots: int) -> Scenario:
    """One lattice a frame, one spot in ten false."""
    return Scenario(cells=(cell,), n_spots=(n_spots, n_spots), false_share=(0.1, 0.1))


LEARNED = Spread(across=2.1e-4, along=5.6e-4, scatter=2e-4)
"""What a run learns from its first frames of these, so that the last fit does what it does in a run."""
SCENARIOS = {
    "tetragonal, 100 spots": _single(LYSOZYME, 100),
    "tetragonal, 300 spots": _single(LYSOZYME, 300),
    "triclinic, 100 spots": _single(TRICLINIC, 100),
    "triclinic, 300 spots": _single(TRICLINIC, 300),
    "two lattices, 200 spots": Scenario(
        cells=(LYSOZYME,), n_spots=(200, 200), false_share=(0.1, 0.1), lattices=(2, 2), lattice_scale=(0.6, 1.0)
    ),
}
"""The frames that speed is measured on."""

CALLS = {"cuda": 10, "cpu": 5}
FRAMES = {"cuda": BATCH_SIZE["cuda"], "cpu": 256}
"""Timed calls, and frames of a call, that give steady numbers on each backend."""

BATCHES = 4
"""Calls take turns with so many batches of different frames."""
DISTINCT = 256
"""Stills that are simulated; batches have turned copies of them."""
JUDGED = 256
"""Frames of a batch that are judged, which takes longer than to index them."""


@dataclass(frozen=True)
class Measurement:
    """How fast batches were indexed, and what was found.

    Attributes
    ----------
    n_frames : int
        Frames of a call.
    seconds : tuple of float
        Wall time of each call of `index_frames`, from spots in host memory to cells and crystals in host memory.
    overlapped : float or None
        Frames a second when calls overlap, as in a run; None for a backend that does one at a time.
    tally : Tally
        Of the frames that were judged.
    """

    n_frames: int
    seconds: tuple[float, ...]
    overlapped: float | None
    tally: Tally

    @property
    def frames_per_second(self) -> float:
        """Of one call after another, the median."""
        return self.n_frames / median(self.seconds)

    @property
    def indexed(self) -> float:
        """Share of the judged frames on which a right crystal was found."""
        return self.tally.frames_right / self.tally.frames

    @property
    def lattices_found(self) -> float:
        """Share of the judged frames' lattices that were found."""
        return self.tally.lattices_found / self.tally.lattices

    def as_dict(self) -> dict[str, float | None]:
        """Names and values of all of it."""
        return {
            "frames_per_second": self.frames_per_second,
            "slowest": self.n_frames / max(self.seconds),
            "fastest": self.n_frames / min(self.seconds),
            "overlapped": self.overlapped,
            "frames_per_call": self.n_frames,
            "calls": len(self.seconds),
            "judged": self.tally.frames,
            "indexed": self.indexed,
            "lattices_found": self.lattices_found,
            "claimed": self.tally.claimed,
            "false": self.tally.false,
        }


def usable_backends(name: str = "auto", device: str | None = None, threads: int | None = None) -> list[Backend]:
    """The backend of this name; with `auto` all that are there, the fastest first.

    Raises
    ------
    BackendUnavailable
        When the one asked for, or a GPU's that should be there, is not.
    """
    if name != "auto":
        return [get_backend(name, device, threads)]
    # What `auto` takes comes first; where it is the CPU, there is no other.
    first = get_backend("auto", device, threads)
    return [first] if first.name == "cpu" else [first, get_backend("cpu", threads=threads)]


def make_batches(scenario: Scenario, n_frames: int, n_batches: int = BATCHES, seed: int = 0) -> list[SimulatedFrames]:
    """Batches of n frames; no two frames are alike."""
    stills, rng = simulate(scenario, min(DISTINCT, n_frames), seed), np.random.default_rng(seed)
    chosen = np.arange(n_frames) % stills.n_frames
    return [turned_copies(stills, chosen, rng) for _ in range(n_batches)]


def measure(
    backend: Backend, batches: Sequence[SimulatedFrames], p: Parameters, calls: int, judged: int = JUDGED
) -> Measurement:
    """Index batches of as many frames each: once to warm up and be judged, then timed.

    Parameters
    ----------
    calls
        Timed calls; they go through the batches in turns.
    judged
        Most frames of a batch that are judged against the truth.
    """
    plan, tally = SearchPlan.make(as_primitive(batches[0].input_cells), p, LEARNED), Tally()

    def index(frames: SimulatedFrames) -> BatchResult:
        return index_frames(backend, frames.spots, frames.offsets, plan, p)

    for frames in batches:
        tally.add(index(frames), frames, judged)
    seconds = []
    for frames in islice(cycle(batches), calls):
        start = time.perf_counter()
        index(frames)
        seconds.append(time.perf_counter() - start)
    n_frames = batches[0].n_frames
    overlapped = n_frames * _overlapped_rate(backend, batches, index, calls) if backend.lanes > 1 else None
    return Measurement(n_frames, tuple(seconds), overlapped, tally)


def _overlapped_rate(
    backend: Backend, batches: Sequence[SimulatedFrames], index: Callable[[SimulatedFrames], BatchResult], calls: int
) -> float:
    """Calls a second with as many under way at a time as the backend takes, once all its lanes are warm."""
    warm_up, start = 2 * backend.lanes, 0.0
    for done, _ in enumerate(in_lanes(backend, islice(cycle(batches), warm_up + calls), index), 1):
        if done == warm_up:
            start = time.perf_counter()
    return calls / (time.perf_counter() - start)


class Row(NamedTuple):
    """A measurement with the names of what was measured."""

    backend: str
    device: str
    preset: str
    frames: str
    measured: Measurement

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {**dict(zip(self._fields[:-1], self, strict=False)), **self.measured.as_dict()}


def measure_all(
    backends: Sequence[Backend], presets: Sequence[str], n_frames: int | None = None, calls: int | None = None
) -> Iterator[Row]:
    """Every scenario on every backend with every preset; without numbers those of `FRAMES` and `CALLS`."""
    for what, scenario in SCENARIOS.items():
        for backend in backends:
            batches = make_batches(scenario, n_frames or FRAMES[backend.name])
            for preset in presets:
                measured = measure(backend, batches, Parameters.preset(preset), calls or CALLS[backend.name])
                yield Row(backend.name, backend.device, preset, what, measured)
