"""Quality of the indexing on simulated stills, and on real ones if available: python -m tests.bench.quality."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import dataclass, replace

import numpy as np

from ffbidx_core.backends import Backend, get_backend
from ffbidx_core.devices import OneDevice
from ffbidx_core.learn import Lesson, learn
from ffbidx_core.learn.beam import settle_beam
from ffbidx_core.learn.scan import scan_beam
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.detector.beam_shift import BeamShift
from ffbidx_core.model.detector.pixels import spots_of_moved_detector
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.frame import BatchResult
from ffbidx_core.parameters import PRESETS, Parameters
from ffbidx_core.simulate import Scenario, SimulatedFrames, simulate
from ffbidx_core.simulate.judge import Tally
from tests.bench import real as real_frames
from tests.bench import record
from tests.bench.scenarios import CASES, MAX_FALSE, Case

BATCH = 64


@dataclass
class Outcome:
    """The outcome of a case; `cpu_ms` is the CPU time per frame of indexing alone, in ms."""

    case: Case
    tally: Tally
    cpu_ms: float

    @property
    def counts(self) -> tuple[int, int]:
        """The number of successes, and the number of trials."""
        tally = self.tally
        return {
            "frames": (tally.frames_right, tally.frames),
            "lattices": (tally.lattices_found, tally.lattices),
            "blank": (tally.frames_claimed, tally.frames),
        }[self.case.measure]

    @property
    def rate(self) -> float:
        """The share to which the target of the case refers."""
        return self.counts[0] / max(self.counts[1], 1)

    @property
    def error(self) -> float:
        """The standard error of the rate; one success and one failure are added, so a full rate has an error, too."""
        k, n = self.counts
        p = (k + 1) / (n + 2)
        return math.sqrt(p * (1 - p) / (n + 2))

    @property
    def failures(self) -> list[str]:
        """Names of the targets that are not reached."""
        case, tally = self.case, self.tally
        blank = case.measure == "blank"
        wrong = [] if (self.rate < case.target if blank else self.rate >= case.target) else ["rate"]
        if case.other_setting is not None and tally.other_setting > case.other_setting * tally.claimed:
            wrong.append("other setting")
        if case.misorientation is not None and not tally.median_angle <= case.misorientation:
            wrong.append("misorientation")
        if not blank and tally.false > MAX_FALSE * tally.claimed:
            wrong.append("false crystals")
        return wrong

    def as_dict(self) -> dict[str, object]:
        """The row of the case for `--json`."""
        tally = {name: value for name, value in vars(self.tally).items() if name != "angles"}
        return {
            "case": self.case.name,
            "what": self.case.what,
            "measure": self.case.measure,
            "rate": self.rate,
            "error": self.error,
            "target": self.case.target,
            "median_misorientation": None if math.isnan(angle := self.tally.median_angle) else angle,
            "cpu_ms": self.cpu_ms,
            "failures": self.failures,
            **tally,
        }


def part(frames: SimulatedFrames, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """The spots and offsets of the frames first..last - 1."""
    begin, end = frames.offsets[first], frames.offsets[min(last, frames.n_frames)]
    return frames.spots[begin:end], frames.offsets[first : last + 1] - begin


def learned(backend: Backend, frames: SimulatedFrames, p: Parameters) -> tuple[SearchPlan, SimulatedFrames]:
    """The search plan of a run that begins with these frames, and the frames with its beam."""

    def moved(shift: BeamShift) -> SimulatedFrames:
        wavelength = np.full(len(frames.spots), frames.scenario.wavelength)
        return replace(frames, spots=spots_of_moved_detector(frames.spots, wavelength, shift.radian))

    def learn_at(shift: BeamShift) -> list[tuple[None, Lesson]]:
        return [(None, learn(OneDevice(backend), *part(moved(shift), 0, p.learn_cell), frames.input_cells, p))]

    def scan(about: BeamShift) -> BeamShift | None:
        first = part(moved(about), 0, p.learn_cell)
        far = scan_beam(OneDevice(backend), *first, frames.input_cells, p)
        return None if far is None else about + BeamShift.from_radian(far)

    [(_, lesson)], shift, _ = settle_beam(learn_at, scan, p)
    return SearchPlan.make(lesson.cells, p, lesson.spread), moved(shift) if shift else frames


def index_all(backend: Backend, frames: SimulatedFrames, p: Parameters, tally: Tally) -> float:
    """Index frames as the command does, judge them, and return the CPU seconds of indexing without learning."""
    plan, frames = learned(backend, frames, p) if p.learn_cell else (SearchPlan.make(frames.input_cells, p), frames)
    seconds = 0.0
    results: list[BatchResult] = []
    for first in range(0, frames.n_frames, BATCH):
        spots, offsets = part(frames, first, first + BATCH)
        start = time.process_time()
        results.append(index_frames(backend, spots, offsets, plan, p))
        seconds += time.process_time() - start
    tally.add(BatchResult.joined(results), frames)
    return seconds


def run(case: Case, backend: Backend, p: Parameters, n_frames: int | None, seed: int) -> Outcome:
    """Simulate, index and judge the frames of a case."""
    tally, seconds = Tally(), 0.0
    each = math.ceil((n_frames or case.n_frames) / len(case.scenarios))
    for i, scenario in enumerate(case.scenarios):
        seconds += index_all(backend, simulate(scenario, each, seed + i), p, tally)
    return Outcome(case, tally, seconds * 1e3 / tally.frames)


HEADER = (
    f"{'case':13} {'frames':>6} {'rate':>6} {'+-':>6} {'target':>7} {'false':>6} {'setting':>7} {'again':>6} "
    f"{'degrees':>8} {'CPU ms':>7}  result"
)


def line(outcome: Outcome) -> str:
    """The text of a row; false, setting and again are shares of the claimed crystals."""
    case, tally = outcome.case, outcome.tally
    claimed = max(tally.claimed, 1)
    sign = "<" if case.measure == "blank" else ">="
    return (
        f"{case.name:13} {tally.frames:6} {outcome.rate:6.4f} {outcome.error:6.4f} {sign:>2}{case.target:5.3f} "
        f"{tally.false / claimed:6.4f} {tally.other_setting / claimed:7.4f} {tally.repeated / claimed:6.4f} "
        f"{tally.median_angle:8.3f} {outcome.cpu_ms:7.2f}  " + (", ".join(outcome.failures) or "pass")
    )


def total(outcomes: list[Outcome]) -> tuple[int, int]:
    """The number of false crystals, including those on blank frames, and the number of claimed crystals."""
    return sum(o.tally.false for o in outcomes), sum(o.tally.claimed for o in outcomes)


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.quality", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        choices=[*(case.name for case in CASES), "real"],
        help="run this case only, or the real frames (repeatable)",
    )
    parser.add_argument("--frames", type=int, help="frames a case; default: its own number")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--preset", choices=PRESETS, default="best")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a parameter (JSON)")
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    record.add_option(parser)
    return parser


def main() -> int:
    args = options().parse_args()
    changes = {name: json.loads(value) for name, _, value in (item.partition("=") for item in args.set)}
    p = Parameters.preset(args.preset, **changes)
    backend = get_backend(args.backend, threads=args.threads)
    # This compiles the kernels before the cases are timed.
    index_all(backend, simulate(Scenario(cells=CASES[0].scenarios[0].cells), 2), p, Tally())
    outcomes = []
    print(HEADER)
    for case in CASES:
        if args.only and case.name not in args.only:
            continue
        outcomes.append(run(case, backend, p, args.frames, args.seed))
        print(line(outcomes[-1]), flush=True)
    real = list(real_frames.report(backend)) if not args.only or "real" in args.only else []
    false, claimed = total(outcomes)
    good = false <= MAX_FALSE * claimed and not any(o.failures for o in outcomes) and all(ok for _, ok in real)
    if args.json:
        record.write(args.json, [outcome.as_dict() for outcome in outcomes])
    print(f"false crystals: {false} of {claimed} claimed, at most {MAX_FALSE:.1%} asked for")
    for text, ok in real:
        print(text + ("" if ok else "  (all of them are asked for)"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
