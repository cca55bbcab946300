"""The detector distance and the wavelength of the first frames of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import numpy as np

from ...errors import InputError
from ...model.cell import Array
from ...model.detector.distance import FirstDistance
from ...model.detector.panels import GivenGeometry
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


def first_wavelengths(inputs: Iterable[str], geometry: GivenGeometry | None, prober: Prober | None = None) -> Array:
    """The known wavelengths (n,) of the first frames of the first input that can be opened, angstrom.

    There are none if the spots have no pixels. The parameters are those of `first_distance`.
    """
    for path in inputs:
        with contextlib.suppress(InputError), contextlib.closing(open_spots(path, geometry, prober)) as file:
            return of_first(file, "wavelength") if file.geometry is not None else np.zeros(0)
    return np.zeros(0)
