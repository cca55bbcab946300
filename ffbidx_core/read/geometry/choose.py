"""The choice of a run's detector geometry, with the changes that a user makes to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...errors import InputError, UsageError
from ...model.detector.beam import beam_on_panel, offset_along_beam
from ...model.detector.beam_shift import BeamShift, ShiftAlone
from ...model.detector.distortion import NO_DISTORTION, Distortion
from ...model.detector.panels import Geometry, GivenGeometry, Reading
from ..files.probe import Prober
from ..formats.open import open_spots
from ..formats.shifted import with_shifted_beam
from .any import read_geometry
from .crystfel import parse_crystfel
from .dials import changed_geometry, is_experiments
from .edited import text_of_changed

SHIFT_OPTION, CENTRE_OPTION = "--beam-shift {:.3f} {:.3f}", "--beam-centre {:.2f} {:.2f}"
"""Format of the two options that set the beam position, as they are typed."""


@dataclass(frozen=True)
class GeometryChanges:
    """Changes that a user makes to the geometry of a file; None leaves a value as the file has it.

    Attributes
    ----------
    beam_centre : (2,) float
        Point where the beam meets the first panel, fs and ss in the data, from the outer corner of the first pixel.
    distance : float
        Distance in mm from the sample to the point where the beam meets the detector, whatever offsets its panels
        have. A number below 0 is the value in the geometry itself, such as an encoder reading, to which the offsets
        are added (`clen` of CrystFEL).
    wavelength : float
        Wavelength of the beam, angstrom.
    half_pixel_shift : bool
        Whether half a pixel is added to peak positions.
    beam_shift : BeamShift
        Shift of the beam, which also applies to spots without pixels; see `ShiftAlone`.
    """

    beam_centre: tuple[float, float] | None = None
    distance: float | None = None
    wavelength: float | None = None
    half_pixel_shift: bool | None = None
    beam_shift: BeamShift | None = None

    def apply(self, geometry: Geometry) -> Geometry:
        """A geometry with these changes; its text is changed accordingly."""
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
        # The geometry is read back, so that the run uses exactly the numbers that its results record.
        made = parse_crystfel("the geometry with the options", text_of_changed(geometry, changed))
        return replace(made, half_pixel_shift=self.half_pixel_shift, notes=geometry.notes)

    def _as_in_file(self, geometry: Geometry) -> float:
        """The distance in mm in the form of the geometry file, that is, without the panels' offset."""
        assert self.distance is not None
        offset = offset_along_beam(geometry.detector)
        if self.distance > 0:
            return round(self.distance - offset, 9)
        if self.distance + offset <= 0:
            problem = f"--distance {self.distance:g}: puts the detector before the sample"
            raise UsageError(f"{problem}: give its distance, above 0; clen and coffset are {offset:g} mm apart")
        return self.distance

    def _in_list(self, geometry: Geometry) -> Geometry:
        """The geometry of a DIALS experiment list after these changes have been made in the list itself."""
        shift = np.zeros(3)
        if self.beam_centre is not None:
            moved = geometry.detector.with_beam_at(self.beam_centre)
            shift = np.array(moved.panels[0].corner) - np.array(geometry.detector.panels[0].corner)
        made = changed_geometry(geometry.text, shift, self.wavelength)
        if self.distance is not None and self.distance < 0:
            raise UsageError(f"--distance {self.distance:g}: the distance of a detector of DIALS is above 0")
        if self.distance is not None and made.distance is not None and made.distance.value is not None:
            # The distance is changed after the shift, which determines the panel that the beam hits.
            shift = np.array([0, 0, self.distance - made.distance.value])
            made = changed_geometry(made.text, shift, self.wavelength)
        return replace(made, by_hand=self.wavelength is not None)


NO_CHANGES = GeometryChanges()


def choose_geometry(
    inputs: Sequence[str],
    path: str | None = None,
    changes: GeometryChanges = NO_CHANGES,
    prober: Prober | None = None,
) -> tuple[GivenGeometry | None, bool | None]:
    """Choose the geometry for all inputs of a run, and find out whether half a pixel is added to their peaks.

    Parameters
    ----------
    inputs
        Spot files.
    path
        Geometry file; None for each input's own geometry.
    changes
        Changes to the geometry of that file, or without a file to the geometry of the first input.
    prober
        Opens each input first, so that one that hangs does not delay the others.

    Returns
    -------
    geometry : Geometry, ShiftAlone or None
        Geometry for all inputs; None for each input's own geometry, if it has one.
    half_pixel_shift : bool or None
        Whether half a pixel is added in the first input that can be opened; None if its spots have no pixels.

    Raises
    ------
    InputError
        If the geometry file cannot be used.
    UsageError
        If changes contradict each other, or there is no geometry to change.
    """
    if changes.beam_shift is not None and changes.beam_centre is not None:
        raise UsageError("--beam-shift and --beam-centre both say where the beam is: leave one of them out")
    given = None if path is None else read_geometry(path)
    geometry = changes.apply(given) if isinstance(given, Geometry) else given
    own, shift = first_geometry(inputs, geometry, prober)
    if not isinstance(geometry, Geometry) and replace(changes, beam_shift=None) != NO_CHANGES:
        if own is None:
            options = "--beam-centre, --distance, --wavelength and --half-pixel-shift"
            raise UsageError(f"{options} change a geometry, and there is none: give it with -g FILE")
        geometry = changes.apply(own)
        shift = shift if changes.half_pixel_shift is None else changes.half_pixel_shift
    if changes.beam_shift is not None:
        geometry = shifted_geometry(inputs, geometry, changes.beam_shift, prober)
    return geometry, shift


def shifted_geometry(
    inputs: Iterable[str],
    geometry: GivenGeometry | None,
    shift: BeamShift,
    prober: Prober | None = None,
    distortion: Distortion = NO_DISTORTION,
) -> GivenGeometry:
    """The geometry of a run after a shift of the beam, and then a distortion of the detector.

    Parameters
    ----------
    inputs
        Spot files.
    geometry
        Geometry of the run, from `choose_geometry`.
    shift
        Shift of the beam.
    distortion
        Distortion of the true detector relative to the geometry.
    """
    if geometry is None:
        return ShiftAlone(shift, distortion)
    if not isinstance(geometry, Geometry):
        return ShiftAlone(shift + geometry.beam_shift, distortion + geometry.distortion)
    for path in inputs:
        with contextlib.suppress(InputError), contextlib.closing(open_spots(path, geometry, prober)) as file:
            return geometry if file.geometry is None else with_shifted_beam(geometry, shift, file, distortion)
    return geometry


def shift_option(shift: BeamShift) -> str:
    """The option `--beam-shift` with a shift, as it is typed."""
    return SHIFT_OPTION.format(*shift.mrad)


def beam_option(geometry: GivenGeometry) -> str:
    """The option that sets the beam position of a geometry, as it is typed."""
    if isinstance(geometry, ShiftAlone):
        return shift_option(geometry.beam_shift)
    return CENTRE_OPTION.format(*beam_on_panel(geometry.detector))


def first_geometry(
    inputs: Iterable[str], geometry: GivenGeometry | None, prober: Prober | None = None
) -> tuple[Geometry | None, bool | None]:
    """Geometry and half-pixel shift of the first input that can be opened; None for both if there is none."""
    for path in inputs:
        with contextlib.suppress(InputError), contextlib.closing(open_spots(path, geometry, prober)) as file:
            return file.geometry, file.half_pixel_shift
    return None, None
