"""The sentences of a diagnosis."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from ..learn.multiples import Multiple
from ..model.cell import PARAMETER_NAMES, Array
from ..nouns import are, counted
from ..panels.of_run import RefinedRun
from ..panels.words import moved_by
from .cells import CellFinding
from .diagnosis import Diagnosis
from .experiment import ExperimentFinding, Value
from .next_step import next_step
from .trial import Trial

OFF = 5.0
"""Difference of a median from the given value, in errors, above which it is reported."""
FEW_UNDECIDED = 0.02
LEAST_SCATTER = 1e-4
AMBIGUOUS = ("tetragonal", "rhombohedral", "hexagonal", "cubic")
"""Crystal systems whose lattices have more symmetry than some of their point groups."""


def sentences(diagnosis: Diagnosis) -> list[str]:
    """The diagnosis as sentences: what to type next, and then why."""
    parts = (next_step, _doubt, _why, _lattices, _spots, _cells, _settings)
    return [sentence for part in parts for sentence in part(diagnosis)]


def _lattices(diagnosis: Diagnosis) -> Iterator[str]:
    names = {0: "none", 1: "one"}
    shares = [f"{names.get(k, str(k))} on {n / diagnosis.n_frames:.1%}" for k, n in enumerate(diagnosis.lattices) if n]
    yield f"Crystals on a frame: {_joined(shares)} of {counted(diagnosis.n_frames, 'frame', ',')}."


def _joined(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _spots(diagnosis: Diagnosis) -> Iterator[str]:
    for reason in diagnosis.missing[:3]:
        yield f"Spots could not be read: {reason}."
    if diagnosis.n_sampled == 0:
        yield "Beam, distance and cell are not diagnosed, because that needs the spots (keep them with --keep-spots)."
        return
    experiment = diagnosis.experiment
    if diagnosis.at_origin:
        yield (
            "Most spots lie nearer to the beam than any reflection of the cell: distance, wavelength, or the unit of "
            "one of them is wrong."
        )
    elif diagnosis.scale is not None and experiment is None:
        yield "Beam, distance and cell are not diagnosed further before that is mended."
    elif experiment is None:
        yield "Beam, distance and cell are not diagnosed: there are too few crystals, and no beam shift gives more."
    if experiment is None:
        return
    if diagnosis.panels is not None:
        yield from _panels(diagnosis.panels)
    yield from _beam(diagnosis, experiment)
    yield from _scale(diagnosis, experiment)
    if diagnosis.multiple is not None:
        yield _multiple(diagnosis, diagnosis.multiple)


def _beam(diagnosis: Diagnosis, experiment: ExperimentFinding) -> Iterator[str]:
    if diagnosis.moved:
        by = "{:+.2f} mrad in x and {:+.2f} mrad in y".format(*diagnosis.moved.mrad)
        yield f"The run itself moved the beam by {by}, according to its first frames."
    milli = [Value(v.value * 1e3, v.error * 1e3) for v in (experiment.shift_x, experiment.shift_y)]
    q = np.linalg.norm(experiment.shift) / experiment.wavelength
    x, y = (_with_error(v, sign=True) for v in milli)
    size = f"{x} mrad in x and {y} mrad in y, {q:.5f}/Å in reciprocal space"
    if diagnosis.pixels is not None:
        fs, ss = (
            _with_error(Value(*pair), sign=True)
            for pair in zip(diagnosis.pixels.shift, diagnosis.pixels.error, strict=True)
        )
        size = f"{fs} px in fs and {ss} px in ss ({size})"
    crystals = counted(experiment.n_crystals, "crystal", ",")
    if not experiment.is_shifted:
        yield f"The beam centre needs no correction: it is off by {size}, from {crystals}."
        return
    yield f"The beam centre is off by {size}, from {crystals}."
    if experiment.before is None or experiment.after is None:
        yield f"This was not tested: {diagnosis.not_tried}."
        return
    yield f"With the corrected beam {_rates(experiment.before, experiment.after)}."
    if not experiment.shift_helps:
        yield "That is not clearly better, so it is not advised."


def _panels(found: RefinedRun) -> Iterator[str]:
    fit, gain = found.refined.fit, found.refined.gain
    if fit is None or gain is None:
        yield "No panel of the detector is found to differ from its position in the geometry."
        return
    rms, most, by, error = moved_by(fit)
    yield (
        f"Panels are not at their positions in the geometry: they are off by {rms:.2f} px (rms over spots), most "
        f"{found.names[most]} by {_with_error(Value(by, error))} px. With moved panels residuals of crystals that were "
        f"not fitted fall from {gain.before:.2f} to {gain.after:.2f} px."
    )


def _rates(before: Trial, after: Trial) -> str:
    n = len(after.indexed)
    return (
        f"{after.rate:.1%} ± {after.rate_error:.1%} of {counted(n, 'frame')} {are(n)} indexed, "
        f"{before.rate:.1%} ± {before.rate_error:.1%} without; a frame's mean {after.measure} is "
        f"{after.evidence.mean():.1f}, {before.evidence.mean():.1f} without"
    )


def _with_error(value: Value, sign: bool = False) -> str:
    """A number rounded to its error, which has one significant digit, or two if the first is a 1."""
    power = np.floor(np.log10(max(value.error, 1e-6)))
    digits = int(np.clip((value.error < 2 * 10**power) - power, 0, 6))
    return f"{value.value:{'+' if sign else ''}.{digits}f} ± {value.error:.{digits}f}"


def _percent(value: Value) -> str:
    return f"{_with_error(Value(100 * value.value, 100 * value.error), sign=True)} %"


def _scale(diagnosis: Diagnosis, experiment: ExperimentFinding) -> Iterator[str]:
    alone, farther = experiment.scale_alone, Value(-experiment.distance.value, experiment.distance.error)
    together = (
        f"fitted together, the distance is off by {_percent(farther)} and the cell by "
        f"{_percent(experiment.scale)} (correlation {experiment.correlation:.3f})"
    )
    if experiment.cause == "none":
        yield f"Cell and detector distance agree: the scale is off by {_percent(alone)}."
    else:
        yield f"The scale is off: with the given distance, the cell is off by {_percent(alone)}; {together}."
        yield {
            "distance": f"The distance is wrong{_at(diagnosis, experiment)}, not the cell.",
            "cell": "The cell is wrong, not the distance.",
            "both": f"Both are wrong{_at(diagnosis, experiment)}.",
            "unknown": "The spots do not decide whether the distance or the cell is wrong.",
        }[experiment.cause]
    if experiment.scatter < LEAST_SCATTER:
        yield "The cells of the crystals scatter no more than the errors of their spots explain."
    else:
        yield f"The cells of the crystals scatter by {experiment.scatter:.2%} beyond the errors of their spots."
    yield (
        f"Spots are {experiment.across:.5f}/Å across the diffracted ray and {experiment.along:.5f}/Å along it from "
        "their predicted positions (rms)."
    )


def _at(diagnosis: Diagnosis, experiment: ExperimentFinding) -> str:
    if diagnosis.distance is None:
        return ""
    mm = diagnosis.distance_nearer_by(experiment.distance.value)
    found = _with_error(Value(mm, experiment.distance.error * mm))
    return f" ({found} mm, not {diagnosis.distance:.3f})"


def _multiple(diagnosis: Diagnosis, found: Multiple) -> str:
    place = f"({', '.join(str(Fraction(x).limit_denominator(12)) for x in diagnosis.multiple_place)})"
    right = f"The cell {diagnosis.multiple_cell} would be correct."
    if diagnosis.is_multiple_doubted:
        right = f"The cell {diagnosis.multiple_cell} would explain that, but the crystals are not to be believed."
    if found.too_large:
        return (
            f"The cell is too large: of {found.of:,} indexed spots only {found.n_spots} have indices h with "
            f"h.{place} not integer, while {found.expected:.0f} are expected. {right}"
        )
    return (
        f"The cell is too small: {found.n_spots} unindexed spots are at indices {place}, while by chance "
        f"{found.expected:.0f} are expected ({found.significance:.0f} standard deviations). {right}"
    )


def _cells(diagnosis: Diagnosis) -> Iterator[str]:
    experiment = diagnosis.experiment
    for cell in diagnosis.cells[:5]:
        off = list(_off(cell))
        name = f"Cell {cell.row}" if len(diagnosis.cells) > 1 else "The cell"
        learned = " (the run corrected it)" if cell.learned else ""
        crystals = counted(cell.n_crystals, "crystal", ",")
        is_wrong = experiment is not None and (
            experiment.cause in ("cell", "both")
            or (diagnosis.multiple is not None and cell.row == experiment.reference)
        )
        # Medians remain at the parameters of a wrong cell where the distance, or its other lattice, takes up the error.
        if not off and not is_wrong and not diagnosis.doubt:
            yield f"{name} is as given within the errors, by the median of {crystals}."
        elif off:
            yield f"{name} is not as given{learned}, by the median of {crystals}: {_joined(off)}."


def _off(cell: CellFinding) -> Iterator[str]:
    for i, name in enumerate(PARAMETER_NAMES):
        difference, error = cell.median[i] - cell.given[i], max(float(cell.error[i]), 1e-4 * float(cell.given[i]))
        if abs(difference) > OFF * error:
            median = _with_error(Value(float(cell.median[i]), error))
            yield f"{name} {median}, given {cell.given[i]:g}, scatter {cell.spread[i]:.2g}"


def _settings(diagnosis: Diagnosis) -> Iterator[str]:
    for setting in diagnosis.settings[:5]:
        axes = "; ".join(_axis(row) for row in setting.basis)
        share = (
            f"{setting.undecided:.1%} of the crystals fit it about as well, {setting.better:.1%} better"
            if setting.undecided > FEW_UNDECIDED or setting.better > FEW_UNDECIDED
            else "the spots of nearly every crystal distinguish it"
        )
        yield f"Another setting resembles the cell: its axes are {axes} (of the primitive cell); {share}."
    if diagnosis.lattice is not None and diagnosis.lattice.kind in AMBIGUOUS:
        yield (
            f"A {diagnosis.lattice.kind} lattice has more symmetry than crystals of its lower point groups: these "
            "have settings that spot positions cannot distinguish; resolve this when merging."
        )


def _axis(row: Array) -> str:
    terms = [
        f"{'-' if n < 0 else '+'}{'' if abs(n) == 1 else abs(n)}{axis}" for n, axis in zip(row, "abc", strict=True) if n
    ]
    return "".join(terms).removeprefix("+")


def _doubt(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield the reason why the crystals of the run are not to be believed, in the words of its summary."""
    if diagnosis.doubt:
        yield f"Doubt: {diagnosis.doubt}."


def _why(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield sentences about the gain of the advised options on the sample."""
    for advice in diagnosis.advice:
        # The gain of a beam shift is reported in the sentences about the beam.
        if diagnosis.experiment is None or advice.after is not diagnosis.experiment.after:
            yield f"With {advice.option} {_rates(advice.before, advice.after)}."
