"""The residuals of a fit in the form of Millepede II."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..model.records.measurements import Measurements
from .equations import weights
from .fit import residuals_of
from .refine import Refinement


def measurements(refined: Refinement) -> Iterator[Measurements]:
    """Yield residuals with the moved panels, crystal by crystal, without those that the fit rejected.

    The local parameters of a crystal are its rotation (radian) and its strain, those of a panel its motion in pixels
    and milliradian. Fitted values of these are corrections to the moved panels.
    """
    assert refined.fit is not None
    found = residuals_of(refined.peaks, refined.panels)
    scale = np.array([refined.fit.noise, refined.fit.noise, refined.fit.noise_along])
    used = np.flatnonzero(weights(found.values, scale) > 0)
    crystal = found.pairs.crystal[used]
    for rows in np.split(used, np.flatnonzero(np.diff(crystal)) + 1):
        if len(rows):
            n = len(rows)
            by_panel = np.zeros((n, 3, 6))
            by_panel[:, :2] = found.by_panel[rows]
            yield Measurements(
                found.values[rows].ravel(),
                np.tile(scale, n),
                found.by_crystal[rows].reshape(3 * n, -1),
                np.repeat(found.pairs.panel[rows], 3),
                by_panel.reshape(3 * n, 6),
            )
