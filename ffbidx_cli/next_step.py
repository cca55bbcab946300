"""The next step after a run, as a whole command line with the reason."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from ffbidx_core.model.records.reason import ADVICE, FrameReason
from ffbidx_core.run.summary import Remedy, Summary

RESULTS_SUFFIXES = (".h5", ".hdf5")
FEW_INDEXED = 0.5
"""Share of indexed frames among the usable ones below which the diagnosis is suggested instead of the report."""


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


def after_run(summary: Summary, arguments: Sequence[str]) -> NextStep:
    """The next step after a run of `ffbidx` with these arguments."""
    if not summary.complete:
        return _resumed(summary, arguments)
    is_read = summary.output.lower().endswith(RESULTS_SUFFIXES) and os.path.exists(summary.output)
    of_output = shlex.quote(summary.output) if is_read else ""
    if summary.remedy is not None:
        return NextStep(_with(arguments, summary.remedy), summary.doubt or summary.remedy.why)
    if summary.doubt:
        return NextStep(f"ffbidx diagnose {of_output}" if is_read else "", summary.doubt)
    if summary.processed and summary.indexed < FEW_INDEXED * summary.processed:
        found = "no frame" if summary.indexed == 0 else f"only {summary.indexed / summary.processed:.1%} of the frames"
        most = _commonest(summary)
        words = "" if most is None else f"; the commonest reason is {most.words}: {ADVICE[most]}"
        return NextStep(f"ffbidx diagnose {of_output}" if is_read else "", f"{found} could be indexed{words}")
    return NextStep(f"ffbidx report {of_output}" if is_read else "", "")


def _with(arguments: Sequence[str], remedy: Remedy) -> str:
    """The command line of a run with one option changed by a remedy; it overwrites the results of the run."""
    kept, skip = [], False
    for argument in arguments:
        if not skip and argument != remedy.option and not argument.startswith(f"{remedy.option}="):
            kept.append(argument)
        skip = not skip and argument == remedy.option
    given = [word for value in remedy.values for word in (remedy.option, value)]
    overwrite = [] if "--overwrite" in kept else ["--overwrite"]
    return shlex.join(["ffbidx", *(argument for argument in kept if argument != "--resume"), *given, *overwrite])


def _resumed(summary: Summary, arguments: Sequence[str]) -> NextStep:
    """The command that resumes a run that was stopped."""
    if summary.output == "standard output":
        return NextStep("", "the run was stopped; only the output on standard output remains")
    known = [argument for argument in arguments if argument != "--overwrite"]
    resumed = known if "--resume" in known else [*known, "--resume"]
    return NextStep(
        shlex.join(["ffbidx", *resumed]), f"the run was stopped; this continues after {summary.frames} frames"
    )


def _commonest(summary: Summary) -> FrameReason | None:
    """The commonest reason why frames have no crystal."""
    reasons = [(n, name) for name, n in summary.reasons.items() if n]
    return FrameReason[max(reasons)[1].upper()] if reasons else None
