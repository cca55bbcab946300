"""The detector of an NXmx file: one flat panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import h5py
import numpy as np

from ...errors import InputError
from ...model.detector.geometry_file import geometry_text
from ...model.detector.panels import Detector, Geometry, Panel, Reading, Vector
from ..files.datasets import errors_of, find, open_dataset
from ..formats.peaks import HALF_PIXEL
from .crystfel import parse_crystfel

JUNGFRAUJOCH = ("/entry/MX", "/entry/result")
"""Groups in which Jungfraujoch keeps its peak lists."""

_DETECTOR = "/entry/instrument/detector"
_WAVELENGTHS = ("/entry/instrument/beam/incident_wavelength", "/entry/sample/beam/incident_wavelength")
_DISTANCES = (f"{_DETECTOR}/distance", f"{_DETECTOR}/detector_distance")
_SPECIFIC = f"{_DETECTOR}/detectorSpecific"
_MARKS = (*JUNGFRAUJOCH, f"{_SPECIFIC}/jfjoch_release", f"{_SPECIFIC}/software_git_commit")
"""Groups and datasets that only files of Jungfraujoch have."""
_LENGTHS = {"m": 1e3, "mm": 1.0, "um": 1e-3, "cm": 10.0}
_ANGSTROM = {"angstrom": 1.0, "A": 1.0, "nm": 10.0, "m": 1e10}
_FAR = 1_000_000
_FROM_CORNER = "in pixels from the corner of the first one"
_AS_PEAKS = "to count pixels as Jungfraujoch's peaks do, from the centre of the first one"


def nxmx_geometry(file: h5py.File, path: str) -> Geometry | None:
    """The geometry of a file's NXmx entries, with what was assumed; None where they are not there.

    The laboratory of NXmx (McStas) is CrystFEL's: z along the beam, y up. In files of Jungfraujoch the beam centre
    counts pixels as the peaks do, from the centre of the first one, since that program takes one from the other.
    """
    wavelength = _first(file, path, _WAVELENGTHS, _ANGSTROM, 1.0)
    distance = _first(file, path, _DISTANCES, _LENGTHS, 1e3)
    sizes = [_first(file, path, [f"{_DETECTOR}/{axis}_pixel_size"], _LENGTHS, 1e3) for axis in "xy"]
    if wavelength is None or distance is None or None in sizes:
        return None
    (dx, dy) = (float(size or 0) for size in sizes)
    centre = [
        _first(file, path, [f"{_DETECTOR}/beam_center_{axis}"], {unit: mm / size for unit, mm in _LENGTHS.items()}, 1.0)
        for axis, size in (("x", dx), ("y", dy))
    ]
    if None in centre or not dx * dy > 0:
        return None
    as_peaks = any(_is_there(file, path, name) for name in _MARKS)
    x, y = (float(value or 0) + (HALF_PIXEL if as_peaks else 0.0) for value in centre)
    fast, slow = (
        _direction(file, path, f"{_module(file, path)}/{axis}_pixel_direction", default)
        for axis, default in (("fast", (-1.0, 0.0, 0.0)), ("slow", (0.0, -1.0, 0.0)))
    )
    fast, slow = fast * dx, slow * dy
    corner = -(x * fast + y * slow)
    panel = Panel("p0", (0, 0), (_FAR, _FAR), _vector(corner), _vector(fast), _vector(slow))
    geometry = Geometry(Detector((panel,)), Reading(wavelength, unit="A"), Reading(abs(distance), unit="mm"))
    # Read back, so that the spots are made by the very numbers that results record.
    made = parse_crystfel(path, geometry_text(geometry))
    how = f"the beam centre is taken {_AS_PEAKS if as_peaks else _FROM_CORNER}; --beam-centre says otherwise"
    return replace(made, assumed=f"{path}: geometry of its NXmx entries, one flat panel across the beam; {how}")


def _is_there(file: h5py.File, path: str, name: str) -> bool:
    try:
        return find(file, path, name) is not None
    except InputError:
        # A link to another file.
        return True


def _module(file: h5py.File, path: str) -> str:
    """The group of the detector's first module."""
    group = find(file, path, _DETECTOR)
    with errors_of(path, _DETECTOR):
        names = sorted(group) if isinstance(group, h5py.Group) else []
    modules = (f"{_DETECTOR}/{name}" for name in ["module", *names])
    found = (name for name in modules if find(file, path, f"{name}/fast_pixel_direction") is not None)
    return next(found, f"{_DETECTOR}/module")


def _first(file: h5py.File, path: str, names: Sequence[str], units: dict[str, float], without: float) -> float | None:
    """The first number that is there, times the factor of its units; `without` is the factor for unknown units."""
    for name in names:
        node = find(file, path, name)
        if isinstance(node, h5py.Dataset) and node.shape in ((), (1,)):
            dataset = open_dataset(file, path, name, "fiu", node.shape)
            assert dataset is not None
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
