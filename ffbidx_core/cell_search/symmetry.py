"""The symmetry of a cell: the highest one compatible with the crystals, and the evidence that each one costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model.basis import as_primitive
from ..model.cell import Array, cell_parameters
from ..model.unknown.selling import nearest_setting
from .bravais import Bravais, bravais, cell_of_metric, symmetric_metric
from .scatter import is_scatter
from .stretch import NEAREST, NORMAL_MAD
from .verdict import Judge, Verdict

TOLERANCES = (0.015, 0.01, 0.007, 0.005, 0.0035, 0.0025, 0.0015)
"""Largest deviations of a metric element with which symmetries are searched for."""
NEAR = 0.003
"""Deviation of the metric below which a symmetry is taken."""
LOSS, LEAST_LOSS = 0.03, 3.0
"""Relative and absolute loss of evidence below which a symmetry is taken."""
ROUNDING = 1e-5
"""Scatter below which a parameter is taken as fixed by the symmetry; it is due to rounding."""


@dataclass(frozen=True)
class Symmetry:
    """A symmetry imposed on the cell.

    Attributes
    ----------
    lattice : Bravais
        The symmetric lattice.
    verdict : Verdict
        The verdict on the symmetric cell, which is not learned again.
    gain : float
        Evidence minus that of the cell without symmetry.
    is_scatter : bool
        Whether the crystals scatter about the symmetric cell; otherwise they are copies of a cell that breaks the
        symmetry, or are too few to decide.
    errors : (6,) float64
        Standard errors of the conventional parameters, angstrom and degrees; 0 for parameters fixed by the symmetry.
    """

    lattice: Bravais
    verdict: Verdict
    gain: float
    is_scatter: bool
    errors: Array


def symmetries(learned: Verdict, judge: Judge) -> list[Symmetry]:
    """Every symmetry that the cell of a verdict nearly fulfils, the triclinic one first."""
    without = bravais(learned.cell, 0.0)
    base = judge.as_it_is(without.primitive, learned)
    crystals = judge.shapes(without.primitive, learned.frames)
    found, tried = [Symmetry(without, base, 0.0, True, parameter_errors(without, crystals))], [without]
    for tolerance in TOLERANCES:
        lattice = bravais(learned.cell, tolerance)
        if lattice.order > 1 and not any(_is_same(lattice, each) for each in tried):
            tried.append(lattice)
            found.append(_forced(lattice, tolerance, judge, base, crystals))
    return found


def chosen(table: list[Symmetry]) -> Symmetry:
    """The highest symmetry that hardly strains the cell, loses little evidence, or about which crystals scatter."""
    most = max(LEAST_LOSS, LOSS * table[0].verdict.evidence)
    borne = [each for each in table if each.lattice.deviation < NEAR or each.gain >= -most or each.is_scatter]
    return max(borne, key=lambda each: (each.lattice.order, -each.lattice.deviation))


def _is_same(lattice: Bravais, other: Bravais) -> bool:
    return lattice.code == other.code and np.allclose(lattice.parameters, other.parameters, rtol=1e-3)


def _forced(lattice: Bravais, tolerance: float, judge: Judge, base: Verdict, crystals: Array) -> Symmetry:
    """The verdict on a symmetric cell, which is learned with the symmetry if that is better."""
    verdict = judge.as_it_is(lattice.primitive, base)
    again = bravais(judge(lattice.primitive, base.frames).cell, tolerance)
    if again.code == lattice.code and again.order == lattice.order:
        learned = Bravais(again.code, again.operators, again.basis, again.primitive, lattice.deviation)
        better = judge.as_it_is(learned.primitive, base)
        if better.evidence > verdict.evidence:
            lattice, verdict = learned, better
    setting = nearest_setting(base.cell, lattice.primitive @ lattice.primitive.T)
    scatters = setting is not None and is_scatter(lattice, crystals, setting[0] @ setting[0].T)
    return Symmetry(lattice, verdict, verdict.evidence - base.evidence, scatters, parameter_errors(lattice, crystals))


def parameter_errors(lattice: Bravais, crystals: Array) -> Array:
    """Standard errors (6,) of the conventional parameters from the scatter of the shapes of crystals (n, 3, 3).

    The symmetry is first imposed on each crystal; errors of parameters that the symmetry fixes are 0. The errors are
    nan for fewer than two crystals.
    """
    metric = lattice.primitive @ lattice.primitive.T
    settings = [nearest_setting(cell, metric, NEAREST) for cell in crystals]
    metrics = np.array([found[0] @ found[0].T for found in settings if found is not None]).reshape(-1, 3, 3)
    if len(metrics) < 2:
        return np.full(6, np.nan)
    cells = as_primitive(cell_of_metric(symmetric_metric(metrics, lattice.operators)))
    parameters = cell_parameters(lattice.change.conventional(cells))
    scatter = NORMAL_MAD * np.median(np.abs(parameters - np.median(parameters, axis=0)), axis=0)
    return np.asarray(np.where(scatter < ROUNDING, 0.0, scatter) / np.sqrt(len(metrics)))
