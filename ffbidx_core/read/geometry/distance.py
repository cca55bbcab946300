"""The detector distance and the wavelength of the first frames of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import numpy as np

from ...errors import InputError
from ...model.detector.distance import FirstDistance
from ...model.detector.panels import GivenGeometry
from ...ranges import LONGEST_WAVELENGTH
from ..files.probe import Prober
from ..formats.open import open_spots
from ..formats.shifted import of_first


def first_distance(
    inputs: Iterable[str], geometry: GivenGeometry | None, prober: Prober | None = None
) -> FirstDistance | None:
    """The distance of the first frames of the first input that can be opened.

    It is None if the spots have no pixels, or if the frames have different distances. The parameters are those of
    `choose_geometry`; the geometry is that of the run.
    """
    for path in inputs:
        with contextlib.suppress(InputError), contextlib.closing(open_spots(path, geometry, prober)) as file:
            if file.geometry is None:
                return None
            return FirstDistance.common(of_first(file, "distance"), file.geometry.detector)
    return None


def wavelength_of_kev(
    inputs: Iterable[str], geometry: GivenGeometry | None, prober: Prober | None = None
) -> float | None:
    """The wavelength of the first frames, angstrom, if their photon energies in keV were taken for eV.

    It is None if the wavelengths as read are possible, or are impossible in keV, too. The parameters are those of
    `first_distance`.
    """
    for path in inputs:
        with contextlib.suppress(InputError), contextlib.closing(open_spots(path, geometry, prober)) as file:
            wavelengths = of_first(file, "wavelength")
            is_too_long = len(wavelengths) > 0 and wavelengths.min() > LONGEST_WAVELENGTH
            mended = float(np.median(wavelengths)) / 1e3 if is_too_long else np.inf
            return mended if mended <= LONGEST_WAVELENGTH else None
    return None
