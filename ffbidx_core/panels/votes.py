"""Finding panels that are off by many pixels, from the offsets at which most peaks agree with predictions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..model.cell import Array, reciprocal
from ..model.detector.placed import PlacedPanels
from .equations import CrystalState, Pairs

REACH = 15
"""Largest offset of a panel, pixels."""
DEPTH = 0.002
"""Largest distance of a visible lattice point from the Ewald sphere, 1/angstrom."""
SURE = 6.0
"""Excess of votes of an offset in standard deviations, in addition to `BESIDES` votes."""
BESIDES = 4.0
BETTER = 1.3
"""Factor by which an offset must have more votes than the present position of the panel."""
NEAREST = 2.5
"""Offset in pixels below which a panel is left to the fit."""
AT_ONCE = 8192
_NEIGHBOURS = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def jumps(panels: PlacedPanels, crystals: CrystalState, pairs: Pairs) -> Array:
    """The offsets (P, 2) of panels in pixels along x and y; zeros if votes favour no other position.

    Each peak votes for its offsets from all lattice points that are predicted within `REACH` pixels. Votes are counted
    in squares of 3 pixels.
    """
    parts = [_offsets(panels, crystals, pairs[slice(i, i + AT_ONCE)]) for i in range(0, len(pairs.peak), AT_ONCE)]
    jump = np.zeros((panels.n_panels, 2))
    if not parts:
        return jump
    offsets, panel = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    axes = np.stack([panels.fast, panels.slow], axis=1)[:, :, :2] / panels.pixel
    offsets = np.einsum("na,nai->ni", offsets, axes[panel])
    inside = (np.abs(offsets) < REACH).all(axis=1)
    offsets, panel = offsets[inside], panel[inside]
    edges = (np.arange(-REACH, REACH + 1.0),) * 2
    for number in range(panels.n_panels):
        mine = offsets[panel == number]
        votes = np.histogram2d(mine[:, 0], mine[:, 1], bins=edges)[0]
        squares = sum(np.roll(votes, (a, b), (0, 1)) for a in (-1, 0, 1) for b in (-1, 0, 1))[1:-1, 1:-1]
        flat = max(float(np.median(squares)), 1.0)
        best = np.unravel_index(int(squares.argmax()), squares.shape)
        there = np.array(best) + 1.5 - REACH
        here = squares[REACH - 3 : REACH + 2, REACH - 3 : REACH + 2].max()
        most = squares[best]
        if most > flat + SURE * np.sqrt(flat) + BESIDES and np.linalg.norm(there) > NEAREST and most > BETTER * here:
            jump[number] = np.median(mine[(np.abs(mine - there) < 2).all(axis=1)], axis=0)
    return jump


def _offsets(panels: PlacedPanels, crystals: CrystalState, pairs: Pairs) -> tuple[Array, NDArray[np.int64]]:
    """The offsets (n, 2) in pixels along fs and ss from peaks to nearby predictions, and their panels (n,)."""
    cells = crystals.cells[pairs.crystal]
    seen = panels.spots(pairs.pixels, pairs.wavelength, pairs.farther)
    nearest = np.rint(np.einsum("nij,nj->ni", cells, seen))
    steps = _NEIGHBOURS @ reciprocal(cells)
    q = np.einsum("ni,nij->nj", nearest, reciprocal(cells))[:, None] + steps
    ray = q * pairs.wavelength[:, None, None] + (0.0, 0.0, 1.0)
    near = np.abs(np.linalg.norm(ray, axis=2) - 1) < DEPTH * pairs.wavelength[:, None]
    near &= (nearest[:, None] + _NEIGHBOURS != 0).any(axis=2)
    row = np.nonzero(near)[0]
    panel = pairs.panel[row]
    at = panels.seen(ray[near], panel, pairs.farther[row])[0]
    return at - pairs.pixels[row, :2], panel
