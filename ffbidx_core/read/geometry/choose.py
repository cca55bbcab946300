"""The detector geometry of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...errors import InputError, UsageError
from ...model.detector.beam import beam_on_panel, offset_along_beam
from ...model.detector.beam_shift import NO_SHIFT, BeamShift, ShiftAlone
from ...model.detector.panels import Geometry, GivenGeometry, Reading
from ..formats.open import open_spots
from ..formats.shifted import with_shifted_beam
from .any import read_geometry
from .crystfel import parse_crystfel
from .dials import changed_geometry, is_experiments
from .edited import text_of_changed

SHIFT_OPTION, CENTRE_OPTION = "--beam-shift {:.3f} {:.3f}", "--beam-centre {:.2f} {:.2f}"
"""The two options that say where the beam is, as they are typed."""


@dataclass(frozen=True)
class GeometryChanges:
    """Changes that a user makes to the geometry of a file; None leaves a value as it is in the file.

    Attributes
    ----------
    beam_centre : (2,) float
        Where the beam meets the first panel, fs and ss in the data, from the corner of the first pixel.
    distance : float
        Distance of the detector where the beam meets it, mm, whatever offsets its panels have. Below 0: what stands in
        the geometry for it, such as the reading of an encoder, to which the offsets come (`clen` of CrystFEL).
    wavelength : float
        Wavelength, angstrom.
    half_pixel_shift : bool
    beam_shift : BeamShift
        By how much the beam is shifted, of spots without pixels, too; see `ShiftAlone`.
    """

    beam_centre: tuple[float, float] | None = None
    distance: float | None = None
    wavelength: float | None = None
    half_pixel_shift: bool | None = None
    beam_shift: BeamShift | None = None

    def apply(self, geometry: Geometry) -> Geometry:
        """A geometry with these changes; its text is made anew where it says something else now."""
        changed = replace(geometry, half_pixel_shift=self.half_pixel_shift)
        if (self.beam_centre, self.distance, self.wavelength) == (None, None, None):
            return changed
        if is_experiments(geometry.text):
            return replace(self._in_list(geometry), half_pixel_shift=self.half_pixel_shift)
        if self.beam_centre is not None:
            changed = replace(changed, detector=geometry.detector.with_beam_at(self.beam_centre))
        if self.distance is not None:
            changed = replace(changed, distance=Reading(self._as_in_file(geometry), unit="mm"))
        if self.wavelength is not None:
            changed = replace(changed, wavelength=Reading(self.wavelength, unit="A"), by_hand=True)
        # Read back, so that the run has the very numbers that its results record.
        made = parse_crystfel("the geometry with the options", text_of_changed(geometry, changed))
        return replace(made, half_pixel_shift=self.half_pixel_shift, notes=geometry.notes)

    def _as_in_file(self, geometry: Geometry) -> float:
        """The distance as a geometry with offsets of its panels has it, mm."""
        assert self.distance is not None
        offset = offset_along_beam(geometry.detector)
        if self.distance > 0:
            return round(self.distance - offset, 9)
        if self.distance + offset <= 0:
            problem = f"--distance {self.distance:g}: puts the detector before the sample"
            raise UsageError(f"{problem}: give its distance, above 0; clen and coffset are {offset:g} mm apart")
        return self.distance

    def _in_list(self, geometry: Geometry) -> Geometry:
        """The geometry of a DIALS experiment list with these changes, which are made in the list itself."""
        shift = np.zeros(3)
        if self.beam_centre is not None:
            moved = geometry.detector.with_beam_at(self.beam_centre)
            shift = np.array(moved.panels[0].corner) - np.array(geometry.detector.panels[0].corner)
        made = changed_geometry(geometry.text, shift, self.wavelength)
        if self.distance is not None and self.distance < 0:
            raise UsageError(f"--distance {self.distance:g}: the distance of a detector of DIALS is above 0")
        if self.distance is not None and made.distance is not None and made.distance.value is not None:
            # After the first shift, since it is the distance of the panel that the beam hits.
            shift = np.array([0, 0, self.distance - made.distance.value])
            made = changed_geometry(made.text, shift, self.wavelength)
        return replace(made, by_hand=self.wavelength is not None)


NO_CHANGES = GeometryChanges()


def choose_geometry(
    inputs: Sequence[str], path: str | None = None, changes: GeometryChanges = NO_CHANGES
) -> tuple[GivenGeometry | None, bool | None]:
    """The geometry for all inputs of a run, and whether half a pixel is added to their peaks.

    Parameters
    ----------
    inputs
        Spot files.
    path
        A geometry file; None: each input's own.
    changes
        Changes to the geometry of that file; without one, to the geometry of the first input.

    Returns
    -------
    geometry : Geometry, ShiftAlone or None
        None: each input's own geometry serves, where it has one.
    half_pixel_shift : bool or None
        Whether half a pixel is added in the first input that can be opened; None where its spots have no pixels.

    Raises
    ------
    InputError
        For a geometry file that cannot be used.
    UsageError
        For changes where there is no geometry.
    """
    if changes.beam_shift is not None and changes.beam_centre is not None:
        raise UsageError("--beam-shift and --beam-centre both say where the beam is: leave one of them out")
    given = None if path is None else read_geometry(path)
    geometry = changes.apply(given) if isinstance(given, Geometry) else given
    own, shift = first_geometry(inputs, geometry)
    if not isinstance(geometry, Geometry) and replace(changes, beam_shift=None) != NO_CHANGES:
        if own is None:
            options = "--beam-centre, --distance, --wavelength and --half-pixel-shift"
            raise UsageError(f"{options} change a geometry, and there is none: give it with -g FILE")
        geometry = changes.apply(own)
        shift = shift if changes.half_pixel_shift is None else changes.half_pixel_shift
    if changes.beam_shift is not None:
        geometry = shifted_geometry(inputs, geometry, changes.beam_shift)
    return geometry, shift


def shifted_geometry(inputs: Iterable[str], geometry: GivenGeometry | None, shift: BeamShift) -> GivenGeometry:
    """The geometry of a run with its beam shifted.

    Parameters
    ----------
    inputs
        Spot files.
    geometry
        As `choose_geometry` gives it.
    shift
        By how much.
    """
    if not isinstance(geometry, Geometry):
        return ShiftAlone(shift + (NO_SHIFT if geometry is None else geometry.beam_shift))
    for path in inputs:
        with contextlib.suppress(InputError), contextlib.closing(open_spots(path, geometry)) as file:
            return geometry if file.geometry is None else with_shifted_beam(geometry, shift, file)
    return geometry


def shift_option(shift: BeamShift) -> str:
    """The option that shifts the beam, as it is typed."""
    return SHIFT_OPTION.format(*shift.mrad)


def beam_option(geometry: GivenGeometry) -> str:
    """The option that puts the beam where a geometry has it, as it is typed."""
    if isinstance(geometry, ShiftAlone):
        return shift_option(geometry.beam_shift)
    return CENTRE_OPTION.format(*beam_on_panel(geometry.detector))


def first_without_pixels(inputs: Iterable[str], geometry: GivenGeometry | None) -> str | None:
    """The first input that can be opened, where its spots have no pixels on a detector."""
    for path in inputs:
        with contextlib.suppress(InputError), contextlib.closing(open_spots(path, geometry)) as file:
            return path if file.geometry is None else None
    return None


def first_geometry(inputs: Iterable[str], geometry: GivenGeometry | None) -> tuple[Geometry | None, bool | None]:
    """Geometry and half-pixel shift of the first input that can be opened."""
    for path in inputs:
        with contextlib.suppress(InputError), contextlib.closing(open_spots(path, geometry)) as file:
            return file.geometry, file.half_pixel_shift
    return None, None
