"""The next step after a run, as a whole command line with the reason."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ffbidx_core.errors import NothingProcessed
from ffbidx_core.model.records.reason import ADVICE, FrameReason
from ffbidx_core.nouns import counted
from ffbidx_core.run.summary import Summary
from ffbidx_core.write.formats.names import is_hdf5

FEW_INDEXED = 0.5
"""Share of indexed frames among the usable ones below which the diagnosis is suggested instead of the report."""
AT_ORIGIN = 0.5
"""Share of the spots inside the first shell of reciprocal space above which they are the reason."""
LIMITS = ("--d-min", "--d-max")
"""Options that leave out spots because of their resolution."""


@dataclass(frozen=True)
class NextStep:
    """The command to type next, and why.

    Attributes
    ----------
    command
        A whole command line; empty if no command reads the format of the output.
    why
        One sentence; empty if nothing has to be explained.
    """

    command: str
    why: str


def after_run(summary: Summary, arguments: Sequence[str], outputs: Iterable[str] = ()) -> NextStep:
    """The next step after a run of `ffbidx` with these arguments; `outputs` are all outputs of the run."""
    if not summary.complete:
        return _resumed(summary, arguments)
    results = next((path for path in (summary.output, *outputs) if _is_results(path)), "")
    if summary.remedy is not None and summary.remedy.option is not None:
        reasons = dict.fromkeys(filter(None, (summary.doubt, summary.remedy.why)))
        return NextStep(_with(arguments, summary.remedy.option, summary.remedy.values), "; ".join(reasons))
    diagnose = f"ffbidx diagnose {shlex.quote(results)}" if results else _to_results(arguments)
    needed = "" if results else "; the diagnosis reads a results file, which this makes"
    if summary.doubt:
        return NextStep(diagnose, summary.doubt + needed)
    if summary.processed and summary.indexed < FEW_INDEXED * summary.processed:
        found = "no frame" if summary.indexed == 0 else f"only {summary.indexed / summary.processed:.1%} of the frames"
        most = _commonest(summary)
        if most == FrameReason.TOO_FEW_SPOTS and (limits := [name for name in LIMITS if _has(arguments, name)]):
            words = f"{found} could be indexed; the commonest reason is too few spots within {' and '.join(limits)}"
            return NextStep(_without(arguments, limits), words)
        words = "" if most is None else f"; the commonest reason is {most.words}: {ADVICE[most]}"
        if summary.spots_at_origin > AT_ORIGIN * summary.spots:
            words = "; most spots lie nearer to the beam than any reflection: distance, wavelength or a unit is wrong"
        return NextStep(diagnose, f"{found} could be indexed{words}{needed}")
    if summary.distortion is not None and results and (geometry := _value(arguments, ("-g", "--geometry"))):
        command = ["ffbidx", "geometry", results, "-g", geometry, "-o", "refined.geom"]
        return NextStep(shlex.join(command), "the detector is stretched or tilted, or its panels are displaced")
    # Of a share without frames there is nothing to report.
    return NextStep(f"ffbidx report {shlex.quote(results)}" if results and summary.frames else "", "")


def of_nothing(error: NothingProcessed, arguments: Sequence[str]) -> NothingProcessed:
    """The error of a run without a usable frame, with the command that changes the option which it names."""
    if error.option is None:
        return error
    option, value, condition = error.option
    command = _with(arguments, option, [value])
    return NothingProcessed(f"{error}; if {condition}: {command}")


def _is_results(path: str) -> bool:
    return is_hdf5(path) and os.path.exists(path)


def _has(arguments: Sequence[str], option: str) -> bool:
    """Whether an option is among the arguments."""
    return len(_dropped(arguments, option)) < len(arguments)


def _dropped(arguments: Sequence[str], option: str) -> list[str]:
    """The arguments without an option and its values, which may be joined to it (`--d-min=3`, `-orun.h5`)."""
    joined = f"{option}=" if option.startswith("--") else option
    kept, skip = [], False
    for argument in arguments:
        if not skip and argument != option and not argument.startswith(joined):
            kept.append(argument)
        skip = not skip and argument == option
    return kept


def _value(arguments: Sequence[str], options: Sequence[str]) -> str:
    """The value of the last of some options that is given as a word of its own; empty if there is none."""
    values = [value for name, value in itertools.pairwise(arguments) if name in options]
    return values[-1] if values else ""


def _without(arguments: Sequence[str], options: Iterable[str]) -> str:
    """The command line of a run without some options; it overwrites the results of the run."""
    for option in options:
        arguments = _dropped(arguments, option)
    return _overwriting(arguments)


def _to_results(arguments: Sequence[str]) -> str:
    """The command line of a run with its usual output, a results file."""
    for option in ("-o", "--output", "--format"):
        arguments = _dropped(arguments, option)
    return shlex.join(["ffbidx", *arguments])


def _with(arguments: Sequence[str], option: str, values: Iterable[str]) -> str:
    """The command line of a run with other values of an option; it overwrites the results of the run."""
    given = [word for value in values for word in (option, value)]
    return _overwriting([*_dropped(arguments, option), *given])


def _overwriting(arguments: Sequence[str]) -> str:
    """The command line of a run that overwrites the results of an earlier one."""
    overwrite = [] if "--overwrite" in arguments else ["--overwrite"]
    return shlex.join(["ffbidx", *(argument for argument in arguments if argument != "--resume"), *overwrite])


def _resumed(summary: Summary, arguments: Sequence[str]) -> NextStep:
    """The command that resumes a run that was stopped."""
    if summary.output == "standard output":
        return NextStep("", "the run was stopped; only the output on standard output remains")
    known = [argument for argument in arguments if argument != "--overwrite"]
    resumed = known if "--resume" in known else [*known, "--resume"]
    return NextStep(
        shlex.join(["ffbidx", *resumed]),
        f"the run was stopped; this continues after {counted(summary.frames, 'frame')}",
    )


def _commonest(summary: Summary) -> FrameReason | None:
    """The commonest reason why frames have no crystal."""
    reasons = [(n, name) for name, n in summary.reasons.items() if n]
    return FrameReason[max(reasons)[1].upper()] if reasons else None
