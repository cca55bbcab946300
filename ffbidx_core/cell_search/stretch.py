"""The stretch of crystals along the beam, which a wrong detector distance causes.

At a distance that is assumed too large by a factor 1 + e, spots seem nearer to the origin by 1 + e across the beam, and
by (1 + e)^2 along it, because the depth of the Ewald sphere grows with the square of the angle. All crystals then seem
stretched by e along the beam, each along another direction of its lattice, and scatter about their common cell. A wrong
wavelength only scales them.
"""

from __future__ import annotations

import numpy as np

from ..model.cell import Array
from ..model.unknown.selling import nearest_setting

NORMAL_MAD = 1.4826
"""Ratio of the standard deviation of a normal distribution to its median absolute deviation."""
MEDIAN_ERROR = (np.pi / 2) ** 0.5
"""Ratio of the standard errors of the median and of the mean of a normal distribution."""
NEAREST = 0.08
"""Relative difference of lengths within which a crystal has a setting near the cell."""
FEWEST = 12
"""Smallest number of crystals for an estimate."""


def stretch_of(cell: Array, crystals: Array) -> tuple[float, float]:
    """The stretch of crystals along the beam relative to across it, and its standard error.

    The strain of a crystal A in the frame of the laboratory is U - I, where A = C R U with the cell C, a rotation R and
    a symmetric U.

    Parameters
    ----------
    cell : (3, 3)
        Cell of the crystals, rows a, b, c, angstrom.
    crystals : (n, 3, 3)
        Oriented cells, rows a, b, c, angstrom.

    Returns
    -------
    stretch, error : float
        Median of the strains along z minus those across z, and its standard error; 0 and infinity for fewer than
        `FEWEST` crystals.
    """
    metric = cell @ cell.T
    settings = [nearest_setting(crystal, metric, NEAREST) for crystal in crystals]
    oriented = np.array([found[0] for found in settings if found is not None]).reshape(-1, 3, 3)
    if len(oriented) < FEWEST:
        return 0.0, np.inf
    _, sizes, axes = np.linalg.svd(np.linalg.inv(cell) @ oriented)
    strains = np.einsum("nki,nk,nkj->nij", axes, sizes, axes) - np.eye(3)
    along = strains[:, 2, 2] - (strains[:, 0, 0] + strains[:, 1, 1]) / 2
    middle = float(np.median(along))
    return middle, float(MEDIAN_ERROR * NORMAL_MAD * np.median(np.abs(along - middle)) / np.sqrt(len(along)))
