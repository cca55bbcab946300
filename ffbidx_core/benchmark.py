"""Frames a second and the share of them that is indexed rightly, measured on simulated stills."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import numpy as np

from .indexer import Backend, get_backend, index_frames
from .model.plan import SearchPlan
from .parameters import Parameters
from .simulate import Scenario, SimulatedFrames, simulate, turned_copies
from .simulate.judge import Tally

LYSOZYME = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0)
TRICLINIC = (40.0, 50.0, 60.0, 80.0, 95.0, 105.0)


def _single(cell: tuple[float, ...], n_spots: int) -> Scenario:
    """One lattice a frame, one spot in ten false."""
    return Scenario(cells=(cell,), n_spots=(n_spots, n_spots), false_share=(0.1, 0.1))


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
FRAMES = {"cuda": 8192, "cpu": 256}
"""Timed calls, and frames of a call, that give steady numbers on each backend."""

DISTINCT = 256
"""Stills that are simulated; calls get turned copies of them."""
JUDGED = 256
"""Frames of a call that are judged, which takes longer than to index them."""


@dataclass(frozen=True)
class Measurement:
    """Timed calls of `index_frames`, and what they found.

    Attributes
    ----------
    n_frames : int
        Frames of a call.
    seconds : tuple of float
        Wall time of each call, from spots in host memory to refined cells and crystals in host memory.
    tally : Tally
        Of the frames that were judged.
    """

    n_frames: int
    seconds: tuple[float, ...]
    tally: Tally

    @property
    def frames_per_second(self) -> float:
        """The median of the calls."""
        return self.n_frames / median(self.seconds)

    @property
    def indexed(self) -> float:
        """Share of the judged frames on which a right crystal was found."""
        return self.tally.frames_right / self.tally.frames

    @property
    def lattices_found(self) -> float:
        """Share of the judged frames' lattices that were found."""
        return self.tally.lattices_found / self.tally.lattices

    def as_dict(self) -> dict[str, float | int]:
        """Names and values of all of it."""
        return {
            "frames_per_second": self.frames_per_second,
            "slowest": self.n_frames / max(self.seconds), "fastest": self.n_frames / min(self.seconds),
            "frames_per_call": self.n_frames, "calls": len(self.seconds), "judged": self.tally.frames,
            "indexed": self.indexed, "lattices_found": self.lattices_found,
            "claimed": self.tally.claimed, "false": self.tally.false,
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


class Stills:
    """An endless supply of simulated stills, no two alike.

    Parameters
    ----------
    scenario, seed
        As for `simulate`.
    n_distinct
        Stills that are simulated, all others are turned copies of them; None: `DISTINCT`.
    """

    def __init__(self, scenario: Scenario, seed: int = 0, n_distinct: int | None = None) -> None:
        self._stills = simulate(scenario, n_distinct or DISTINCT, seed)
        self._rng = np.random.default_rng(seed)
        self._taken = 0

    def take(self, n: int) -> SimulatedFrames:
        """The next n frames."""
        chosen = np.arange(self._taken, self._taken + n) % self._stills.n_frames
        self._taken += n
        return turned_copies(self._stills, chosen, self._rng)


def measure(
    backend: Backend, stills: Stills, p: Parameters, n_frames: int, calls: int, judged: int = JUDGED
) -> Measurement:
    """Time calls of `index_frames` after a warm-up, each on frames of its own.

    Parameters
    ----------
    n_frames
        Frames of a call.
    calls
        Timed calls.
    judged
        Most frames of a call that are judged against the truth.
    """
    seconds, tally, plan = [], Tally(), None
    for call in range(calls + 1):
        frames = stills.take(n_frames)
        plan = plan or SearchPlan.make(frames.input_cells, p)
        start = time.perf_counter()
        result = index_frames(backend, frames.spots, frames.offsets, plan, p)
        spent = time.perf_counter() - start
        if call:
            seconds.append(spent)
            tally.add(result, frames, judged)
    return Measurement(n_frames, tuple(seconds), tally)


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
        stills = Stills(scenario)
        for backend in backends:
            for preset in presets:
                measured = measure(
                    backend, stills, Parameters.preset(preset), n_frames or FRAMES[backend.name],
                    calls or CALLS[backend.name],
                )
                yield Row(backend.name, backend.device, preset, what, measured)
