"""The cases: rows of frames of random lattices with common settings."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffbidx_core.cell_search import Frames
from ffbidx_core.cell_search.bravais import TYPES, bravais, centring_of
from ffbidx_core.errors import CellError, ParameterError
from ffbidx_core.model.basis import centring_basis
from ffbidx_core.model.cell import Array, cell_from_parameters
from ffbidx_core.model.unknown.selling import reduced_cell
from ffbidx_core.simulate import Scenario, SimulatedFrames, simulate

SMALL, MEDIUM, LARGE = (6.0, 30.0), (30.0, 110.0), (110.0, 280.0)
FEW, USUAL, MANY = (8, 14), (15, 30), (40, 100)
D_MIN = {SMALL: 1.0, MEDIUM: 3.0, LARGE: 4.0}
"""Limit of resolution of the frames for each size of cell, angstrom."""


@dataclass(frozen=True)
class Row:
    """A row of cases with common settings.

    Attributes
    ----------
    name : str
        Name of the row.
    axes : (2,) float
        Range of the conventional axes, angstrom.
    spots : (2,) int
        Range of the number of spots of a frame.
    false : float
        Share of false spots.
    frames : int
        Number of frames of a case.
    settings : dict
        Further settings of the simulation.
    second : float
        Share of the frames that show a second cell.
    blank : bool
        Whether all spots are random.
    """

    name: str
    axes: tuple[float, float]
    spots: tuple[int, int]
    false: float
    frames: int = 100
    settings: dict[str, Any] = field(default_factory=dict)
    second: float = 0.0
    blank: bool = False


SIZES = (("6-30 A", SMALL), ("30-110 A", MEDIUM), ("110-280 A", LARGE))


def _row(size: int, spots: tuple[int, int], false: float, frames: int = 100) -> Row:
    """A row with lattices of a size, without errors of the run."""
    name, axes = SIZES[size]
    shown = f"{name}, {spots[0]}-{spots[1]} spots, {false:.0%} false"
    return Row(shown + (f", {frames} frames" if frames != 100 else ""), axes, spots, false, frames)


def _off(name: str, **settings: Any) -> Row:
    """A row with medium cells and an error of the run."""
    return Row(f"30-110 A, {name}", MEDIUM, USUAL, 0.25, settings=settings)


def _blank(size: int, spots: tuple[int, int], frames: int = 60) -> Row:
    """A row of random spots up to the resolution of a size of cell."""
    name = f"blank, {spots[0]}-{spots[1]} spots, {frames} frames, to {D_MIN[SIZES[size][1]]:g} A"
    return Row(name, SIZES[size][1], spots, 1.0, frames, blank=True)


ROWS = (
    *(
        _row(size, spots, false)
        for spots in (FEW, USUAL, MANY)
        for false in ((0.25,) if spots == FEW else (0.25, 0.5))
        for size in (0, 1, 2)
    ),
    _row(1, USUAL, 0.25, 60),
    _row(1, USUAL, 0.5, 200),
    _row(2, USUAL, 0.5, 200),
    *(_row(size, FEW, 0.5, 500) for size in (0, 1, 2)),
    Row("30-110 A, two lattices a frame", MEDIUM, (30, 60), 0.25, settings={"lattices": (2, 2)}),
    Row("30-110 A, 70:30 mixture", MEDIUM, USUAL, 0.25, 200, second=0.3),
    Row("30-110 A, 80:20 mixture", MEDIUM, USUAL, 0.25, 200, second=0.2),
    _off("beam off by 1 px", beam_centre_error=(0.8, 0.6)),
    _off("beam off by 2 and 1 px", beam_centre_error=(2.0, 1.0)),
    _off("beam off by 5 px", beam_centre_error=(4.0, 3.0)),
    _off("distance off by 1%", distance_error=0.01),
    _off("distance off by 2%", distance_error=0.02),
    _off("cells scatter by 0.5%", cell_spread=0.005, angle_spread=0.2),
    *(_blank(size, spots) for spots in (FEW, USUAL, MANY) for size in (0, 1, 2)),
    _blank(1, USUAL, 300),
    _blank(1, FEW, 300),
)


def random_cell(code: str, axes: tuple[float, float], rng: np.random.Generator) -> tuple[float, ...]:
    """Random conventional parameters of a lattice of this type that is not close to a higher symmetry."""
    while True:
        a, b, c = np.exp(rng.uniform(*np.log(axes), 3))
        angles = [90.0, 90.0, 90.0]
        if code[0] == "a":
            angles = list(rng.uniform(70, 110, 3))
        elif code[0] == "m":
            angles[1] = rng.uniform(92, 118)
        elif code[0] == "h":
            angles[2] = 120.0
        if code[0] in "thc":
            b = a
        if code[0] == "c":
            c = a
        parameters = (a, b, c, *angles)
        try:
            cell = centring_basis(centring_of(code)) @ cell_from_parameters(parameters)
        except CellError:
            continue
        if bravais(cell, 0.012).code == code:
            return parameters


def frames_of(row: Row, code: str, seed: int) -> tuple[Frames, list[tuple[str, Array]]]:
    """The frames of a case, and the type and the primitive cell of each of its lattices."""
    stills, parameters, order = _stills(row, code, seed)
    spots = np.concatenate([part.spots for part in stills])
    counts = np.concatenate([np.diff(part.offsets) for part in stills])
    frames = Frames(spots, np.concatenate([[0], np.cumsum(counts)]))
    truth = [(one, reduced_cell(_primitive(one, cell_from_parameters(given)))) for one, given in parameters]
    return frames.take(order), [] if row.blank else truth


def crystals_of(row: Row, code: str, seed: int) -> Array:
    """The oriented primitive cell (n, 3, 3) of the crystal on each frame of a case of one lattice a frame."""
    stills, parameters, order = _stills(row, code, seed)
    parts = zip(stills, parameters, strict=True)
    return np.asarray(np.concatenate([_primitive(one, part.cells) for part, (one, _) in parts])[order])


def _primitive(code: str, cells: Array) -> Array:
    """The primitive cells of conventional ones (..., 3, 3) of a Bravais type."""
    return np.asarray(centring_basis(centring_of(code)) @ cells)


def _stills(
    row: Row, code: str, seed: int
) -> tuple[list[SimulatedFrames], list[tuple[str, tuple[float, ...]]], NDArray[np.int64]]:
    """The stills of each lattice of a case, the type and parameters of each, and the order of all frames."""
    rng = np.random.default_rng((seed, sum(map(ord, row.name))))
    codes = [code, str(rng.choice(TYPES))] if row.second else [code]
    counts = [row.frames - round(row.second * row.frames), round(row.second * row.frames)]
    stills, parameters = [], []
    for one, n in zip(codes, counts, strict=False):
        parameters.append((one, random_cell(one, row.axes, rng)))
        stills.append(_simulated(row, parameters[-1][1], centring_of(one), n, int(rng.integers(1 << 30))))
    return stills, parameters, rng.permutation(sum(part.n_frames for part in stills))


def _simulated(row: Row, parameters: tuple[float, ...], centring: str, n: int, seed: int) -> SimulatedFrames:
    small, large = row.axes == SMALL, row.axes == LARGE
    given = Scenario(
        cells=(parameters,),
        centring=centring,
        n_spots=row.spots,
        false_share=(row.false, row.false),
        d_min=D_MIN[row.axes],
        spot_radius=0.0005 if large else 0.0015,
        distance=100.0 if small else 200.0,
        lattices=(0, 0) if row.blank else (1, 1),
    )
    given = replace(given, **row.settings)
    while True:
        try:
            return simulate(given, n, seed)
        except ParameterError:
            # If the cell shows too few spots, spots become larger, and in the end the resolution higher.
            given = replace(given, spot_radius=given.spot_radius * 1.5, d_min=given.d_min * 0.95)
