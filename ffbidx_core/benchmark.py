"""The benchmark: frames per second, and share of frames indexed correctly, on simulated stills."""

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
    """A scenario with one lattice per frame, and one spot in ten false."""
    return Scenario(cells=(cell,), n_spots=(n_spots, n_spots), false_share=(0.1, 0.1))


LEARNED = Spread(across=2.1e-4, along=5.6e-4, scatter=2e-4)
"""Scatters that a run learns from its first frames of these scenarios; they make the last fit work as in a run."""
SCENARIOS = {
    "tetragonal, 100 spots": _single(LYSOZYME, 100),
    "tetragonal, 300 spots": _single(LYSOZYME, 300),
    "triclinic, 100 spots": _single(TRICLINIC, 100),
    "triclinic, 300 spots": _single(TRICLINIC, 300),
    "two lattices, 200 spots": Scenario(
        cells=(LYSOZYME,), n_spots=(200, 200), false_share=(0.1, 0.1), lattices=(2, 2), lattice_scale=(0.6, 1.0)
    ),
}
"""The scenarios on which speed is measured."""

CALLS = {"cuda": 10, "cpu": 5}
FRAMES = {"cuda": BATCH_SIZE["cuda"], "cpu": 256}
"""Number of timed calls, and of frames per call, that give steady numbers on each backend."""

BATCHES = 4
"""Number of batches of different frames through which the calls cycle."""
DISTINCT = 256
"""Number of simulated stills; batches contain rotated copies of these."""
JUDGED = 256
"""Number of frames of a batch that are judged, which takes longer than indexing them."""


@dataclass(frozen=True)
class Measurement:
    """The speed with which batches were indexed, and the crystals found.

    Attributes
    ----------
    n_frames : int
        Number of frames of a call.
    seconds : tuple of float
        Wall time in seconds of each call of `index_frames`, from spots in host memory to crystals in host memory.
    overlapped : float or None
        Frames per second when calls overlap, as in a run; None for a backend that does one call at a time.
    tally : Tally
        Counts over the judged frames.
    """

    n_frames: int
    seconds: tuple[float, ...]
    overlapped: float | None
    tally: Tally

    @property
    def frames_per_second(self) -> float:
        """The median frames per second of calls one after another."""
        return self.n_frames / median(self.seconds)

    @property
    def indexed(self) -> float:
        """The share of judged frames on which a correct crystal was found."""
        return self.tally.frames_right / self.tally.frames

    @property
    def lattices_found(self) -> float:
        """The share of the lattices on judged frames that were found."""
        return self.tally.lattices_found / self.tally.lattices

    def as_dict(self) -> dict[str, float | None]:
        """All numbers of the measurement, keyed by name."""
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
    """The backend of this name; for `auto` all available backends, the fastest first.

    Raises
    ------
    BackendUnavailable
        If the requested backend, or that of a GPU that should work, is not available.
    """
    if name != "auto":
        return [get_backend(name, device, threads)]
    # The backend of `auto` comes first; if it is the CPU, there is no other one.
    first = get_backend("auto", device, threads)
    return [first] if first.name == "cpu" else [first, get_backend("cpu", threads=threads)]


def make_batches(scenario: Scenario, n_frames: int, n_batches: int = BATCHES, seed: int = 0) -> list[SimulatedFrames]:
    """Make batches of `n_frames` frames, no two of which are equal."""
    stills, rng = simulate(scenario, min(DISTINCT, n_frames), seed), np.random.default_rng(seed)
    chosen = np.arange(n_frames) % stills.n_frames
    return [turned_copies(stills, chosen, rng) for _ in range(n_batches)]


def measure(
    backend: Backend, batches: Sequence[SimulatedFrames], p: Parameters, calls: int, judged: int = JUDGED
) -> Measurement:
    """Index batches of equal size, first for warming up and judging, and then with timing.

    Parameters
    ----------
    calls
        Number of timed calls, which cycle through the batches.
    judged
        Largest number of frames of a batch that are compared with the truth.
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
    """The calls per second with as many calls in progress as the backend has lanes, after all lanes are warm."""
    warm_up, start = 2 * backend.lanes, 0.0
    for done, _ in enumerate(in_lanes(backend, islice(cycle(batches), warm_up + calls), index), 1):
        if done == warm_up:
            start = time.perf_counter()
    return calls / (time.perf_counter() - start)


class Row(NamedTuple):
    """A measurement with the names of backend, preset and scenario."""

    backend: str
    device: str
    preset: str
    frames: str
    measured: Measurement

    def as_dict(self) -> dict[str, object]:
        """All fields as a dictionary that can be written as JSON."""
        return {**dict(zip(self._fields[:-1], self, strict=False)), **self.measured.as_dict()}


def measure_all(
    backends: Sequence[Backend], presets: Sequence[str], n_frames: int | None = None, calls: int | None = None
) -> Iterator[Row]:
    """Measure every scenario on every backend with every preset; the default numbers are `FRAMES` and `CALLS`."""
    for what, scenario in SCENARIOS.items():
        for backend in backends:
            batches = make_batches(scenario, n_frames or FRAMES[backend.name])
            for preset in presets:
                measured = measure(backend, batches, Parameters.preset(preset), calls or CALLS[backend.name])
                yield Row(backend.name, backend.device, preset, what, measured)
