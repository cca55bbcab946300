"""Conversion from and to the detector and beam models of dxtbx, the library of DIALS, and its laboratory frame.

A dxtbx model may use any laboratory frame, usually that of imgCIF with the beam along -z; the frame of ffbidx has the
beam along +z. The two differ by a proper rotation that follows from the direction of the beam, so nothing is mirrored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..cell import Array
from .beam import distance_along_beam
from .panels import SMALLEST_PIXEL, Detector, Panel, Vector

SIMPLE, PARALLAX = "SimplePxMmStrategy", "ParallaxCorrectedPxMmStrategy"
"""Names of the two ways in which dxtbx converts pixels to millimetres."""
BEAM = (0.0, 0.0, -1.0)
"""Direction of the beam in models that ffbidx writes, which use imgCIF's frame."""
PERPENDICULAR = 1e-7
"""Cosine of the angle between the edges of a panel up to which dxtbx accepts them."""


def vector_of(values: Sequence[float]) -> Array:
    """Three finite numbers as a vector (3,) float64.

    Raises
    ------
    ValueError
        If there are not three numbers, or one is not finite.
    """
    vector = np.asarray(values, dtype=np.float64)
    if vector.shape != (3,) or not np.isfinite(vector).all():
        raise ValueError(f"{str(values)[:40]} is not a vector")
    return vector


def direction_of(values: Sequence[float]) -> Array:
    """The unit vector (3,) float64 along a vector of three numbers.

    Raises
    ------
    ValueError
        If the numbers are not a vector, or its length is zero or overflows.
    """
    vector = vector_of(values)
    length = np.linalg.norm(vector)
    if not 0 < length < np.inf:
        raise ValueError(f"{str(values)[:40]} is not a direction")
    return np.asarray(vector / length)


def rotation_of_beam(beam: Sequence[float]) -> Array:
    """The rotation R from the frame of a dxtbx model to the frame of ffbidx, v' = R v.

    Parameters
    ----------
    beam : (3,)
        Direction of propagation of the beam in the dxtbx frame, which R turns to +z. The y axis of dxtbx stays as close
        to y as possible.

    Returns
    -------
    (3, 3) float64
        For the usual beam along -z, a half turn about y.

    Raises
    ------
    ValueError
        If `beam` is not a direction.
    """
    z = direction_of(beam)
    up = np.array([0.0, 1.0, 0.0]) if abs(z[1]) < 0.9 else np.array([0.0, 0.0, 1.0])
    x = np.cross(up, z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])


def panels_of_model(detector: Mapping[str, Any], rotation: Array) -> tuple[list[Panel], float]:
    """The panels of a dxtbx detector in the frame of ffbidx.

    Parameters
    ----------
    detector
        Detector model of dxtbx, as in its JSON files.
    rotation : (3, 3)
        Rotation to the frame of ffbidx, see `rotation_of_beam`.

    Returns
    -------
    panels : list of Panel
        Panels whose corners are measured from the detector distance.
    distance : float
        Detector distance, mm.

    Raises
    ------
    KeyError, TypeError, ValueError, IndexError
        If the model differs in structure from those that dxtbx writes.
    """
    placed = [_placed(panel, *_parents(detector.get("hierarchy", {}), i)) for i, panel in enumerate(detector["panels"])]
    panels = []
    for i, (model, (origin, fast, slow)) in enumerate(zip(detector["panels"], placed, strict=True)):
        (dx, dy), (width, height) = model["pixel_size"], model["image_size"]
        if not min(dx, dy) > SMALLEST_PIXEL:
            raise ValueError(f"pixels of {dx:g} x {dy:g} mm")
        panels.append(
            Panel(
                f"p{i}",
                (0, 0),
                (int(width) - 1, int(height) - 1),
                _vector(rotation @ origin),
                _vector(rotation @ fast * dx),
                _vector(rotation @ slow * dy),
                sensor=_sensor(model),
            )
        )
    distance = distance_along_beam(panels)
    return list(Detector(tuple(panels)).moved((0, 0, -distance)).panels), distance


def local_panel(hierarchy: Mapping[str, Any], panel: int, place: tuple[Array, Array, Array]) -> dict[str, list[float]]:
    """Origin and axes of a panel relative to the groups of panels that contain it, as dxtbx's models record them.

    Parameters
    ----------
    hierarchy
        Hierarchy of panel groups in the detector model.
    panel
        Number of the panel.
    place
        Origin (3,) in mm, and fast and slow axis (3,) as unit vectors, in the laboratory frame of dxtbx.

    Returns
    -------
    dict
        Lists of three numbers: `origin` in mm, `fast_axis` and `slow_axis`.
    """
    rotation, shift = _parents(hierarchy, panel)
    origin, fast, slow = place
    vectors = {"origin": origin - shift, "fast_axis": fast, "slow_axis": slow}
    return {name: (rotation.T @ vector).tolist() for name, vector in vectors.items()}


def _sensor(model: Mapping[str, Any]) -> tuple[float, float]:
    """Thickness (mm) and absorption coefficient (1/mm) of a panel whose parallax dxtbx corrects; zeros for another.

    Numbers of the `px_mm_strategy` itself, which older experiment lists have, take precedence over those of the panel.
    """
    strategy = model.get("px_mm_strategy", {})
    if strategy.get("type") != PARALLAX:
        return 0.0, 0.0
    given = strategy.get("t0", model.get("thickness", 0.0)), strategy.get("mu", model.get("mu", 0.0))
    thickness, absorption, _ = vector_of([*given, 0.0])
    return float(thickness), float(absorption)


def _parents(group: Mapping[str, Any], panel: int) -> tuple[Array, Array]:
    """Rotation (3, 3) and shift (3,), mm, from the frame of the innermost group with a panel to the laboratory."""
    rotation, shift = _frame(group) if "origin" in group else (np.eye(3), np.zeros(3))
    for child in group.get("children", ()):
        if child.get("panel") == panel:
            return rotation, shift
        if "children" in child and _holds(child, panel):
            inner, by = _parents(child, panel)
            return rotation @ inner, rotation @ by + shift
    return rotation, shift


def _holds(group: Mapping[str, Any], panel: int) -> bool:
    """Whether a panel belongs to a group or to a group inside it."""
    return any(child.get("panel") == panel or _holds(child, panel) for child in group.get("children", ()))


def _frame(model: Mapping[str, Any]) -> tuple[Array, Array]:
    """Axes of a panel or group as columns (3, 3), and its origin (3,), mm."""
    fast, slow = (vector_of(model[name]) for name in ("fast_axis", "slow_axis"))
    return np.column_stack([fast, slow, np.cross(fast, slow)]), vector_of(model["origin"])


def _placed(panel: Mapping[str, Any], rotation: Array, shift: Array) -> tuple[Array, Array, Array]:
    """Origin (mm), fast and slow axis of a panel in the laboratory frame of dxtbx."""
    axes, origin = _frame(panel)
    return rotation @ origin + shift, rotation @ axes[:, 0], rotation @ axes[:, 1]


def _vector(values: Array) -> Vector:
    x, y, z = (float(v) for v in values)
    return x, y, z


def _rectangular(panel: Panel) -> tuple[Array, Array, Array]:
    """The corner, fast and slow step of a panel, mm; one whose edges are skew becomes a rectangle about its centre.

    The models of DIALS have perpendicular edges. The corners of a panel move by half of its skew times its edges.
    """
    corner, fast, slow = np.array(panel.corner), np.array(panel.fast), np.array(panel.slow)
    if abs(fast @ slow) < PERPENDICULAR * np.linalg.norm(fast) * np.linalg.norm(slow):
        return corner, fast, slow
    u, _, vt = np.linalg.svd(np.stack([fast, slow]), full_matrices=False)
    size = np.array(panel.last) - panel.first + 1
    made = np.array([[np.linalg.norm(fast)], [np.linalg.norm(slow)]]) * (u @ vt)
    return corner + size @ (np.stack([fast, slow]) - made) / 2, made[0], made[1]


def model_of_detector(detector: Detector, distance: float) -> dict[str, Any]:
    """The dxtbx model of a detector at a distance in mm, in the frame with the beam along `BEAM`."""
    back = rotation_of_beam(BEAM).T
    panels = []
    for panel in detector.panels:
        corner, fast, slow = _rectangular(panel)
        origin = corner + np.array([0, 0, distance])
        size = [float(np.linalg.norm(fast)), float(np.linalg.norm(slow))]
        panels.append(
            {
                "name": panel.name,
                "type": "SENSOR_PAD",
                "identifier": "",
                "fast_axis": (back @ fast / size[0]).tolist(),
                "slow_axis": (back @ slow / size[1]).tolist(),
                "origin": (back @ origin).tolist(),
                "raw_image_offset": list(panel.first),
                "image_size": [panel.last[i] - panel.first[i] + 1 for i in range(2)],
                "pixel_size": size,
                "trusted_range": [0.0, 2.0**31],
                "thickness": panel.sensor[0],
                "material": "",
                "mu": panel.sensor[1],
                "mask": [],
                "gain": 1.0,
                "pedestal": 0.0,
                "px_mm_strategy": {"type": PARALLAX if all(panel.sensor) else SIMPLE},
            }
        )
    root = {"fast_axis": [1.0, 0.0, 0.0], "slow_axis": [0.0, 1.0, 0.0], "origin": [0.0, 0.0, 0.0]}
    children = [{"panel": i} for i in range(len(panels))]
    hierarchy = {
        "name": "",
        "type": "",
        "identifier": "",
        **root,
        "trusted_range": [0.0, 2.0**31],
        "thickness": 0.0,
        "material": "",
        "mu": 0.0,
        "mask": [],
        "gain": 1.0,
        "pedestal": 0.0,
        "raw_image_offset": [0, 0],
        "image_size": [0, 0],
        "pixel_size": [0.0, 0.0],
        "px_mm_strategy": {"type": SIMPLE},
        "children": children,
    }
    return {"panels": panels, "hierarchy": hierarchy}


def model_of_beam(wavelength: float) -> dict[str, Any]:
    """The dxtbx model of a beam along `BEAM` with a wavelength in angstrom; its direction points to the source."""
    return {
        "__id__": "monochromatic",
        "direction": [-v for v in BEAM],
        "wavelength": wavelength,
        "divergence": 0.0,
        "sigma_divergence": 0.0,
        "polarization_normal": [0.0, 1.0, 0.0],
        "polarization_fraction": 0.999,
        "flux": 0.0,
        "transmission": 1.0,
        "probe": "x-ray",
        "sample_to_source_distance": 0.0,
    }
