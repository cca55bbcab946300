"""The detector geometry of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from ..errors import InputError, UsageError
from ..model.detector import Geometry
from .geom import GeometryChanges, read_geometry
from .open import open_spots

NO_CHANGES = GeometryChanges()


def choose_geometry(
    inputs: Iterable[str], path: str | None = None, changes: GeometryChanges = NO_CHANGES
) -> tuple[Geometry | None, bool | None]:
    """The geometry for all inputs of a run, and whether half a pixel is added to their peaks.

    Parameters
    ----------
    inputs
        Spot files.
    path
        A geometry file; None: each input's own.
    changes
        What the user wants otherwise; without a file, than the first input's own geometry has it.

    Returns
    -------
    geometry : Geometry or None
        None: each input's own geometry serves, where it has one.
    half_pixel_shift : bool or None
        Of the first input that can be opened; None where its spots do not come from pixels.

    Raises
    ------
    InputError
        For a geometry file that cannot be used.
    UsageError
        For changes where there is no geometry.
    """
    geometry = None if path is None else read_geometry(path)
    if geometry is not None:
        geometry = changes.apply(geometry)
    own, shift = _first_setup(inputs, geometry)
    if geometry is None and changes != NO_CHANGES:
        if own is None:
            options = "--beam-centre, --distance, --wavelength and --half-pixel-shift"
            raise UsageError(f"{options} change a geometry, and there is none: give it with -g FILE")
        geometry = changes.apply(own)
        shift = shift if changes.half_pixel_shift is None else changes.half_pixel_shift
    return geometry, shift


def first_without_pixels(inputs: Iterable[str], geometry: Geometry | None) -> str | None:
    """The first input that can be opened, where its spots have no pixels on a detector."""
    for path in inputs:
        with contextlib.suppress(InputError), contextlib.closing(open_spots(path, geometry)) as file:
            return path if file.geometry is None else None
    return None


def _first_setup(inputs: Iterable[str], geometry: Geometry | None) -> tuple[Geometry | None, bool | None]:
    """Geometry and half-pixel shift of the first input that can be opened."""
    for path in inputs:
        with contextlib.suppress(InputError), contextlib.closing(open_spots(path, geometry)) as file:
            return file.geometry, file.half_pixel_shift
    return None, None
