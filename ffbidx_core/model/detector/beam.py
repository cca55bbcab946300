"""The point at which the direct beam meets the panels of a detector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .panels import Detector, Panel

_FAR = 2.0**20
"""Distance in mm that puts any detector behind the sample; a power of 2, so that adding it loses the fewest digits."""
_ALONG_BEAM = 0.05
"""Sine of the angle between a panel and the beam below which the panel counts as parallel to the beam."""


def beam_on_panel(detector: Detector, place: ArrayLike = (0.0, 0.0)) -> tuple[float, float]:
    """The pixel, fs and ss in the data, at which the beam meets the plane of the first panel.

    `place` (2,), mm, moves the point in x and y away from the beam.
    """
    panel = detector.panels[0]
    steps = np.column_stack([panel.fast[:2], panel.slow[:2]])
    fs, ss = np.linalg.solve(steps, np.asarray(place) - panel.corner[:2])
    return float(panel.first[0] + fs), float(panel.first[1] + ss)


def offset_along_beam(detector: Detector) -> float:
    """Offset in mm, along the beam, of the point where the beam meets a detector from the distance of its geometry.

    In CrystFEL's geometries the offset is the `coffset` of the panel that the beam hits. Where the beam meets no panel,
    the mean offset of all panels stands for it.
    """
    try:
        return distance_along_beam(detector.moved((0.0, 0.0, _FAR)).panels) - _FAR
    except ValueError:
        return detector.mean_offset


def distance_along_beam(panels: Sequence[Panel]) -> float:
    """Distance in mm from the sample to the plane of the panel that the beam hits, or else passes most closely.

    Parameters
    ----------
    panels
        Panels whose corners are measured from the sample.

    Raises
    ------
    ValueError
        If no panel lies across the beam downstream of the sample, or the position of a panel is not finite.
    """
    best, nearest = 0.0, np.inf
    for panel in panels:
        corner, fast, slow = np.array(panel.corner), np.array(panel.fast), np.array(panel.slow)
        normal = np.cross(fast, slow)
        if not np.isfinite([*corner, *normal]).all():
            raise ValueError("the position of a panel is not finite")
        if abs(normal[2]) <= _ALONG_BEAM * np.linalg.norm(normal):
            continue
        distance = float(corner @ normal / normal[2])
        if not 0 < distance < np.inf:
            continue
        # Distance from the beam to the edge of the panel, in pixels; 0 if the beam hits the panel.
        size = np.array(panel.last) - np.array(panel.first) + 1
        place = np.linalg.lstsq(np.column_stack([fast, slow]), (0, 0, distance) - corner, rcond=None)[0]
        off = float(np.linalg.norm(place - np.clip(place, 0, size)))
        if off < nearest:
            best, nearest = distance, off
    if nearest == np.inf:
        raise ValueError("the detector does not lie across the beam behind the sample")
    return best
