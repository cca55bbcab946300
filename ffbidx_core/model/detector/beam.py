"""Where the beam meets panels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .panels import Detector, Panel

_FAR = 2.0**20
"""Distance, mm, that puts any detector behind the sample; a power of 2, which costs the fewest digits."""
_ALONG_BEAM = 0.05
"""Sine of the angle between a panel and the beam, below which they do not really meet."""


def beam_on_panel(detector: Detector, place: ArrayLike = (0.0, 0.0)) -> tuple[float, float]:
    """Where the beam, or what is (2,) mm beside it, meets the first panel's plane: fs and ss in the data."""
    panel = detector.panels[0]
    steps = np.column_stack([panel.fast[:2], panel.slow[:2]])
    fs, ss = np.linalg.solve(steps, np.asarray(place) - panel.corner[:2])
    return float(panel.first[0] + fs), float(panel.first[1] + ss)


def offset_along_beam(detector: Detector) -> float:
    """How much farther than the distance of its geometry a detector is where the beam meets it, mm.

    In CrystFEL's geometries that is the `coffset` of the panel that the beam hits. Where the beam meets no panel it is
    the mean of all panels' offsets.
    """
    try:
        return distance_along_beam(detector.moved((0.0, 0.0, _FAR)).panels) - _FAR
    except ValueError:
        return detector.mean_offset


def distance_along_beam(panels: Sequence[Panel]) -> float:
    """Where the beam meets the plane of the panel that it hits, or passes nearest by, mm.

    Parameters
    ----------
    panels
        Their corners measured from the sample.

    Raises
    ------
    ValueError
        When all panels lie along the beam or behind the sample.
    """
    best, nearest = 0.0, np.inf
    for panel in panels:
        corner, fast, slow = np.array(panel.corner), np.array(panel.fast), np.array(panel.slow)
        normal = np.cross(fast, slow)
        if not np.isfinite([*corner, *normal]).all():
            raise ValueError("a panel whose place is no number")
        if abs(normal[2]) <= _ALONG_BEAM * np.linalg.norm(normal):
            continue
        distance = float(corner @ normal / normal[2])
        if not 0 < distance < np.inf:
            continue
        # How far outside the panel, in pixels.
        size = np.array(panel.last) - np.array(panel.first) + 1
        place = np.linalg.lstsq(np.column_stack([fast, slow]), (0, 0, distance) - corner, rcond=None)[0]
        off = float(np.linalg.norm(place - np.clip(place, 0, size)))
        if off < nearest:
            best, nearest = distance, off
    if nearest == np.inf:
        raise ValueError("the detector does not lie across the beam behind the sample")
    return best
