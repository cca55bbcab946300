"""Whether other crystals than those of a fit agree better with its panels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model.cell import Array
from ..model.detector.placed import PlacedPanels
from ..model.detector.tree import PanelTree
from .fit import fit_panels
from .peaks import IndexedPeaks

FEWEST_CRYSTALS = 8
"""Frames with crystals of a fit."""
BOTH_WAYS_BELOW = 200
"""Frames with crystals below which each half is held against the fit of the other one."""
SURE = 3.0
"""Standard errors of the mean gain from where on panels are moved."""
WHOLE_ROUNDS = 8


@dataclass(frozen=True)
class Gain:
    """What panels of a fit are to crystals that were not fitted.

    Attributes
    ----------
    before, after : float
        Rms residual of a coordinate, pixels, of these crystals.
    mean, error : float
        Mean fall of a crystal's rms residual, pixels, and its standard error.
    n_crystals : int
    """

    before: float
    after: float
    mean: float
    error: float
    n_crystals: int

    @property
    def is_sure(self) -> bool:
        """Whether these crystals say clearly that the fit is better."""
        return self.n_crystals >= 2 and self.mean > SURE * self.error and self.mean > 0


def held_out_gain(peaks: IndexedPeaks, panels: PlacedPanels, tree: PanelTree, start: Array | None = None) -> Gain:
    """Fit every other frame; the crystals of the rest, and the detector as a whole, are fitted to either place.

    Parameters
    ----------
    panels
        The panels before.
    start : (n, 6)
        Motions of the tree's nodes with which the crystals were found, unless with the panels before.
    """
    here = panels if start is None else panels.moved(tree.of_panels(start))
    indexed = np.flatnonzero(peaks.indexed)
    halves = [indexed[0::2], indexed[1::2]]
    if len(indexed) >= BOTH_WAYS_BELOW:
        taken = [(halves[0], halves[1])]
    else:
        taken = [(halves[0], halves[1]), (halves[1], halves[0])]
    pairs = []
    for fitted, others in taken:
        after = fit_panels(peaks.take(fitted), panels, tree, start=start).panels
        unseen = peaks.take(others)
        pairs.append(np.column_stack([misfits(unseen, place) for place in (here, after)]))
    both = np.concatenate(pairs)
    both = both[np.isfinite(both).all(axis=1)]
    if len(both) < 2:
        return Gain(np.nan, np.nan, 0.0, np.inf, len(both))
    gain = both[:, 0] - both[:, 1]
    before, after_rms = np.sqrt(np.mean(both**2, axis=0)).tolist()
    return Gain(before, after_rms, float(gain.mean()), float(gain.std(ddof=1) / np.sqrt(len(gain))), len(gain))


def misfits(peaks: IndexedPeaks, panels: PlacedPanels) -> Array:
    """Rms residual of each crystal, (C,) pixels, when the detector may move as a whole only."""
    whole = PanelTree.of(panels, ())
    root = PanelTree(whole.joined[:, :6], whole.level[:1], whole.members[:1])
    return fit_panels(peaks, panels, root, rounds=WHOLE_ROUNDS, vote=False).misfit
