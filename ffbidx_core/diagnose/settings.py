"""Other settings of the cell in which crystals could also have been indexed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..model.cell import Array, other_settings
from ..model.crystal import Crystals
from ..model.misfit.equations import derivatives, index_spots, sums_over_spots
from ..model.misfit.misfit import Misfit
from ..model.misfit.scatter import strain_information
from ..model.strain import MULTIPLICITY, components

TOLERANCE = 0.08
"""Largest difference of a setting from the cell: relative for a length, absolute for the cosine of an angle."""
UNDECIDED = 6.0
"""Difference of chi squared below which the spots do not distinguish two settings (odds below 20 to 1)."""


@dataclass(frozen=True)
class Setting:
    """A basis of the lattice that resembles the cell without being related to it by symmetry.

    Attributes
    ----------
    basis : (3, 3) int64
        Vectors of the setting as rows, in terms of a, b, c of the primitive cell.
    undecided : float
        Share of the crystals whose spots fit both settings about equally well.
    better : float
        Share of the crystals that fit this setting better than their own.
    """

    basis: NDArray[np.int64]
    undecided: float
    better: float


def find_settings(crystals: Crystals, misfit: Misfit, reference: int) -> list[Setting]:
    """The other settings of a reference, each with the shares of crystals that fit it."""
    bases = other_settings(crystals.references[reference], TOLERANCE)
    mine = crystals.input_cell == reference
    own, used = _cost(crystals, misfit, reference, np.eye(3))
    used &= mine
    settings = []
    for basis in bases:
        rise = (_cost(crystals, misfit, reference, basis)[0] - own)[used]
        if len(rise):
            settings.append(Setting(basis, float((np.abs(rise) < UNDECIDED).mean()), float((rise < 0).mean())))
    return settings


def _cost(crystals: Crystals, misfit: Misfit, reference: int, basis: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Chi squared (C,) of a rigid cell with the common strain and its scatter in another setting; crystals used.

    With the information J of the spots about the strain, marginalised over the rotation, and its gradient b at the
    common strain, chi squared exceeds that of the best strain by b^T (J^-1 - (J + 1/t^2)^-1) b.
    """
    other = crystals.corrected(misfit.shift, misfit.values[2])
    other = Crystals(**{**vars(other), "cells": basis @ misfit.cells})
    indexed = index_spots(other)
    information, gradient = strain_information(
        sums_over_spots(indexed, derivatives(indexed), misfit.spread), np.zeros(len(misfit.values))
    )
    wanted = components(misfit.strain(reference)) - indexed.strain
    gradient = gradient - np.einsum("cpq,cq->cp", information, wanted)
    scale = 1 / np.sqrt(MULTIPLICITY)
    values, vectors = np.linalg.eigh(scale[:, None] * information * scale)
    values = np.maximum(values, 1e-9 * np.maximum(values[:, -1:], 1.0))
    along = np.einsum("cpq,cp->cq", vectors, gradient * scale) ** 2
    return (along / (values * (1 + misfit.spread.scatter**2 * values))).sum(axis=1), indexed.used
