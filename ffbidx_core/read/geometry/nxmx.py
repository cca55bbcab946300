"""Reading of the detector in an NXmx file, as one flat panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import h5py
import numpy as np

from ...errors import InputError
from ...model.detector.geometry_file import geometry_text
from ...model.detector.panels import SMALLEST_PIXEL, Detector, Geometry, Panel, Reading, Vector
from ...model.detector.units import LENGTHS_WANTED, WAVELENGTHS_WANTED, electronvolts, millimetres
from ..files.datasets import errors_of, find, open_dataset
from ..files.faults import Faults
from ..formats.peaks import HALF_PIXEL
from .crystfel import parse_crystfel

JUNGFRAUJOCH = ("/entry/MX", "/entry/result")
"""Groups in which Jungfraujoch keeps its peak lists."""

_DETECTOR = "/entry/instrument/detector"
_WAVELENGTHS = ("/entry/instrument/beam/incident_wavelength", "/entry/sample/beam/incident_wavelength")
_DISTANCES = (f"{_DETECTOR}/distance", f"{_DETECTOR}/detector_distance")
_SPECIFIC = f"{_DETECTOR}/detectorSpecific"
_MARKS = (*JUNGFRAUJOCH, f"{_SPECIFIC}/jfjoch_release", f"{_SPECIFIC}/software_git_commit")
"""Groups and datasets by which a file of Jungfraujoch is recognised."""
_ENERGIES = tuple(name.replace("wavelength", "energy") for name in _WAVELENGTHS)
_PIXELS = ("", "pixel", "pixels", "px", "1", "dimensionless")
"""Units of a number that counts pixels."""
_FAR = 1_000_000
_FROM_CORNER = "in pixels from the corner of the first one"
_AS_PEAKS = "to count pixels as Jungfraujoch's peaks do, from the centre of the first one"

LARGEST_PIXEL = 10.0
"""Largest number that is taken for the edge of a pixel, mm."""


def nxmx_geometry(file: h5py.File, path: str) -> Geometry | None:
    """The geometry in the NXmx entries of a file, with a note on the assumptions; None if the entries are missing.

    The laboratory frame of NXmx (McStas) is CrystFEL's: z along the beam, y up. In a file of Jungfraujoch the beam
    centre is counted in pixels from the centre of the first pixel, as the peaks are, because that program subtracts
    one from the other. Wavelength, distance and beam centre may have a number for each frame; a beam centre that
    differs between frames is represented as a shift of the detector in the opposite direction.

    Raises
    ------
    InputError
        If a unit is not known, or the size of a pixel differs between frames, or the beam centre does so on a detector
        whose axes are not parallel to those of the laboratory frame.
    """
    entries = _Entries(file, path)
    faults = Faults()
    wavelength, distance, sizes = None, None, list[float | None]()
    with faults.collected():
        wavelength = entries.reading(_WAVELENGTHS, "angstrom") or entries.reading(_ENERGIES, "eV")
    with faults.collected():
        distance = entries.reading(_DISTANCES, "m")
    for axis in "xy":
        with faults.collected():
            sizes.append(entries.pixel_size(axis))
        with faults.collected():
            entries.reading([f"{_DETECTOR}/beam_center_{axis}"], "")
    faults.raise_all()
    if wavelength is None or distance is None or None in sizes:
        return None
    dx, dy = (float(size or 0) for size in sizes)
    fast, slow = (
        _direction(file, path, f"{_module(file, path)}/{axis}_pixel_direction", default)
        for axis, default in (("fast", (-1.0, 0.0, 0.0)), ("slow", (0.0, -1.0, 0.0)))
    )
    fast, slow = fast * dx, slow * dy
    centre = (
        [entries.centre(*each) for each in (("x", fast, dx), ("y", slow, dy))]
        if min(dx, dy) > SMALLEST_PIXEL
        else [None]
    )
    if None in centre:
        return None
    as_peaks = any(_is_there(file, path, name) for name in _MARKS)
    x, y = ((each if isinstance(each, float) else 0.0) + (HALF_PIXEL if as_peaks else 0.0) for each in centre)
    shift: dict[int, Reading] = dict(each for each in centre if isinstance(each, tuple))
    corner = -(x * fast + y * slow)
    panel = Panel("p0", (0, 0), (_FAR, _FAR), _vector(corner), _vector(fast), _vector(slow))
    if wavelength.value is not None:
        wavelength = Reading(wavelength.angstrom, unit="A")
    if distance.value is not None:
        # Some files give the position of the detector along an axis against the beam.
        distance = Reading(abs(distance.millimetres), unit="mm")
    geometry = Geometry(Detector((panel,)), wavelength, distance, shift=(shift.get(0), shift.get(1)))
    # The geometry is read back, so that spots are computed from exactly the numbers that results record.
    made = parse_crystfel(path, geometry_text(geometry))
    how = f"the beam centre is taken {_AS_PEAKS if as_peaks else _FROM_CORNER}; --beam-centre says otherwise"
    bare = f"; without units: {', '.join(entries.bare)}" if entries.bare else ""
    note = f"{path}: geometry of its NXmx entries, one flat panel across the beam; {how}{bare}"
    return replace(made, notes=(note,))


class _Entries:
    """A reader of numbers with units in NXmx entries.

    Attributes
    ----------
    bare : list of str
        Datasets without units, each with the unit that was assumed.
    """

    def __init__(self, file: h5py.File, path: str) -> None:
        self._file, self._path = file, path
        self.bare: list[str] = []

    def reading(self, names: Sequence[str], without: str) -> Reading | None:
        """The first of some datasets that exists, as its number, or as its name if it has a number for each frame.

        `without` is the unit that is assumed for a dataset without one; it also defines which kind of unit is expected.
        """
        for name in names:
            node = find(self._file, self._path, name)
            if not isinstance(node, h5py.Dataset) or find(self._file, self._path, f"{name}_weights") is not None:
                continue
            shape = node.shape or ()
            dataset = open_dataset(self._file, self._path, name, "fiu", (*shape[:1], *(1 for _ in shape[1:])))
            assert dataset is not None
            unit = self._unit(dataset, name, without)
            with errors_of(self._path, name):
                if int(np.prod(shape)) == 1:
                    return Reading(float(np.ravel(dataset[()])[0]), unit=unit)
            return Reading(None, name, unit)
        return None

    def number(self, name: str, without: str) -> float | None:
        """A length in mm that is the same for all frames; None if it is missing."""
        found = self.reading([name], without)
        if found is None:
            return None
        values = self._different(found)
        if len(values) != 1:
            raise InputError(self._path, f"has {len(values)} different numbers; one for all frames is read", name)
        return Reading(float(values[0]), unit=found.unit).millimetres

    def pixel_size(self, axis: str) -> float | None:
        """The size of a pixel along an axis of the detector, `x` or `y`, mm; None if it is missing."""
        name = f"{_DETECTOR}/{axis}_pixel_size"
        size = self.number(name, "m")
        if size and not SMALLEST_PIXEL < size < LARGEST_PIXEL:
            raise InputError(self._path, f"is {size:g} mm, which is no size of a pixel: is its unit right?", name)
        return size

    def centre(self, axis: str, step: np.ndarray, size: float) -> float | tuple[int, Reading] | None:
        """The beam centre along an axis of the detector; None if it is missing.

        Parameters
        ----------
        axis
            `x` or `y`.
        step : (3,)
            Vector of one pixel along this axis, mm.
        size
            Size of a pixel along it, mm.

        Returns
        -------
        float or (int, Reading) or None
            The beam centre in pixels if it is the same on all frames; otherwise the axis of the laboratory frame along
            which the detector is shifted, 0 or 1, and the reading of the shift.
        """
        name = f"{_DETECTOR}/beam_center_{axis}"
        found = self.reading([name], "")
        if found is None:
            return None
        pixels = 1.0 if found.unit in _PIXELS else Reading(1.0, unit=found.unit).millimetres / size
        values = self._different(found)
        if len(values) == 1:
            return float(values[0]) * pixels
        along = np.flatnonzero(step)
        if len(along) != 1 or along[0] == 2:
            problem = f"has {len(values)} different numbers, and the detector's axes are not those of the laboratory"
            raise InputError(self._path, f"{problem}: one for all frames is read then", name)
        return int(along[0]), Reading(None, name, f"{-pixels * step[along[0]]:.12g} mm")

    def _different(self, reading: Reading) -> np.ndarray:
        """The distinct numbers of a reading."""
        if reading.value is not None:
            return np.array([reading.value])
        with errors_of(self._path, reading.path):
            return np.unique(self._file[reading.path][()])

    def _unit(self, dataset: h5py.Dataset, name: str, without: str) -> str:
        """The unit of a dataset, or `without` if it has none."""
        with errors_of(self._path, f"{name}, attribute units"):
            unit = np.ravel(dataset.attrs.get("units", ""))[0]
        unit = unit.decode("utf-8", "replace") if isinstance(unit, bytes) else str(unit)
        unit = unit.strip().strip("[]")
        if not unit:
            if without:
                self.bare.append(f"{name} (taken in {without})")
            return without
        is_known = millimetres(unit) is not None or (unit in _PIXELS and not without)
        if not (is_known or (without == "eV" and electronvolts(unit) is not None)):
            wanted = WAVELENGTHS_WANTED if without in ("angstrom", "eV") else LENGTHS_WANTED
            raise InputError(self._path, f"has the units {unit[:40]!r}, expected {wanted}", name)
        return unit


def _is_there(file: h5py.File, path: str, name: str) -> bool:
    """Whether a group or dataset exists, in this file or through a link in another file."""
    try:
        return find(file, path, name) is not None
    except InputError:
        # The name is a link to another file.
        return True


def _module(file: h5py.File, path: str) -> str:
    """The group of the detector's first module."""
    group = find(file, path, _DETECTOR)
    with errors_of(path, _DETECTOR):
        names = sorted(group) if isinstance(group, h5py.Group) else []
    modules = (f"{_DETECTOR}/{name}" for name in ["module", *names])
    found = (name for name in modules if find(file, path, f"{name}/fast_pixel_direction") is not None)
    return next(found, f"{_DETECTOR}/module")


def _direction(file: h5py.File, path: str, name: str, default: Vector) -> np.ndarray:
    """The unit vector along an axis of the detector's module."""
    node = find(file, path, name)
    with errors_of(path, name):
        attributes = {} if node is None else node.attrs
        vector = np.asarray(attributes.get("vector", default), dtype=np.float64)
    if vector.shape != (3,) or not np.linalg.norm(vector) > 0:
        vector = np.array(default)
    return np.asarray(vector / np.linalg.norm(vector))


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (float(v) for v in values)
    return x, y, z
