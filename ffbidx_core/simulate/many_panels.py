"""Detectors of many panels for simulated stills, and the displacement of panels from the positions in their file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from ..model.cell import Array
from ..model.detector.geometry_file import geometry_text
from ..model.detector.panels import NO_PANEL, Geometry, Reading
from ..model.detector.placed import PlacedPanels
from ..model.detector.tree import PanelTree, groups_by_nearness

MOTION = np.array([1.0, 1.0, 0.35, 1.75, 1.75, 2.8])
"""Relative sizes of the motions of a node: shifts along x, y, z in pixels, rotations about x, y, z in mrad.

Panels of a detector of quadrants and sensors that are 1 px off are then 0.4 px off along the beam, and rotated by 0.15
degrees about it (rms).
"""
LARGEST = 1000.0
"""Upper limit of the displacement of panels, pixels."""
LEVELS = (0.5, 1.0, 0.1)
"""Relative sizes of the motions of the largest groups, of groups within groups, and of panels in their group."""


class SimulatedDetector(Protocol):
    """A detector of one or many panels; pixels are (n, 2), or (n, 3) with the number of the panel."""

    def spots(self, pixels: Array, wavelength: float) -> Array:
        """The spots (n, 3), 1/angstrom, at some pixels."""

    def pixels(self, spots: Array, wavelength: float) -> Array:
        """The pixels at which spots (n, 3), 1/angstrom, are seen."""

    def holds(self, pixels: Array) -> NDArray[np.bool_]:
        """Whether each pixel is on the detector, (n,)."""

    def around_beam(self, offsets: Array) -> Array:
        """The pixels with offsets (n, 2), in pixels, from the beam."""

    @property
    def corners(self) -> Array:
        """The pixels of the corners that enclose the detector."""

    def as_text(self, wavelength: float) -> str:
        """The text of a geometry file of the detector."""


@dataclass(frozen=True)
class ManyPanels:
    """A detector of many panels, with their true positions and the positions in its file.

    Attributes
    ----------
    geometry : Geometry
        The geometry in the file.
    given_distance : float
        Detector distance in the geometry, mm, to which the offsets of panels are added.
    true, given : PlacedPanels
        The true positions of the panels, and the positions in the file.
    """

    geometry: Geometry
    given_distance: float
    true: PlacedPanels
    given: PlacedPanels

    @classmethod
    def of(cls, geometry: Geometry, distance: float | None = None) -> ManyPanels:
        """The detector of a geometry, with a distance (mm) for a geometry that has none.

        Raises
        ------
        ParameterError
            If there is no distance.
        """
        reading = geometry.distance
        if reading is not None and reading.value is not None:
            distance = reading.millimetres
        if distance is None:
            raise ParameterError("distance", None, "given, since the geometry has none")
        placed = PlacedPanels.of(geometry.detector, distance)
        return cls(geometry, distance, placed, placed)

    @property
    def distance(self) -> float:
        """The mean distance of the centres of the panels along the beam, mm."""
        return float(self.true.centre[:, 2].mean())

    @property
    def tree(self) -> PanelTree:
        """The tree of rigid groups of panels: those that the file names, or else groups of neighbouring panels."""
        return PanelTree.of(self.given, self.geometry.groups or groups_by_nearness(self.given))

    def off(self, beam: tuple[float, float], distance: float) -> ManyPanels:
        """The detector moved so that the beam in its file is wrong by `beam` pixels, and the distance by a share."""
        x, y = (float(v) * self.true.pixel for v in beam)
        farther = self.distance / (1 + distance) - self.distance
        return replace(self, true=replace(self.true, corner=self.true.corner + np.array([x, y, farther])))

    def shares(self, *, alone: bool = False) -> Array:
        """The relative sizes (n,) of the motions of the nodes of the tree in a disturbance.

        Parameters
        ----------
        alone
            Whether each panel moves by itself, and groups do not move.
        """
        levels = self.tree.level
        deepest = int(levels.max())
        shares = np.zeros(len(levels))
        for node, level in enumerate(levels.tolist()):
            if level == deepest:
                shares[node] = 1.0 if alone or deepest <= 1 else LEVELS[-1]
            elif level:
                shares[node] = 0.0 if alone else LEVELS[min(level, 2) - 1] if deepest > 2 else 1.0
        return shares

    def disturbed(
        self, size: float, rng: np.random.Generator, *, alone: bool = False, motion: Array = MOTION
    ) -> ManyPanels:
        """The detector with its panels displaced from the positions in the file.

        Parameters
        ----------
        size
            Displacement in pixels: rms over both coordinates of points on the panels, seen along the ray.
        rng
            Source of the motions, which are normally distributed with relative sizes `LEVELS`.
        alone
            Whether each panel moves by itself, and groups do not move.
        motion : (6,)
            Relative sizes of the motions of a node, in the units of `MOTION`.

        Raises
        ------
        ParameterError
            If the size is not a number of pixels in the allowed range.
        """
        if not 0 <= size < LARGEST:
            raise ParameterError("panels_off", size, f"at least 0 and below {LARGEST:g} pixels")
        shares = self.shares(alone=alone)
        moved_by = self.tree.of_panels(rng.standard_normal((len(shares), 6)) * motion * shares[:, None])
        # The visible shifts are not exactly proportional to the motions.
        for _ in range(3):
            moved = without_turn(self.true.moved(moved_by), self.true)
            moved_by *= size / max(float(np.sqrt(np.mean(self.true.shifts_seen(moved) ** 2))), 1e-9)
        return replace(self, true=without_turn(self.true.moved(moved_by), self.true))

    @property
    def assumed(self) -> ManyPanels:
        """The detector with its panels at the positions in the file."""
        return replace(self, true=self.given)

    def spots(self, pixels: Array, wavelength: float) -> Array:
        """The spots (n, 3), 1/angstrom, at pixels (n, 3)."""
        return self.true.spots(pixels, wavelength)

    def pixels(self, spots: Array, wavelength: float) -> Array:
        """The pixels (n, 3) at which spots (n, 3), 1/angstrom, are seen."""
        return self.true.meet(spots * wavelength + (0.0, 0.0, 1.0))

    def holds(self, pixels: Array) -> NDArray[np.bool_]:
        """Whether each pixel (n, 3) is on a panel, (n,)."""
        return np.asarray(pixels[:, 2] != NO_PANEL, dtype=np.bool_)

    def around_beam(self, offsets: Array) -> Array:
        """The pixels (n, 3) that are seen from the sample at offsets (n, 2), in pixels, from the beam."""
        return self.true.meet(np.column_stack([offsets * self.true.pixel, np.full(len(offsets), self.distance)]))

    @property
    def corners(self) -> Array:
        """The pixels (4 P, 3) of the corners of the P panels."""
        ends = [(f, s) for f in (0, 1) for s in (0, 1)]
        return np.concatenate(
            [
                np.column_stack([self.true.first + end * self.true.size, np.arange(self.true.n_panels)])
                for end in np.array(ends, dtype=np.float64)
            ]
        )

    def as_text(self, wavelength: float) -> str:
        """The text of the geometry file, unchanged."""
        return self.geometry.text

    def true_text(self, wavelength: float) -> str:
        """The text of a CrystFEL geometry file with the true positions of the panels."""
        detector = self.true.as_detector(self.geometry.detector, self.given_distance)
        return geometry_text(
            replace(
                self.geometry,
                detector=detector,
                wavelength=Reading(wavelength, unit="A"),
                distance=Reading(self.given_distance, unit="mm"),
            )
        )


def without_turn(panels: PlacedPanels, about: PlacedPanels) -> PlacedPanels:
    """The panels without their common rotation about the beam relative to `about`, which no still shows."""
    there, here = (each.points()[:, :, :2].reshape(-1, 2) for each in (panels, about))
    off = there - here
    angle = float(np.sum(here[:, 0] * off[:, 1] - here[:, 1] * off[:, 0]) / np.sum(here**2))
    cosine, sine = np.cos(-angle), np.sin(-angle)
    turn = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1.0]])
    return replace(panels, corner=panels.corner @ turn, fast=panels.fast @ turn, slow=panels.slow @ turn)
