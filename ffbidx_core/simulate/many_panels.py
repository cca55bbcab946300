"""Detectors of many panels for simulated stills, and how panels are put elsewhere than their file says."""

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

MOTION = np.array([1.0, 1.0, 0.5, 2.5, 2.5, 2.5])
"""Sizes of the motions of a node, in relation to each other: pixels along x, y, z, milliradian about them."""
LARGEST = 1000.0
"""Pixels by which no panel is off."""
LEVELS = (0.5, 1.0, 0.1)
"""How much the largest groups, groups within groups, and panels within their group move, in relation to each other."""


class SimulatedDetector(Protocol):
    """A detector of one or of many panels; its pixels are (n, 2), or (n, 3) with the number of the panel."""

    def spots(self, pixels: Array, wavelength: float) -> Array:
        """Spots (n, 3), 1/angstrom, seen at pixels."""

    def pixels(self, spots: Array, wavelength: float) -> Array:
        """Pixels where spots (n, 3) are seen."""

    def holds(self, pixels: Array) -> NDArray[np.bool_]:
        """Which pixels are on the detector, (n,)."""

    def around_beam(self, offsets: Array) -> Array:
        """Pixels that lie (n, 2) pixels beside the beam."""

    @property
    def corners(self) -> Array:
        """Pixels of corners, outside of which there is nothing."""

    def as_text(self, wavelength: float) -> str:
        """The detector as a geometry file."""


@dataclass(frozen=True)
class ManyPanels:
    """A detector of many panels, at its true place and where its file has it.

    Attributes
    ----------
    geometry : Geometry
        The geometry as its file has it.
    given_distance : float
        Distance of the detector as the geometry has it, mm; panels have offsets from there.
    true, given : PlacedPanels
        Where panels are, and where the file has them.
    """

    geometry: Geometry
    given_distance: float
    true: PlacedPanels
    given: PlacedPanels

    @classmethod
    def of(cls, geometry: Geometry, distance: float | None = None) -> ManyPanels:
        """The detector of a geometry, at a distance (mm) where the geometry has none.

        Raises
        ------
        ParameterError
            When there is no distance.
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
        """Mean distance of the panels' middles along the beam, mm."""
        return float(self.true.centre[:, 2].mean())

    @property
    def tree(self) -> PanelTree:
        """The panels' rigid groups: those that the file names, else panels that are near each other."""
        return PanelTree.of(self.given, self.geometry.groups or groups_by_nearness(self.given))

    def off(self, beam: tuple[float, float], distance: float) -> ManyPanels:
        """The detector moved so that its file has a beam wrong by so many pixels, and a distance by that share."""
        x, y = (float(v) * self.true.pixel for v in beam)
        farther = self.distance / (1 + distance) - self.distance
        return replace(self, true=replace(self.true, corner=self.true.corner + np.array([x, y, farther])))

    def shares(self, *, alone: bool = False) -> Array:
        """How much the nodes of the tree (n,) move in a disturbance, in relation to each other.

        Parameters
        ----------
        alone
            Panels move each by itself, and groups not.
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

    def disturbed(self, size: float, rng: np.random.Generator, *, alone: bool = False) -> ManyPanels:
        """The detector with its panels elsewhere than the file has them.

        Parameters
        ----------
        size
            Pixels, rms of both coordinates of points on the panels as they are seen along the ray.
        rng
            Motions are normal numbers, those of the groups and panels as `LEVELS` says.
        alone
            Panels move each by itself, and groups not.

        Raises
        ------
        ParameterError
            When the size is no number of pixels.
        """
        if not 0 <= size < LARGEST:
            raise ParameterError("panels_off", size, f"at least 0 and below {LARGEST:g} pixels")
        shares = self.shares(alone=alone)
        motion = self.tree.of_panels(rng.standard_normal((len(shares), 6)) * MOTION * shares[:, None])
        # Seen shifts grow a little faster or slower than motions.
        for _ in range(3):
            moved = without_turn(self.true.moved(motion), self.true)
            motion *= size / max(float(np.sqrt(np.mean(self.true.shifts_seen(moved) ** 2))), 1e-9)
        return replace(self, true=without_turn(self.true.moved(motion), self.true))

    @property
    def assumed(self) -> ManyPanels:
        """The detector where its file has it."""
        return replace(self, true=self.given)

    def spots(self, pixels: Array, wavelength: float) -> Array:
        """Spots (n, 3), 1/angstrom, seen at pixels (n, 3)."""
        return self.true.spots(pixels, wavelength)

    def pixels(self, spots: Array, wavelength: float) -> Array:
        """Pixels (n, 3) where spots (n, 3) are seen."""
        return self.true.meet(spots * wavelength + (0.0, 0.0, 1.0))

    def holds(self, pixels: Array) -> NDArray[np.bool_]:
        """Which pixels (n, 3) are on a panel."""
        return np.asarray(pixels[:, 2] != NO_PANEL, dtype=np.bool_)

    def around_beam(self, offsets: Array) -> Array:
        """Pixels (n, 3) that are seen, from the sample, (n, 2) pixels beside the beam."""
        return self.true.meet(np.column_stack([offsets * self.true.pixel, np.full(len(offsets), self.distance)]))

    @property
    def corners(self) -> Array:
        """Pixels (4 P, 3) of the corners of the panels."""
        ends = [(f, s) for f in (0, 1) for s in (0, 1)]
        return np.concatenate(
            [
                np.column_stack([self.true.first + end * self.true.size, np.arange(self.true.n_panels)])
                for end in np.array(ends, dtype=np.float64)
            ]
        )

    def as_text(self, wavelength: float) -> str:
        """The geometry file, as it is."""
        return self.geometry.text

    def true_text(self, wavelength: float) -> str:
        """The true places as a CrystFEL geometry file."""
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
    """Panels without their common turn about the beam from another place, which no still shows."""
    there, here = (each.points()[:, :, :2].reshape(-1, 2) for each in (panels, about))
    off = there - here
    angle = float(np.sum(here[:, 0] * off[:, 1] - here[:, 1] * off[:, 0]) / np.sum(here**2))
    cosine, sine = np.cos(-angle), np.sin(-angle)
    turn = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1.0]])
    return replace(panels, corner=panels.corner @ turn, fast=panels.fast @ turn, slow=panels.slow @ turn)
