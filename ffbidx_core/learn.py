"""The run's own cell, learned from its first frames: a cell 2 % wrong, or a wrong detector distance, mends itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backends import Backend
from .indexer import index_frames
from .model.cell import Array
from .model.plan import SearchPlan
from .parameters import Parameters

CAUTION = 4.0
"""Crystals that vote for no strain: n crystals move the cell by n / (n + CAUTION) of their strain."""

SETTLED = 2e-4
"""A round that strains no cell by more than this is the last."""


def learn_cells(
    backend: Backend, spots: NDArray[Any], offsets: NDArray[np.int64], cells: Array, p: Parameters
) -> tuple[Array, NDArray[np.int64]]:
    """Input cells (M, 3, 3) corrected by the strain of the crystals found on some frames.

    Returns
    -------
    cells : (M, 3, 3) float64
        Unchanged where fewer than `p.learn_min_crystals` crystals were found.
    n_crystals : (M,) int64
        Crystals that each was learned from; 0 where it is unchanged.
    """
    learned = np.array(cells, dtype=np.float64)
    taught_by = np.zeros(len(learned), dtype=np.int64)
    if np.count_nonzero(np.diff(offsets) >= p.learn_min_spots) < p.learn_min_crystals:
        return learned, taught_by
    loose = p.replace(searches=1, strain_prior=p.learn_prior, max_log10_chance=p.learn_max_log10_chance)
    for _ in range(p.learn_rounds):
        plan = SearchPlan.make(learned, loose)
        result = index_frames(backend, spots, offsets, plan, loose, given_cells=cells)
        rows = result.crystals[result.n_indexed >= p.learn_min_spots]
        largest = 0.0
        for m in range(len(learned)):
            mine = result.cells[rows[result.input_cell[rows] == m]].astype(np.float64)
            if len(mine) < p.learn_min_crystals:
                continue
            strain = np.median(_strains(mine, learned[m]), axis=0)
            strain = _symmetric(strain, learned[m], plan.operators[m]) * len(mine) / (len(mine) + CAUTION)
            learned[m] = learned[m] @ (np.eye(3) + strain)
            taught_by[m], largest = len(mine), max(largest, float(np.abs(strain).max()))
        if largest < SETTLED:
            break
    return learned, taught_by


def _strains(cells: Array, reference: Array) -> Array:
    """Strain E (n, 3, 3) of oriented cells = reference (I + E) R, in the axes of the reference."""
    u, s, _ = np.linalg.svd(np.linalg.inv(reference) @ cells)
    return np.asarray((u * s[:, None, :]) @ np.swapaxes(u, 1, 2) - np.eye(3))


def _symmetric(strain: Array, cell: Array, operators: NDArray[np.int64]) -> Array:
    """The part of a strain that keeps the symmetry of the lattice."""
    rotations = np.linalg.inv(cell) @ operators @ cell
    return np.asarray((rotations @ strain @ np.swapaxes(rotations, 1, 2)).mean(axis=0))
