"""Determining beam, detector distance and cell from the residuals of a sample, and testing corrections on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..learn.scan import shifts_to_try
from ..model.basis import PrimitiveCells, as_primitive
from ..model.cell import Array, cell_parameters, shortest_reciprocal
from ..model.crystal import Crystals
from ..model.detector.beam_shift import NO_SHIFT, Radian
from ..model.misfit.equations import COMMON
from ..model.misfit.misfit import SIGNIFICANT, Misfit, find_misfit, is_shift
from .sample import Sample
from .trial import Trial, Trials

SETTLED = 2.0
"""Difference in standard errors within which two estimates agree."""
ROUNDS = 4
FALL_OFF = 1e-4
"""Systematic error of distance and scale, which does not decrease with the number of crystals: intensities fall with
|q|, so lattice points inside the Ewald sphere are seen more often than those outside."""

SCANNED_BELOW = 0.8
"""Share of indexed frames below which many shifts are tried."""
SCAN_FRAMES = 48


@dataclass(frozen=True)
class Value:
    """A number with its standard error."""

    value: float
    error: float

    @property
    def significance(self) -> float:
        """The absolute value in units of its standard error."""
        return abs(self.value) / max(self.error, 1e-300)


@dataclass(frozen=True)
class ExperimentFinding:
    """Errors in the description of the experiment: beam centre, detector distance and cell.

    Attributes
    ----------
    shift_x, shift_y : Value
        Shift of the beam from its assumed position, radian.
    wavelength : float
        Median wavelength of the frames, angstrom.
    distance : Value
        Relative amount by which the detector is nearer than assumed, fitted together with the scale of the cell.
    scale : Value
        Relative amount by which the cell is larger than given, fitted together with the distance.
    scale_alone : Value
        Relative amount by which the cell is larger than given, if the distance is correct.
    correlation : float
        Correlation of the errors of distance and scale.
    reference : int
        Row of the input cell with most crystals.
    cell : (6,) float64;  cell_errors : (6,) float64
        Parameters of this cell and their errors (angstrom, degrees), if the distance is correct.
    scatter : float
        Standard deviation of the strains of the crystals.
    across, along : float
        Scatter of the residuals across and along the diffracted ray, 1/angstrom.
    n_crystals : int
        Number of crystals in the fit.
    misfit : Misfit
        Fit of the residuals of the crystals of the sample.
    crystals : Crystals
        The crystals of this fit, with the spots shifted as in the fit.
    residuals, spots : (n, 3) float64
        Residuals of the indexed spots before any correction, and these spots, 1/angstrom.
    before, after : Trial or None
        The sample indexed again as in the run, and with the shift; None if this was not tested.
    """

    shift_x: Value
    shift_y: Value
    wavelength: float
    distance: Value
    scale: Value
    scale_alone: Value
    correlation: float
    reference: int
    cell: Array
    cell_errors: Array
    scatter: float
    across: float
    along: float
    n_crystals: int
    misfit: Misfit
    crystals: Crystals
    residuals: Array
    spots: Array
    before: Trial | None = None
    after: Trial | None = None

    @property
    def shift(self) -> Radian:
        """The beam shift (2,), radian."""
        return Radian(np.array([self.shift_x.value, self.shift_y.value]))

    @property
    def is_shifted(self) -> bool:
        """Whether the shift is significant, and large enough to matter."""
        errors = Radian(np.array([self.shift_x.error, self.shift_y.error]))
        return is_shift(self.shift, errors, self.misfit.spread, self.wavelength)

    @property
    def shift_helps(self) -> bool:
        """Whether indexing with the shift was clearly better."""
        return self.is_shifted and bool(self.before and self.after and self.after.is_better_than(self.before))

    @property
    def cause(self) -> str:
        """The cause of a wrong scale: `none`, `distance`, `cell`, `both`, or `unknown`."""
        if self.scale_alone.significance < SIGNIFICANT:
            return "none"
        distance, scale = self.distance.significance > SIGNIFICANT, self.scale.significance > SIGNIFICANT
        return {(True, True): "both", (True, False): "distance", (False, True): "cell"}.get(
            (distance, scale), "unknown"
        )

    def primitive_cell(self, sample: Sample) -> PrimitiveCells:
        """The primitive cell (3, 3) of `cell`, rows a, b, c, angstrom."""
        known, _ = self.misfit.knowing(np.eye(len(self.misfit.values))[COMMON.index("distance")][None])
        strain = self.misfit.strain(self.reference, known)
        return as_primitive(sample.crystals.references[self.reference] @ (np.eye(3) + strain))

    def as_dict(self) -> dict[str, Any]:
        """All numbers as a dictionary that can be written as JSON."""
        names = ("shift_x", "shift_y", "distance", "scale", "scale_alone")
        values: dict[str, Any] = {name: vars(getattr(self, name)) for name in names}
        values |= {"cell": self.cell.tolist(), "cell_errors": self.cell_errors.tolist()}
        plain = ("wavelength", "correlation", "reference", "scatter", "across", "along", "n_crystals")
        values |= {name: getattr(self, name) for name in plain} | {"cause": self.cause, "shifted": self.is_shifted}
        for name, trial in (("before", self.before), ("after", self.after)):
            if trial is not None:
                values[name] = {"frames": len(trial.indexed), "indexed": trial.rate, "error": trial.rate_error}
        return values


@dataclass(frozen=True)
class _State:
    """A trial (None: the run itself), the shift of its spots, its crystals, and the fit of their residuals."""

    trial: Trial | None
    shift: Radian
    crystals: Crystals
    misfit: Misfit | None

    @classmethod
    def of(cls, trial: Trial, shift: Radian) -> _State:
        return cls(trial, shift, trial.crystals, find_misfit(trial.crystals))

    @property
    def is_settled(self) -> bool:
        """Whether no significant shift remains."""
        m = self.misfit
        return m is None or bool((np.abs(m.shift) < SIGNIFICANT * m.shift_errors).all())


def find_experiment(sample: Sample, trials: Trials | None) -> ExperimentFinding | None:
    """Find errors of the experiment from the residuals of the crystals of a sample, and test corrections.

    Returns None if there are too few crystals and no shift of the beam gives more.
    """
    start = _State(None, NO_SHIFT.radian, sample.crystals, find_misfit(sample.crystals))
    state, before = start, None
    if trials is not None:
        before = trials.index()
        state, best = _followed(trials, start, before)
        if best.rate < SCANNED_BELOW and (far := _scanned(sample, trials, state.shift)) is not None:
            trial = trials.index(far)
            if trial.is_better_than(best):
                state, _ = _followed(trials, _State.of(trial, far), trial)
    if state.misfit is None:
        return None
    finding = _finding(sample, state.crystals, state.misfit, state.shift)
    if start.misfit is not None:
        # These are the residuals after the run.
        finding = replace(finding, residuals=start.misfit.residuals, spots=start.misfit.spots)
    after = trials.index(finding.shift) if trials is not None and finding.is_shifted else None
    return replace(finding, before=before, after=after)


def _followed(trials: Trials, state: _State, trial: Trial) -> tuple[_State, Trial]:
    """Correct the spots and index them again, as long as that is no worse, until the crystals show no further shift.

    Returns
    -------
    state : _State
        The state that gives the shift: the first one whose crystals indicate a shift that needs no further correction.
    trial : Trial
        The last trial that was no worse.
    """
    for _ in range(ROUNDS):
        if state.is_settled or state.misfit is None:
            break
        shift = Radian(state.shift + state.misfit.shift)
        then = _State.of(trials.index(shift), shift)
        assert then.trial is not None
        if then.misfit is None or then.trial.evidence.sum() < trial.evidence.sum():
            break
        trial = then.trial
        error = np.hypot(then.misfit.shift_errors, state.misfit.shift_errors)
        if (np.abs(then.misfit.shift) < SETTLED * error).all():
            break
        state = then
    return state, trial


def _scanned(sample: Sample, trials: Trials, about: Radian) -> Radian | None:
    """The shift, of many, with which a few frames are indexed best; None if no shift is better than `about`."""
    few = trials.on(sample.with_most_spots(SCAN_FRAMES))
    shortest = max(shortest_reciprocal(cell) for cell in sample.crystals.references)
    zero = few.index(about, learn=False)
    places = [Radian(about + shift) for shift in shifts_to_try(shortest, float(np.median(sample.crystals.wavelength)))]
    tried = [(place, few.index(place, learn=False)) for place in places]
    shift, best = max(tried, key=lambda trial: trial[1].evidence.sum())
    return shift if best.is_better_than(zero) else None


def _finding(sample: Sample, crystals: Crystals, misfit: Misfit, shift: Radian) -> ExperimentFinding:
    """The finding from the misfit of crystals whose spots were shifted before by `shift`."""
    counts = np.bincount(crystals.input_cell, minlength=1)
    reference = max(misfit.bases, key=lambda row: (counts[row] if row < len(counts) else 0, -row))
    i, row = COMMON.index("distance"), misfit.scale(reference)
    distance_row = np.eye(len(misfit.values))[i]
    covariance = misfit.covariance
    known, known_covariance = misfit.knowing(distance_row[None])
    errors = np.sqrt(np.diag(covariance))
    scale_error = float(np.sqrt(row @ covariance @ row))
    cell, cell_errors = _cell(sample, misfit, reference, known, known_covariance)
    return ExperimentFinding(
        Value(float(shift[0] + misfit.values[0]), float(errors[0])),
        Value(float(shift[1] + misfit.values[1]), float(errors[1])),
        misfit.wavelength,
        _with_fall_off(misfit.values[i], errors[i]),
        _with_fall_off(row @ misfit.values, scale_error),
        _with_fall_off(row @ known, float(np.sqrt(row @ known_covariance @ row))),
        float(distance_row @ covariance @ row / (errors[i] * scale_error)),
        reference,
        cell,
        cell_errors,
        misfit.spread.scatter,
        misfit.spread.across,
        misfit.spread.along,
        misfit.n_crystals,
        misfit,
        crystals,
        misfit.residuals,
        misfit.spots,
    )


def _with_fall_off(value: Any, error: Any) -> Value:
    return Value(float(value), float(np.hypot(error, FALL_OFF)))


def _cell(
    sample: Sample, misfit: Misfit, reference: int, values: Array, covariance: Array
) -> tuple[Array, NDArray[np.float64]]:
    """The parameters of the conventional cell with the common strain of its crystals, and their errors."""
    given = sample.conventional_cell(reference)

    def parameters(values: Array) -> Array:
        return cell_parameters(given @ (np.eye(3) + misfit.strain(reference, values)))

    columns, step = misfit.columns(reference), 1e-5
    slopes = np.stack(
        [
            (parameters(values + step * unit) - parameters(values - step * unit)) / (2 * step)
            for unit in np.eye(len(values))[columns]
        ]
    )
    return parameters(values), np.sqrt(np.einsum("gp,gh,hp->p", slopes, covariance[columns, columns], slopes))
