"""Cells that are a part or a multiple of a given cell, with an index of 2, 3 or 4."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from ..model.basis import PrimitiveCells, as_primitive
from ..model.cell import Array
from ..model.unknown.selling import reduced_cell, voronoi_lengths
from .verdict import Judge, Verdict, is_near

SHARE = 0.85
"""Share of the Miller indices on a sublattice above which the smaller cell is judged."""
FEWEST = 20
"""Smallest number of indices for which sublattices are tested."""
INDICES = (2, 3, 4)
LARGER = 0.15
"""Gain of evidence, as a share of that of the cell, above which a multiple is taken; for a small cell, a multiple can
have a few per cent more evidence than the cell itself."""


@dataclass(frozen=True)
class Rival:
    """A part or a multiple of a cell, with its evidence.

    Attributes
    ----------
    index : int
        Volume relative to the cell: 2, 3, 4, or negative for the part of this index.
    cell : (3, 3) float64
        Reduced cell, rows a, b, c, angstrom; it is not learned.
    gain : float
        Evidence minus that of the cell on the same frames.
    """

    index: int
    cell: PrimitiveCells
    gain: float


def rivals(verdict: Verdict, judge: Judge) -> list[Rival]:
    """The best part and the best multiple of each index of the cell of a verdict, judged on the same frames."""
    cells = [(-index, best_part(verdict, index)[0]) for index in INDICES]
    cells += [(index, best_multiple(verdict, index)) for index in INDICES]
    found = []
    for index, cell in cells:
        reduced = reduced_cell(cell)
        found.append(Rival(index, reduced, judge.as_it_is(reduced, verdict).evidence - verdict.evidence))
    return found


def better_rival(verdict: Verdict, against: list[Rival]) -> Rival | None:
    """The rival with the most evidence that is better than the cell of a verdict: a part, or by far a multiple."""
    better = [each for each in against if each.gain > (0 if each.index < 0 else LARGER * verdict.evidence)]
    return max(better, key=lambda each: each.gain, default=None)


@functools.cache
def sublattices(index: int) -> Array:
    """The row Hermite normal forms (n, 3, 3) of the sublattices of an index: 7 of index 2, 13 of 3, 35 of 4."""
    forms = []
    for a in range(1, index + 1):
        for d in range(1, index + 1):
            if index % (a * d):
                continue
            rest = index // (a * d)
            forms += [((a, 0, 0), (b, d, 0), (c, f, rest)) for b in range(a) for c in range(a) for f in range(d)]
    return np.array(forms, dtype=np.float64)


def is_related(cell: Array, other: Array, tolerance: float) -> bool:
    """Whether a lattice equals another one, or is a part or a multiple of it, by their seven Voronoi lengths."""
    forms = np.concatenate([np.eye(3)[None], *(sublattices(index) for index in INDICES)])
    family = voronoi_lengths(np.concatenate([forms @ other, np.swapaxes(np.linalg.inv(forms), 1, 2) @ other]))
    return bool((np.max(np.abs(voronoi_lengths(cell[None]) / family - 1), axis=1) < tolerance).any())


def smaller_cells(verdict: Verdict) -> list[PrimitiveCells]:
    """Cells of which the cell of a verdict is a multiple according to nearly all indices; the largest index first."""
    parts = [best_part(verdict, index) for index in reversed(INDICES)]
    return [cell for cell, share in parts if share > SHARE and len(verdict.indices) >= FEWEST]


def best_part(verdict: Verdict, index: int) -> tuple[PrimitiveCells, float]:
    """The part of a cell, with a given index, that has most of the Miller indices, and its share of them."""
    indices, forms = verdict.indices, sublattices(index)
    exact = indices @ np.linalg.inv(forms)
    shares = np.mean(np.max(np.abs(exact - np.rint(exact)), axis=2) < 1e-3, axis=1) if len(indices) else np.zeros(1)
    best = int(np.argmax(shares))
    return as_primitive(np.linalg.inv(forms[best]).T @ verdict.cell), float(shares[best])


def best_multiple(verdict: Verdict, index: int) -> PrimitiveCells:
    """The multiple of a cell, with a given index, that explains most spots that the cell does not explain."""
    rest = verdict.fractional[~is_near(verdict.fractional, verdict.cell)]
    forms = sublattices(index)
    explained = [int(is_near(rest @ form.T, form @ verdict.cell).sum()) for form in forms]
    return as_primitive(forms[int(np.argmax(explained))] @ verdict.cell)
