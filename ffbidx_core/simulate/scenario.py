"""The settings of a simulation, with their defaults and ranges, which are written nowhere else."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ..errors import ParameterError
from ..model.basis import CENTRINGS
from ..model.cell import Array, cell_from_parameters
from ..model.detector.pixels import FlatDetector
from ..ranges import LARGEST, SHORTEST, above_zero, at_least, between, within
from .many_panels import ManyPanels, SimulatedDetector

FALSE_PLACES = ("detector", "resolution")
"""Distributions of false spots: uniform over the area of the detector, or uniform over 1/d."""


def _setting(default: Any, help: str, *, wanted: str = "", check: Callable[[Any], bool] | None = None) -> Any:
    """A field whose numbers must all be in the range that `wanted` describes and `check` tests."""
    return field(default=default, metadata={"wanted": wanted, "check": check, "help": help, "range": False})


def _range(default: Any, help: str, *, wanted: str, check: Callable[[Any], bool]) -> Any:
    """A field of two numbers, which are the ends of a range."""
    return field(default=default, metadata={"wanted": wanted, "check": check, "help": help, "range": True})


@dataclass(frozen=True)
class Scenario:
    """The settings of a simulation; lengths are in angstrom, reciprocal lengths in 1/angstrom, unless the help differs.

    The two numbers of a range are its ends, both included; each frame draws its own value from the range.

    Attributes
    ----------
    cells : tuple of (6,)
        Parameters a, b, c (angstrom), alpha, beta, gamma (degrees) of each kind of crystal; a lattice has one of them.
    n_spots : (2,) int or None
        Range of the number of spots on a frame; None: all visible spots.
    beam_centre : (2,) float or None
        Beam centre in pixels; None: the middle of the detector.
    panels : ManyPanels or None
        A detector of many panels, which gives distance and pixel size (see `with_panels`); None: one flat panel.
    """

    cells: tuple[tuple[float, ...], ...]
    centring: str = _setting("P", "lattice centring; the cells are conventional cells")

    wavelength: float = _setting(1.0, "wavelength (A)", **at_least(SHORTEST, 100))
    distance: float = _setting(200.0, "distance of the detector (mm)", **above_zero(100_000))
    pixel_size: float = _setting(75.0, "edge of a pixel (um)", **above_zero(100_000))
    detector_size: tuple[int, int] = _setting((4148, 4362), "pixels along x and y", **at_least(1))
    beam_centre: tuple[float, float] | None = _setting(
        None, "beam centre in pixels; default: the middle", **within(LARGEST)
    )
    d_min: float = _setting(2.0, "limit of high resolution (A)", **at_least(SHORTEST))
    d_max: float = _setting(50.0, "limit of low resolution, given by the beam stop (A)", **at_least(SHORTEST))

    spot_radius: float = _setting(
        0.0015, "largest distance from the Ewald sphere at which lattice points are seen (1/A)", **above_zero(1)
    )
    mosaicity: float = _setting(0.0, "mosaicity, which times |q| is added to the spot radius (rad)", **at_least(0, 1))
    # The value is below that of a crystal, because peaks must stand out of a background that also falls off. With 4,
    # the 30 strongest spots of lysozyme have the resolutions of peaks found on real stills.
    b_factor: float = _setting(4.0, "intensities fall as exp(-B / (2 d^2)) (A^2)", **at_least(0, 10_000))
    lattices: tuple[int, int] = _range((1, 1), "lattices on a frame", **at_least(0, 1000))
    lattice_scale: tuple[float, float] = _range(
        (0.3, 1.0), "intensity of further lattices relative to the first", **above_zero()
    )
    cell_spread: float = _setting(0.0, "relative scatter of a, b, c of a crystal (rms)", **between(0, 1))
    angle_spread: float = _setting(0.0, "scatter of the cell angles of a crystal (degrees rms)", **at_least(0, 90))
    blank_share: float = _setting(0.0, "share of frames without a crystal", **between(0, 1))

    n_spots: tuple[int, int] | None = _range(
        (60, 120), "number of spots on a frame; the strongest are kept", **at_least(0)
    )
    false_share: tuple[float, float] = _range((0.0, 0.0), "share of these spots that are false", **between(0, 1))
    false_spots: tuple[int, int] = _range((0, 0), "number of further false spots", **at_least(0))
    false_place: str = _setting("detector", "distribution of false spots: uniform over the detector's area or over 1/d")
    position_noise: float = _setting(
        0.6, "noise of spot positions along x and along y (pixels rms)", **at_least(0, 10_000)
    )

    cell_error: tuple[float, float, float] = _setting(
        (0.0, 0.0, 0.0), "relative errors of a, b, c of the input cell", **between(-0.5, 0.5)
    )
    distance_error: float = _setting(
        0.0, "relative error of the distance with which spots are computed", **between(-0.5, 0.5)
    )
    beam_centre_error: tuple[float, float] = _setting(
        (0.0, 0.0), "error in pixels of the beam centre with which spots are computed", **within(LARGEST)
    )

    panels: ManyPanels | None = None

    def __post_init__(self) -> None:
        """Check every setting against its range.

        Raises
        ------
        ParameterError
            If a setting is out of its range; the error names the setting, its value and the range.
        CellError
            If there is no cell with these parameters.
        """
        for f in fields(self):
            self._check(f)
        if self.d_min >= self.d_max:
            raise ParameterError("d_min", self.d_min, f"below d_max = {self.d_max:g}")
        for name, words in (("centring", CENTRINGS), ("false_place", FALSE_PLACES)):
            if getattr(self, name) not in words:
                raise ParameterError(name, getattr(self, name), "one of " + ", ".join(words))
        if not self.cells:
            raise ParameterError("cells", self.cells, "at least one cell")
        _ = self.true_cells

    def _check(self, f: dataclasses.Field[Any]) -> None:
        value, check = getattr(self, f.name), f.metadata.get("check")
        if check is None or value is None:
            return
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(check(v) for v in numbers):
            raise ParameterError(f.name, value, f.metadata["wanted"])
        if f.metadata["range"] and numbers[0] > numbers[1]:
            raise ParameterError(f.name, value, "the smaller number first")

    @property
    def true_cells(self) -> Array:
        """The cells of the crystals without their scatter, (M, 3, 3), angstrom."""
        return np.stack([cell_from_parameters(cell) for cell in self.cells])

    @property
    def input_cells(self) -> Array:
        """The input cells (M, 3, 3) for an indexer, angstrom: the true cells with `cell_error`."""
        factor = np.concatenate([1 + np.array(self.cell_error), np.ones(3)])
        return np.stack([cell_from_parameters(np.array(cell) * factor) for cell in self.cells])

    def with_panels(self, panels: ManyPanels) -> Scenario:
        """The scenario on a detector of many panels, which has its own errors of beam centre and distance."""
        panels = panels.off(self.beam_centre_error, self.distance_error)
        size = panels.true.pixel * 1e3
        return dataclasses.replace(self, panels=panels, distance=panels.distance, pixel_size=size)

    @property
    def detector(self) -> SimulatedDetector:
        """The detector at its true position."""
        return self._flat if self.panels is None else self.panels

    @property
    def _flat(self) -> FlatDetector:
        middle = (self.detector_size[0] / 2, self.detector_size[1] / 2)
        return FlatDetector(self.distance, self.pixel_size, self.detector_size, self.beam_centre or middle)

    @property
    def assumed_detector(self) -> SimulatedDetector:
        """The detector with the errors of distance and beam centre, with which spots are computed."""
        if self.panels is not None:
            return self.panels.assumed
        true = self._flat
        centre = (true.beam_centre[0] + self.beam_centre_error[0], true.beam_centre[1] + self.beam_centre_error[1])
        return dataclasses.replace(true, distance=true.distance * (1 + self.distance_error), beam_centre=centre)

    def as_json(self) -> str:
        """All settings as one JSON object, in the order of their definition; panels as their geometry file."""
        settings = dataclasses.asdict(dataclasses.replace(self, panels=None))
        settings["panels"] = self.panels and self.panels.geometry.text
        return json.dumps(settings)
