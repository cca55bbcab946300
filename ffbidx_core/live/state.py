"""Counts of a live server over the last minute and over its life, for its page and for Prometheus."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..model.cell import cell_parameters
from ..model.records.reason import FrameReason
from .answers import BatchAnswers

SECONDS = 60
"""Number of seconds that are shown."""
MOST_SAMPLES = 4096
"""Number of newest answers of the last minute whose delays, cells and resolutions are shown."""
METRICS = {
    "frames": "Frames answered.",
    "indexed": "Frames with a crystal.",
    "crystals": "Crystals found.",
    "dropped": "Frames dropped because others arrived faster.",
    "errors": "Messages that could not be used.",
}
"""The counts of a `Second`, with their help texts for Prometheus."""
_REASONS = {reason.value: reason.name.lower() if reason.value else "indexed" for reason in FrameReason}


@dataclass
class Second:
    """The counts of one second."""

    at: int
    frames: int = 0
    indexed: int = 0
    crystals: int = 0
    dropped: int = 0
    errors: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


class LiveState:
    """Counts of answers, which several threads may update."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: deque[Second] = deque(maxlen=SECONDS + 1)
        self._whole = Second(0)
        self._latest, self._n_latest = deque[tuple[float, BatchAnswers]](), 0
        self._started = time.time()
        self._beam_left: tuple[float, float] | None = None
        self._run, self._notes, self._beam, self._waiting = "", deque[str](maxlen=5), (0.0, 0.0), 0

    def _now(self) -> tuple[Second, Second]:
        """The counts of this second and the total counts; the caller holds the lock."""
        second = int(time.time())
        if not self._seconds or self._seconds[-1].at != second:
            self._seconds.append(Second(second))
        return self._seconds[-1], self._whole

    def answered(self, answers: BatchAnswers, waiting: int) -> None:
        """Count the answers of a batch of at least one frame; `waiting` frames are still to be computed."""
        now, n_frames = time.time(), len(answers.names)
        reasons = {_REASONS[k]: n for k, n in enumerate(np.bincount(answers.reasons).tolist()) if n}
        n_indexed = int(np.count_nonzero(answers.offsets[1:] > answers.offsets[:-1]))
        with self._lock:
            self._waiting = waiting
            for counts in self._now():
                counts.frames += n_frames
                counts.indexed += n_indexed
                counts.crystals += len(answers.cells)
                for name, n in reasons.items():
                    counts.reasons[name] = counts.reasons.get(name, 0) + n
            self._latest.append((now, answers))
            self._n_latest += n_frames
            while self._n_latest - (n_oldest := len(self._latest[0][1].names)) >= MOST_SAMPLES:
                self._latest.popleft()
                self._n_latest -= n_oldest

    def dropped(self) -> None:
        """Count a frame that was dropped."""
        with self._lock:
            for counts in self._now():
                counts.dropped += 1

    def failed(self) -> None:
        """Count a message that could not be used."""
        with self._lock:
            for counts in self._now():
                counts.errors += 1

    def run(self, name: str) -> None:
        """Set the name of the current run."""
        with self._lock:
            self._run = name

    def note(self, text: str) -> None:
        """Add a message to the latest ones."""
        with self._lock:
            self._notes.append(text)

    def beam(self, moved: tuple[float, float], left: tuple[float, float] | None) -> None:
        """Set the shift by which the run has moved the beam, and the shift that is left, mrad; None: not known."""
        with self._lock:
            self._beam, self._beam_left = moved, left

    def as_dict(self) -> dict[str, Any]:
        """Everything that the page shows, as a dictionary that can be written as JSON."""
        now = time.time()
        since = now - SECONDS
        with self._lock:
            last = [second for second in self._seconds if int(now) - SECONDS <= second.at < int(now)]
            latest = [answers for at, answers in self._latest if at >= since]
            # A second without frames before the first one does not count.
            span = int(now) - last[0].at if last else 1
            shown = {
                "run": self._run,
                "notes": list(self._notes),
                "beam": list(self._beam),
                "beam_left": None if self._beam_left is None else [round(each, 4) for each in self._beam_left],
                "waiting": self._waiting,
                "seconds": round(now - self._started, 1),
                "whole": _counts(self._whole),
                "minute": _counts(_sum(last)) | {"frames_per_second": round(sum(s.frames for s in last) / span, 1)},
                "history": [[s.at - int(now), s.frames, s.indexed] for s in last],
            }
        return shown | _of_latest(latest)


def _of_latest(latest: list[BatchAnswers]) -> dict[str, Any]:
    """The delays, and the medians of the cell parameters and resolutions, of some batches."""
    cells = np.concatenate([np.zeros((0, 3, 3)), *(answers.cells for answers in latest)])
    limits = np.concatenate([np.zeros(0), *(answers.resolution for answers in latest)])
    limits = limits[np.isfinite(limits)]
    delays = np.concatenate([answers.milliseconds for answers in latest]) if latest else np.zeros(0)
    return {
        "delay": _percentiles(delays) if len(delays) else None,
        "cell": np.median(cell_parameters(cells), axis=0).round(2).tolist() if len(cells) else None,
        "resolution": round(float(np.median(limits)), 2) if len(limits) else None,
    }


def _sum(seconds: Sequence[Second]) -> Second:
    total = Second(0)
    for second in seconds:
        for key in METRICS:
            setattr(total, key, getattr(total, key) + getattr(second, key))
        for reason, n in second.reasons.items():
            total.reasons[reason] = total.reasons.get(reason, 0) + n
    return total


def _counts(second: Second) -> dict[str, Any]:
    return {name: getattr(second, name) for name in METRICS} | {"reasons": dict(second.reasons)}


def _percentiles(delays: np.ndarray) -> dict[str, float]:
    return {f"p{q}": round(float(np.percentile(delays, q)), 2) for q in (50, 99)}


def metrics(state: dict[str, Any]) -> str:
    """The state in the text format of Prometheus."""
    lines: list[str] = []
    for name, text in METRICS.items():
        lines += [f"# HELP ffbidx_{name}_total {text}", f"# TYPE ffbidx_{name}_total counter"]
        lines.append(f"ffbidx_{name}_total {state['whole'][name]}")
    lines += ["# HELP ffbidx_reason_total Frames by their outcome.", "# TYPE ffbidx_reason_total counter"]
    lines += [f'ffbidx_reason_total{{reason="{reason}"}} {n}' for reason, n in state["whole"]["reasons"].items()]
    gauges = {"waiting_frames": ("Frames that wait for the computation.", state["waiting"])}
    if state["beam_left"] is not None:
        for axis, value in zip("xy", state["beam_left"], strict=True):
            text = f"Shift of the beam along {axis} from its position in the run, by the newest crystals, in mrad."
            gauges[f"beam_left_{axis}_milliradians"] = (text, value)
    if state["resolution"] is not None:
        gauges["resolution_angstroms"] = ("Median resolution of the crystals of the last minute.", state["resolution"])
    for quantile, value in (state["delay"] or {}).items():
        text = f"Delay from receipt to answer in the last minute, {quantile}, in milliseconds."
        gauges[f"delay_{quantile}_milliseconds"] = (text, value)
    for name, (text, value) in gauges.items():
        lines += [f"# HELP ffbidx_{name} {text}", f"# TYPE ffbidx_{name} gauge", f"ffbidx_{name} {value}"]
    return "\n".join(lines) + "\n"
