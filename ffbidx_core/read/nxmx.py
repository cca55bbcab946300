"""The detector of an NXmx file: one flat panel."""

from __future__ import annotations

import h5py
import numpy as np

from ..model.detector import Detector, Geometry, Panel, Reading, Vector
from ..model.geometry_file import geometry_text
from .datasets import errors_of, find, open_dataset
from .geom import parse_geometry

_DETECTOR = "/entry/instrument/detector"
_WAVELENGTHS = ("/entry/instrument/beam/incident_wavelength", "/entry/sample/beam/incident_wavelength")
_DISTANCES = (f"{_DETECTOR}/distance", f"{_DETECTOR}/detector_distance")
_LENGTHS = {"m": 1e3, "mm": 1.0, "um": 1e-3, "cm": 10.0}
_FAR = 1_000_000


def nxmx_geometry(file: h5py.File, path: str) -> tuple[Geometry | None, list[str]]:
    """The geometry of a file's NXmx entries, None where they are not there, and what was assumed.

    The laboratory of NXmx (McStas) is CrystFEL's: z along the beam, y up.
    """
    wavelengths = (_number(file, path, name, {}, 1.0) for name in _WAVELENGTHS)
    wavelength = next((w for w in wavelengths if w is not None), None)
    centre = [_number(file, path, f"{_DETECTOR}/beam_center_{axis}", {}, 1.0) for axis in "xy"]
    sizes = [_number(file, path, f"{_DETECTOR}/{axis}_pixel_size", _LENGTHS, 1e3) for axis in "xy"]
    distances = (_number(file, path, name, _LENGTHS, 1e3) for name in _DISTANCES)
    distance = next((d for d in distances if d is not None), None)
    if wavelength is None or distance is None or None in centre or None in sizes:
        return None, []
    notes = [
        f"{path}: geometry of its NXmx entries; the beam centre is taken in pixels from the first pixel's corner"
    ]
    fast, slow = (
        _direction(file, path, f"{_DETECTOR}/module/{axis}_pixel_direction", default)
        for axis, default in (("fast", (-1.0, 0.0, 0.0)), ("slow", (0.0, -1.0, 0.0)))
    )
    (x, y), (dx, dy) = (np.array(v, dtype=np.float64) for v in (centre, sizes))
    fast, slow = fast * dx, slow * dy
    corner = -(x * fast + y * slow)
    panel = Panel("p0", (0, 0), (_FAR, _FAR), _vector(corner), _vector(fast), _vector(slow))
    geometry = Geometry(Detector((panel,)), Reading(wavelength, unit="A"), Reading(abs(distance), unit="mm"))
    # Read back, so that the spots are made by the very numbers that results record.
    return parse_geometry(path, geometry_text(geometry)), notes


def _number(file: h5py.File, path: str, name: str, units: dict[str, float], without: float) -> float | None:
    """A number in angstrom, pixels or mm; `without` is the factor of a dataset without known units."""
    for shape in ((), (1,)):
        node = find(file, path, name)
        if not isinstance(node, h5py.Dataset) or node.shape != shape:
            continue
        dataset = open_dataset(file, path, name, "fiu", shape)
        if dataset is not None:
            with errors_of(path, name):
                unit = dataset.attrs.get("units", b"")
                unit = unit.decode("utf-8", "replace") if isinstance(unit, bytes) else str(unit)
                return float(np.ravel(dataset[()])[0]) * units.get(unit, without)
    return None


def _direction(file: h5py.File, path: str, name: str, default: Vector) -> np.ndarray:
    """The direction of an axis of the detector's module, a unit vector."""
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
