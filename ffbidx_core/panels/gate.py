"""The test whether crystals that were not fitted agree better with the refined panels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model.cell import Array
from ..model.detector.placed import PlacedPanels
from ..model.detector.tree import PanelTree
from .fit import fit_panels
from .peaks import IndexedPeaks

FEWEST_CRYSTALS = 8
"""Smallest number of frames with crystals for a fit."""
BOTH_WAYS_BELOW = 200
"""Number of frames with crystals below which each half is tested against the fit of the other half."""
SURE = 3.0
"""Mean gain, in standard errors, above which panels are moved."""
WHOLE_ROUNDS = 8


@dataclass(frozen=True)
class Gain:
    """The gain of refined panels for crystals that were not fitted.

    Attributes
    ----------
    before, after : float
        Rms residual of a coordinate of these crystals before and after, pixels.
    mean, error : float
        Mean decrease of the rms residual of a crystal and its standard error, pixels.
    n_crystals : int
        Number of these crystals.
    """

    before: float
    after: float
    mean: float
    error: float
    n_crystals: int

    @property
    def is_sure(self) -> bool:
        """Whether the refined panels are clearly better for these crystals."""
        return self.n_crystals >= 2 and self.mean > SURE * self.error and self.mean > 0


def held_out_gain(
    peaks: IndexedPeaks, panels: PlacedPanels, tree: PanelTree, start: Array | None = None, *, whole: bool = True
) -> Gain:
    """Fit every other frame; then fit the crystals of the rest, and the detector as a whole, to either position.

    Parameters
    ----------
    panels
        The panels before the fit.
    start : (n, 6)
        Motions of the nodes of the tree with which the crystals were found; None: the panels before the fit.
    whole
        Whether the detector as a whole is fitted to the crystals at either position; without it a motion of the whole
        detector counts as a gain.
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
        pairs.append(np.column_stack([misfits(unseen, place, whole=whole) for place in (here, after)]))
    both = np.concatenate(pairs)
    both = both[np.isfinite(both).all(axis=1)]
    if len(both) < 2:
        return Gain(np.nan, np.nan, 0.0, np.inf, len(both))
    gain = both[:, 0] - both[:, 1]
    before, after_rms = np.sqrt(np.mean(both**2, axis=0)).tolist()
    return Gain(before, after_rms, float(gain.mean()), float(gain.std(ddof=1) / np.sqrt(len(gain))), len(gain))


def misfits(peaks: IndexedPeaks, panels: PlacedPanels, *, whole: bool = True) -> Array:
    """The rms residual (C,) of each crystal, pixels, if the detector may move only as a `whole`, or not at all."""
    tree, n = PanelTree.of(panels, ()), int(whole)
    root = PanelTree(tree.joined[:, : 6 * n], tree.level[:n], tree.members[:n])
    return fit_panels(peaks, panels, root, rounds=WHOLE_ROUNDS, vote=False).misfit
