"""Gain and cost of each rung of --retry on difficult simulated stills: python -m tests.bench.retry."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, field, replace

import numpy as np

from ffbidx_core.backends import Backend, get_backend
from ffbidx_core.benchmark import LYSOZYME, TRICLINIC
from ffbidx_core.devices import OneDevice
from ffbidx_core.learn import learn_cells
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.frame import BatchResult
from ffbidx_core.model.records.reason import Rung
from ffbidx_core.parameters import PRESETS, Parameters
from ffbidx_core.simulate import Scenario, SimulatedFrames, simulate
from ffbidx_core.simulate.judge import Tally
from tests.bench import record
from tests.bench.quality import BATCH, part
from tests.bench.scenarios import CASES, HEXAGONAL, MONOCLINIC

MOST_BLANK = 0.005
"""Largest allowed share of blank frames with a crystal, whatever the number of tries."""


@dataclass(frozen=True)
class Hard:
    """A case of difficult frames.

    Attributes
    ----------
    name : str
        Name of the case.
    scenarios : tuple of Scenario
        The scenarios, each of which gives an equal share of the frames.
    weaker : float or None
        Intensity of false spots relative to true ones; None: intensities are not known.
    """

    name: str
    scenarios: tuple[Scenario, ...]
    weaker: float | None = 0.7

    @property
    def blank(self) -> bool:
        """Whether the frames are blank, so that every crystal is false."""
        return self.scenarios[0].lattices == (0, 0)


def _hard(cell: tuple[float, ...], true: tuple[int, int], false: tuple[int, int], **settings: object) -> Scenario:
    return replace(Scenario(cells=(cell,), n_spots=true, false_spots=false), **settings)  # type: ignore[arg-type]


_case = {case.name: case.scenarios for case in CASES}
_few = _hard(LYSOZYME, (12, 12), (60, 60))
_long = _hard(HEXAGONAL, (60, 150), (0, 0), false_share=(0.6, 0.7))
_many = _hard(LYSOZYME, (60, 60), (1500, 1500))
HARD = (
    Hard("14 of 54", _case["14 of 54"]),
    Hard("xfel", _case["xfel"]),
    Hard("12 of 72", (_few,)),
    Hard("12 of 72, no intensities", (_few,), None),
    Hard("10 of 70, cell of 22-28 A", (_hard(MONOCLINIC, (10, 10), (60, 60)),)),
    Hard("20 of 120, triclinic", (_hard(TRICLINIC, (20, 20), (100, 100)),)),
    Hard("20 of 80, 2 px noise", (_hard(LYSOZYME, (20, 20), (60, 60), position_noise=2.0),)),
    Hard("281 A, 60-70 % false", (_long,)),
    Hard("281 A, no intensities", (_long,), None),
    Hard("281 A, 50 of 225, low angles", (_hard(HEXAGONAL, (50, 50), (175, 175), false_place="resolution"),)),
    Hard("30 of 530", (_hard(LYSOZYME, (30, 30), (500, 500)),)),
    Hard("60 of 1560", (_many,)),
    Hard("the same, false ones 0.3", (_many,), 0.3),
    Hard("the same, as strong", (_many,), 1.0),
    Hard("blank", _case["blank"]),
)


@dataclass
class Outcome:
    """The outcome of a case without and with further tries; `cpu_ms` is the time per frame of indexing alone.

    Attributes
    ----------
    frames, right, false : int, (int, int), (int, int)
        Number of frames, of frames with a correct crystal, and of false crystals, without and with further tries.
    rungs
        Number of frames that each rung indexed, correctly or wrongly.
    """

    case: Hard
    frames: int = 0
    right: list[int] = field(default_factory=lambda: [0, 0])
    false: list[int] = field(default_factory=lambda: [0, 0])
    claimed: list[int] = field(default_factory=lambda: [0, 0])
    cpu_ms: list[float] = field(default_factory=lambda: [0.0, 0.0])
    rungs: list[int] = field(default_factory=lambda: [0] * len(Rung))

    @property
    def passed(self) -> bool:
        """Whether further tries lose nothing, and blank frames stay blank."""
        if self.case.blank:
            return self.claimed[1] < MOST_BLANK * self.frames
        return self.right[1] >= self.right[0]

    def add(self, frames: SimulatedFrames, result: BatchResult, seconds: float, retry: int) -> None:
        """Judge the results without (retry = 0) or with (1) further tries."""
        tally = Tally()
        tally.add(result, frames)
        self.right[retry] += tally.frames_right
        self.false[retry] += tally.false
        self.claimed[retry] += tally.frames_claimed
        self.cpu_ms[retry] += seconds * 1e3
        if retry:
            self.frames += frames.n_frames
            indexed = np.diff(result.crystal_offsets) > 0
            self.rungs = (np.array(self.rungs) + np.bincount(result.rung[indexed], minlength=len(Rung))).tolist()

    def as_dict(self) -> dict[str, object]:
        """The row of the case for `--json`."""
        values = {name: value for name, value in vars(self).items() if name != "case"}
        values["cpu_ms"] = [ms / max(self.frames, 1) for ms in self.cpu_ms]
        first, retry = (n / max(self.frames, 1) for n in (self.claimed if self.case.blank else self.right))
        return {
            "what": self.case.name,
            "blank": self.case.blank,
            "first": first,
            "retry": retry,
            "times": self.cpu_ms[1] / max(self.cpu_ms[0], 1e-9),
            "passed": self.passed,
            **values,
            "rungs": self.rungs[1:],
            "at_once": self.rungs[0],
        }


def by_intensity(frames: SimulatedFrames, weaker: float) -> np.ndarray:
    """The spots (N, 3), sorted by falling intensity in each frame, with false spots made weaker."""
    intensity = frames.intensity * np.where(frames.lattice < 0, weaker, 1.0)
    frame = np.repeat(np.arange(frames.n_frames), np.diff(frames.offsets))
    return np.asarray(frames.spots[np.lexsort((-intensity, frame))])


def run(case: Hard, backend: Backend, p: Parameters, n_frames: int, seed: int) -> Outcome:
    """Simulate, index and judge the frames of a case, without and with further tries."""
    outcome = Outcome(case)
    for i, scenario in enumerate(case.scenarios):
        frames = simulate(scenario, -(-n_frames // len(case.scenarios)), seed + i)
        frames = replace(frames, spots=by_intensity(frames, 1.0 if case.weaker is None else case.weaker))
        cells, _ = learn_cells(OneDevice(backend), *part(frames, 0, p.learn_cell), frames.input_cells, p)
        plan = SearchPlan.make(cells, p)
        for retry in (0, 1):
            start = time.process_time()
            results = []
            for first in range(0, frames.n_frames, BATCH):
                spots, offsets = part(frames, first, first + BATCH)
                ranked = np.full(len(offsets) - 1, case.weaker is not None)
                q = p.replace(retry=bool(retry))
                results.append(index_frames(backend, spots, offsets, plan, q, by_intensity=ranked))
            outcome.add(frames, BatchResult.joined(results), time.process_time() - start, retry)
    return outcome


def head() -> str:
    """The names of the table's columns."""
    rungs = " ".join(f"{rung.words:>15}" for rung in list(Rung)[1:])
    return f"{'case':28} {'frames':>6} {'first':>6} {'with':>6} {rungs} {'false':>9} {'CPU ms':>13}  result"


def line(outcome: Outcome) -> str:
    """The text of a row: shares of correct (blank: claimed) frames, and frames that each rung indexed."""
    counted = outcome.claimed if outcome.case.blank else outcome.right
    shares = " ".join(f"{n / outcome.frames:6.3f}" for n in counted)
    rungs = " ".join(f"{n:15}" for n in outcome.rungs[1:])
    cost = " ".join(f"{ms / outcome.frames:6.2f}" for ms in outcome.cpu_ms)
    false = f"{outcome.false[0]:4} {outcome.false[1]:4}"
    return f"{outcome.case.name:28} {outcome.frames:6} {shares} {rungs} {false} {cost}  " + (
        "pass" if outcome.passed else "fail"
    )


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.retry", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", choices=[case.name for case in HARD])
    parser.add_argument("--frames", type=int, default=400, help="frames a case [400]; of blank ones six times as many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--preset", choices=PRESETS[:2], default="best")
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    record.add_option(parser)
    return parser


def main() -> int:
    args = options().parse_args()
    backend = get_backend(args.backend, threads=args.threads)
    p = Parameters.preset(args.preset)
    # This compiles the kernels before the cases are timed.
    run(HARD[2], backend, p, 4, 0)
    outcomes = []
    print(head())
    for case in HARD:
        if args.only and case.name not in args.only:
            continue
        outcomes.append(run(case, backend, p, args.frames * (6 if case.blank else 1), args.seed))
        print(line(outcomes[-1]), flush=True)
    if args.json:
        record.write(args.json, [outcome.as_dict() for outcome in outcomes])
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
