"""The next step after a diagnosis: one whole command line for every outcome, and the reason for it."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Iterator

from ..model.records.reason import FrameReason
from ..nouns import counted
from ..panels.of_run import RefinedRun
from ..read.geometry.dials import is_experiments
from .advice import Advice
from .diagnosis import MOSTLY_INDEXED, NOTHING_TRIED, Diagnosis

WIDEST = {"d_min": "0.1", "d_max": "10000"}
"""Limits of resolution in angstrom, by the names of their options, that leave out no spot of a detector."""

PERIODIC = (
    FrameReason.NO_CELL,
    FrameReason.EXPLAINED_BY_CHANCE,
    FrameReason.LOST_IN_REFINEMENT,
    FrameReason.DRIFTED,
)
"""Reasons of frames on which a vector or a cell stands out, as on fewer than one in ten frames of random spots."""
NOT_SEARCHED = (FrameReason.TOO_FEW_SPOTS, FrameReason.BAD_SPOTS, FrameReason.UNREADABLE)
"""Reasons of frames that were not searched for crystals."""
MOST_PERIODIC = 0.2
"""Share of the searched frames with a reason of `PERIODIC` above which a run without crystals has a wrong cell.

Measured: 5 to 8 % of 150 blank frames, and 13 to 43 % of 40 to 60 frames that were indexed with a wrong cell.
"""


def next_step(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield the next step, `Next: ` and a whole command line, and then a sentence with the reason if it needs one."""
    if diagnosis.panels is not None and diagnosis.panels.refined.fit is not None:
        yield f"Next: {panels_command(diagnosis.path, diagnosis.panels)}"
    elif diagnosis.advice and not diagnosis.credible_advice and diagnosis.search:
        yield f"Next: {diagnosis.search}"
        yield (
            f"More frames are indexed with --cell {diagnosis.multiple_cell}, but that is derived from crystals that "
            "are not to be believed: this searches for any cell."
        )
    elif diagnosis.advice:
        yield f"Next: {next_command(diagnosis)}"
    elif diagnosis.scale is not None:
        options = diagnosis.scale.options
        yield f"Next: {_index_again(diagnosis, options) if options else _show(diagnosis)}"
        yield f"{diagnosis.scale.why[0].upper()}{diagnosis.scale.why[1:]}."
    elif diagnosis.not_tried == NOTHING_TRIED and diagnosis.n_sampled:
        yield f"Next: ffbidx diagnose {shlex.quote(diagnosis.path)}"
        yield "Without indexing some frames again no correction can be tested."
    elif diagnosis.n_sampled == 0:
        yield from _without_spots(diagnosis)
    elif diagnosis.experiment is None:
        yield from _look(diagnosis)
    else:
        yield from _no_correction(diagnosis)


def _without_spots(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield the next step of a run whose spots cannot be read: to repeat it, or to look at what needs no spots."""
    if diagnosis.missing and diagnosis.inputs_are_there:
        yield f"Next: {_index_again(diagnosis, ['--keep-spots'])}"
        yield "The spots that the run used cannot be read again; --keep-spots keeps them in its results."
    elif diagnosis.lattices[:1] == [diagnosis.n_frames] or diagnosis.reasons:
        yield f"Next: ffbidx table {shlex.quote(diagnosis.path)} --failed"
    else:
        yield f"Next: {_onward(diagnosis)}"


def _look(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield the next step of a run with too few crystals for a diagnosis, and why: its frames, or another cell."""
    most = max(diagnosis.reasons, key=lambda reason: diagnosis.reasons[reason], default=FrameReason.NONE)
    n = f"{most.words} on {diagnosis.reasons.get(most, 0):,} of {counted(diagnosis.n_frames, 'frame', ',')}"
    if most == FrameReason.TOO_FEW_SPOTS and diagnosis.limits:
        options = [word for name in diagnosis.limits for word in (_option(name), WIDEST[name])]
        given = " and ".join(f"{_option(name)} {value:g}" for name, value in diagnosis.limits.items())
        yield f"Next: {_index_again(diagnosis, options)}"
        yield f"Within {given} most frames have too few spots ({n}); this uses all spots."
        return
    may_be_other = bool(diagnosis.doubt) or not diagnosis.cells
    if may_be_other and (periodic := _periodic(diagnosis)):
        yield f"Next: {diagnosis.search or _show(diagnosis)}"
        state = "The crystals are doubted, and" if diagnosis.cells else "No frame has a crystal, but"
        yield (
            f"{state} more frames have periodic spots than if spots were random ({periodic}): the crystals may "
            "have another cell."
        )
        yield from _own_search(diagnosis)
        return
    yield f"Next: {_show(diagnosis)}"
    if most == FrameReason.TOO_FEW_SPOTS:
        yield f"Most frames have too few spots to be searched ({n}): see whether the spot finder misses any."
    if most == FrameReason.NO_VECTOR:
        yield f"Most frames look like frames of random spots ({n}): see whether crystals are on any."
        if may_be_other and diagnosis.search:
            yield f"If so, they may have another cell, which this command searches for: {diagnosis.search}"


def _periodic(diagnosis: Diagnosis) -> str:
    """The reasons and numbers of frames with periodic spots; empty if random spots explain so many of them."""
    counts = {reason: diagnosis.reasons[reason] for reason in PERIODIC if reason in diagnosis.reasons}
    n_searched = diagnosis.n_frames - sum(diagnosis.reasons.get(reason, 0) for reason in NOT_SEARCHED)
    if sum(counts.values()) <= MOST_PERIODIC * n_searched:
        return ""
    numbers = [f"{reason.words} on {n:,}" for reason, n in sorted(counts.items(), key=lambda each: -each[1])]
    return f"{' and '.join(numbers)} of {counted(diagnosis.n_frames, 'frame', ',')}"


def _no_correction(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield the next step of a run for which no correction was found to help."""
    if diagnosis.doubt:
        yield f"Next: {diagnosis.search or _show(diagnosis)}"
        yield from _own_search(diagnosis)
        return
    yield f"Next: {_onward(diagnosis) if diagnosis.share >= MOSTLY_INDEXED else _show(diagnosis)}"
    if not diagnosis.not_tried:
        yield "No change was found that indexes the sample clearly better."


def _own_search(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield how the next step differs from the search that a run with `--cell auto` made itself."""
    if not diagnosis.n_frames_searched:
        return
    n = counted(diagnosis.n_frames_searched, "frame", ",")
    done = f"The run itself searched for a cell on its first {n} (--cell auto)"
    if diagnosis.search:
        yield f"{done}; this search reads more frames."
    else:
        yield f"{done}: it would find the same again. More frames, or a cell known otherwise (--cell), help."


def _show(diagnosis: Diagnosis) -> str:
    """The command that makes a page of the frames with their spots."""
    is_there = os.path.lexists(f"{os.path.basename(_stem(diagnosis.path))}.frames.html")
    return f"ffbidx show {shlex.quote(diagnosis.path)}{' --overwrite' if is_there else ''}"


def _onward(diagnosis: Diagnosis) -> str:
    """The command that converts the results for the programs that go on with them."""
    return f"ffbidx convert {shlex.quote(diagnosis.path)} {_outputs(_stem(diagnosis.path), *diagnosis.onward)}"


def panels_command(path: str, found: RefinedRun) -> str:
    """The command that writes the geometry of a run with moved panels."""
    suffix = ".expt" if is_experiments(found.target.text) else ".geom"
    return f"ffbidx geometry {shlex.quote(path)} {_outputs(f'{_stem(path)}.refined', suffix)}"


def next_command(diagnosis: Diagnosis) -> str:
    """The command that repeats the run with the options of its results and the advised changes."""
    return _index_again(diagnosis, _options(diagnosis.credible_advice or diagnosis.advice))


def _index_again(diagnosis: Diagnosis, options: list[str]) -> str:
    """The command that repeats the run with some options in their typed form, and writes other results."""
    output = _outputs(f"{_stem(diagnosis.path)}.next", ".h5")
    command = shlex.join(["ffbidx", "index", *diagnosis.to_type, "--config", diagnosis.path])
    return f"{command} {' '.join(options)} {output}"


def _outputs(stem: str, *suffixes: str) -> str:
    """The output options for files with a stem, which is numbered where files with these suffixes are there already."""
    for number in itertools.chain([""], itertools.count(2)):
        names = [f"{stem}{number}{suffix}" for suffix in suffixes]
        if not any(map(os.path.lexists, names)):
            break
    return " ".join(f"-o {shlex.quote(name)}" for name in names)


def _stem(path: str) -> str:
    """The name of a results file without its suffixes."""
    return os.path.splitext(path)[0].removesuffix(".ffbidx")


def _option(name: str) -> str:
    """The name of an option as it is typed."""
    return f"--{name.replace('_', '-')}"


def _options(advice: list[Advice]) -> list[str]:
    """The options; of several with the same name the last one, which was tested on top of the others."""
    return list({each.option.split()[0]: each.option for each in advice}.values())
