"""The comparison of a backend with the oracle on a few simulated frames."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator

import numpy as np

from ..benchmark import SCENARIOS
from ..errors import BackendUnavailable
from ..method.index_frames import Backend, get_backend, index_frames
from ..model.basis import as_primitive
from ..model.plan import SearchPlan
from ..model.records.frame import BatchResult
from ..parameters import Parameters
from ..simulate import SimulatedFrames, simulate
from ..simulate.judge import Judge
from .finding import Finding, State

FRAMES = 2
"""Number of frames that are simulated of each scenario."""
DIRECTIONS = 4096
"""Number of directions: fewer than in a run, because the oracle is slow, but enough for these frames."""
TOLERANCE = 0.05
"""Largest misorientation of a crystal from that of the oracle, degrees."""
PRESETS = ("best", "published")


def hold_to_oracle(name: str, device: int | str | None, threads: int | None) -> Finding:
    """Start a backend and compare it with the oracle."""
    what = f"backend {name}" + ("" if device is None else f", GPU {device}")
    try:
        cases, start = _cases(), time.perf_counter()
        backend = get_backend(name, device, threads)
        started = time.perf_counter()
        angles = [angle for case in cases for angle in _compare(backend, *case)]
    except BackendUnavailable as error:
        return Finding(what, State.BROKEN, str(error), {"backend": name})
    except Exception as error:  # finding any error is the purpose of the examination
        return Finding(what, State.BROKEN, f"{type(error).__name__}: {error}", {"backend": name})
    tested = time.perf_counter()
    same = [angle for angle in angles if angle < TOLERANCE]
    data = {
        "backend": name,
        "device": backend.device,
        "crystals": len(angles),
        "right": len(same),
        "degrees": max(same, default=None),
        "start_seconds": started - start,
        "test_seconds": tested - started,
    }
    if len(same) < len(angles):
        text = f"{backend.device}: finds {len(same)} of the {len(angles)} crystals of the NumPy reference"
        return Finding(what, State.BROKEN, text, data)
    found = f"{backend.device}: finds the {len(same)} crystals of the NumPy reference"
    text = f"{found}, at most {data['degrees']:.4f} degrees off"
    times = f"start {data['start_seconds']:.1f} s, test {data['test_seconds']:.1f} s, compilation included"
    return Finding(what, State.OK, f"{text} ({times})", data)


@functools.cache
def _cases() -> tuple[tuple[SimulatedFrames, Parameters, BatchResult], ...]:
    """Frames and parameters with the results of the oracle."""
    cases = []
    for scenario in ("tetragonal, 100 spots", "triclinic, 100 spots"):
        frames = simulate(SCENARIOS[scenario], FRAMES)
        for preset in PRESETS:
            p = Parameters.preset(preset, num_halfsphere_points=DIRECTIONS)
            cases.append((frames, p, _index(get_backend("reference"), frames, p)))
    return tuple(cases)


def _index(backend: Backend, frames: SimulatedFrames, p: Parameters) -> BatchResult:
    return index_frames(backend, frames.spots, frames.offsets, SearchPlan.make(as_primitive(frames.input_cells), p), p)


def _compare(backend: Backend, frames: SimulatedFrames, p: Parameters, wanted: BatchResult) -> Iterator[float]:
    """Yield the misorientation in degrees of each pair of crystals; infinite for a crystal that only one side found."""
    judge, found = Judge(frames.scenario), _index(backend, frames, p)
    for f in range(frames.n_frames):
        ours, theirs = (
            result.cells[result.crystals[slice(*result.crystal_offsets[f : f + 2])]].astype(np.float64)
            for result in (found, wanted)
        )
        for i in range(max(len(ours), len(theirs))):
            both = i < min(len(ours), len(theirs))
            yield judge.misorientation(ours[i], theirs[i], 0) if both else float("inf")
