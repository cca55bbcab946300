"""The settings of a simulation: the only place where their defaults and ranges are written."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ..errors import ParameterError
from ..model.cell import Array, cell_from_parameters
from ..model.detector.pixels import FlatDetector
from ..model.lattice import CENTRINGS
from .many_panels import ManyPanels, SimulatedDetector

FALSE_PLACES = ("detector", "resolution")
"""How false spots are spread: evenly over the detector's area, or evenly over 1/d."""

_CHECKS: dict[str, Callable[[Any], bool]] = {
    "above 0": lambda v: v > 0,
    "at least 0": lambda v: v >= 0,
    "between 0 and 1": lambda v: 0 <= v <= 1,
    "between -0.5 and 0.5": lambda v: -0.5 <= v <= 0.5,
    "at least 1": lambda v: v >= 1,
    "any": lambda v: True,
}


def _setting(default: Any, wanted: str, help: str) -> Any:
    """A field whose numbers are all `wanted`."""
    return field(default=default, metadata={"wanted": wanted, "help": help, "range": False})


def _range(default: Any, wanted: str, help: str) -> Any:
    """A field of two numbers, the ends of a range."""
    return field(default=default, metadata={"wanted": wanted, "help": help, "range": True})


@dataclass(frozen=True)
class Scenario:
    """What is simulated. Lengths in angstrom, reciprocal lengths in 1/angstrom, unless the help says otherwise.

    Two numbers of a range are its ends, both included; a frame draws its own value in between.

    Attributes
    ----------
    cells : tuple of (6,)
        a, b, c, alpha, beta, gamma of each kind of crystal; a lattice is of one of them.
    n_spots : (2,) int or None
        None: all spots that are seen.
    beam_centre : (2,) float or None
        None: the middle of the detector.
    panels : ManyPanels or None
        A detector of many panels, which gives distance and size of a pixel, see `with_panels`; None: one flat panel.
    """

    cells: tuple[tuple[float, ...], ...]
    centring: str = _setting("P", "", "lattice centring, the cells are conventional ones")

    wavelength: float = _setting(1.0, "above 0", "wavelength (A)")
    distance: float = _setting(200.0, "above 0", "distance of the detector (mm)")
    pixel_size: float = _setting(75.0, "above 0", "edge of a pixel (um)")
    detector_size: tuple[int, int] = _setting((4148, 4362), "at least 1", "pixels along x and y")
    beam_centre: tuple[float, float] | None = _setting(None, "any", "beam centre in pixels; default: the middle")
    d_min: float = _setting(2.0, "above 0", "highest resolution (A)")
    d_max: float = _setting(50.0, "above 0", "lowest resolution, the beam stop's edge (A)")

    spot_radius: float = _setting(0.0015, "above 0", "lattice points this near to the Ewald sphere are seen (1/A)")
    mosaicity: float = _setting(0.0, "at least 0", "adds |q| times this to the spot radius (rad)")
    # Below a crystal's own: peaks stand out of a background that falls off too. With 4, the 30 strongest spots of
    # lysozyme have the resolutions of peaks found on real stills.
    b_factor: float = _setting(4.0, "at least 0", "intensities fall as exp(-B / (2 d^2)) (A^2)")
    lattices: tuple[int, int] = _range((1, 1), "at least 0", "lattices on a frame")
    lattice_scale: tuple[float, float] = _range(
        (0.3, 1.0), "above 0", "intensity of the second and further lattices over the first's"
    )
    cell_spread: float = _setting(0.0, "between 0 and 1", "scatter of a crystal's a, b, c, a share of them (rms)")
    angle_spread: float = _setting(0.0, "at least 0", "scatter of a crystal's angles (degrees rms)")
    blank_share: float = _setting(0.0, "between 0 and 1", "share of frames without a crystal")

    n_spots: tuple[int, int] | None = _range((60, 120), "at least 0", "spots on a frame, the strongest")
    false_share: tuple[float, float] = _range((0.0, 0.0), "between 0 and 1", "share of these spots that are false")
    false_spots: tuple[int, int] = _range((0, 0), "at least 0", "further false spots")
    false_place: str = _setting("detector", "", "false spots spread evenly over the detector's area or over 1/d")
    position_noise: float = _setting(0.6, "at least 0", "noise of a spot's position along x and along y (pixels rms)")

    cell_error: tuple[float, float, float] = _setting(
        (0.0, 0.0, 0.0), "between -0.5 and 0.5", "the input cell's a, b, c are wrong by these shares"
    )
    distance_error: float = _setting(
        0.0, "between -0.5 and 0.5", "spots are computed with a distance wrong by this share"
    )
    beam_centre_error: tuple[float, float] = _setting(
        (0.0, 0.0), "any", "spots are computed with a beam centre wrong by these pixels"
    )

    panels: ManyPanels | None = None

    def __post_init__(self) -> None:
        """Check every setting against its range.

        Raises
        ------
        ParameterError
            Naming the setting, its value and the range.
        CellError
            When there is no such cell.
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
        value, wanted = getattr(self, f.name), f.metadata.get("wanted")
        if not wanted or value is None:
            return
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(math.isfinite(v) and _CHECKS[wanted](v) for v in numbers):
            raise ParameterError(f.name, value, f"finite, {wanted}")
        if f.metadata["range"] and numbers[0] > numbers[1]:
            raise ParameterError(f.name, value, "the smaller number first")

    @property
    def true_cells(self) -> Array:
        """Cells of the crystals, before their scatter, (M, 3, 3)."""
        return np.stack([cell_from_parameters(cell) for cell in self.cells])

    @property
    def input_cells(self) -> Array:
        """The input cells of an indexer: the true ones with `cell_error`, (M, 3, 3), angstrom."""
        factor = np.concatenate([1 + np.array(self.cell_error), np.ones(3)])
        return np.stack([cell_from_parameters(np.array(cell) * factor) for cell in self.cells])

    def with_panels(self, panels: ManyPanels) -> Scenario:
        """The scenario on a detector of many panels; the errors of beam centre and distance are the detector's."""
        panels = panels.off(self.beam_centre_error, self.distance_error)
        size = panels.true.pixel * 1e3
        return dataclasses.replace(self, panels=panels, distance=panels.distance, pixel_size=size)

    @property
    def detector(self) -> SimulatedDetector:
        """The detector at its true place."""
        return self._flat if self.panels is None else self.panels

    @property
    def _flat(self) -> FlatDetector:
        middle = (self.detector_size[0] / 2, self.detector_size[1] / 2)
        return FlatDetector(self.distance, self.pixel_size, self.detector_size, self.beam_centre or middle)

    @property
    def assumed_detector(self) -> SimulatedDetector:
        """Where the detector is taken to be when spots are computed, with the errors of distance and beam centre."""
        if self.panels is not None:
            return self.panels.assumed
        true = self._flat
        centre = (true.beam_centre[0] + self.beam_centre_error[0], true.beam_centre[1] + self.beam_centre_error[1])
        return dataclasses.replace(true, distance=true.distance * (1 + self.distance_error), beam_centre=centre)

    def as_json(self) -> str:
        """All settings as one JSON object, in the order of their definition; panels by their geometry file."""
        settings = dataclasses.asdict(dataclasses.replace(self, panels=None))
        settings["panels"] = self.panels and self.panels.geometry.text
        return json.dumps(settings)
