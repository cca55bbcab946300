"""The simulation of one still: crystals in random orientations, their visible spots, and false spots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import CellError, ParameterError
from ..model.basis import is_allowed
from ..model.cell import Array, cell_from_parameters, reciprocal
from ..model.ewald import indices_near_sphere
from .scenario import Scenario

TRIES = 200
"""Largest number of orientations tried until a frame has as many spots as required."""


@dataclass(frozen=True)
class Still:
    """A frame of n spots, the strongest first, and k lattices.

    Attributes
    ----------
    spots : (n, 3) float64
        Spots on the Ewald sphere, 1/angstrom, as computed with the assumed detector.
    pixels : (n, 2) or (n, 3) float64
        Pixels at which spots were seen; with the number of the panel if there are many panels.
    intensity : (n,) float64
        Intensity of each spot, in arbitrary units.
    lattice : (n,) int64
        Number of the lattice to which a spot belongs; -1 for a false spot.
    hkl : (n, 3) int64
        Miller indices of each spot; zeros for a false spot.
    cells : (k, 3, 3) float64
        The oriented cells of the lattices, rows a, b, c, angstrom.
    input_cell : (k,) int64
        Number of the cell in the scenario for each lattice.
    """

    spots: Array
    pixels: Array
    intensity: Array
    lattice: NDArray[np.int64]
    hkl: NDArray[np.int64]
    cells: Array
    input_cell: NDArray[np.int64]


@dataclass(frozen=True)
class _Seen:
    """True spots before noise, as parallel arrays like those of `Still`."""

    pixels: Array
    intensity: Array
    lattice: NDArray[np.int64]
    hkl: NDArray[np.int64]

    def strongest(self, n: int) -> _Seen:
        best = np.argsort(-self.intensity, kind="stable")[:n]
        return _Seen(self.pixels[best], self.intensity[best], self.lattice[best], self.hkl[best])


def simulate_still(scenario: Scenario, seed: int, index: int) -> Still:
    """Simulate frame `index`, whose random numbers depend only on (seed, index).

    Raises
    ------
    ParameterError
        If the scenario cannot give as many spots as it asks for.
    """
    rng = np.random.default_rng((seed, index))
    n_lattices = _between(scenario.lattices, rng)
    if rng.random() < scenario.blank_share:
        n_lattices = 0
    n_true, n_false = _spot_numbers(scenario, n_lattices, rng)
    for _ in range(TRIES):
        cells, kinds = _crystals(scenario, n_lattices, rng)
        seen = _seen_spots(cells, scenario, rng)
        if n_true is None or len(seen.hkl) >= n_true:
            break
    else:
        raise ParameterError(
            "n_spots", scenario.n_spots, f"fewer: the cell shows {len(seen.hkl)} spots (more with a larger spot radius)"
        )
    if n_true is None:
        n_true, n_false = len(seen.hkl), n_false + _false_among(len(seen.hkl), scenario, rng)
    return _still(seen.strongest(n_true), n_false, cells, kinds, scenario, rng)


def _between(ends: tuple[int, int], rng: np.random.Generator) -> int:
    return int(rng.integers(ends[0], ends[1] + 1))


def _spot_numbers(scenario: Scenario, n_lattices: int, rng: np.random.Generator) -> tuple[int | None, int]:
    """The numbers of true spots (None: all visible spots) and of false spots of a frame."""
    further = _between(scenario.false_spots, rng)
    if scenario.n_spots is None:
        return None, further
    n = _between(scenario.n_spots, rng)
    # The number is rounded up or down at random, so that the mean share is the requested one.
    n_false = int(n * rng.uniform(*scenario.false_share) + rng.random()) if n_lattices else n
    n_false = min(n_false, n)
    return n - n_false, n_false + further


def _false_among(n_true: int, scenario: Scenario, rng: np.random.Generator) -> int:
    """The number of false spots that gives the requested share beside n true spots."""
    share = rng.uniform(*scenario.false_share)
    return int(n_true * share / max(1 - share, 0.01) + rng.random())


def _crystals(scenario: Scenario, n: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
    """Cells (n, 3, 3) of crystals with random scatter and orientation, and the number of each in the scenario."""
    kinds = rng.integers(len(scenario.cells), size=n)
    cells = np.empty((n, 3, 3))
    for i, kind in enumerate(kinds):
        parameters = np.array(scenario.cells[kind], dtype=np.float64)
        parameters[:3] *= 1 + scenario.cell_spread * rng.standard_normal(3)
        parameters[3:] += scenario.angle_spread * rng.standard_normal(3)
        try:
            cells[i] = cell_from_parameters(parameters) @ random_rotation(rng)
        except CellError:
            name = "angle_spread" if scenario.angle_spread > 0 else "cell_spread"
            raise ParameterError(
                name, getattr(scenario, name), "smaller: it makes angles and lengths of no cell"
            ) from None
    return cells, kinds


def random_rotation(rng: np.random.Generator) -> Array:
    """A random rotation matrix, with every orientation equally likely."""
    w, x, y, z = (q := rng.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _seen_spots(cells: Array, scenario: Scenario, rng: np.random.Generator) -> _Seen:
    """All spots of some lattices that are on the detector, without noise."""
    parts = [_spots_of_lattice(cell, i, scenario, rng) for i, cell in enumerate(cells)]
    if not parts:
        return _Seen(
            scenario.detector.around_beam(np.empty((0, 2))),
            np.empty(0),
            np.empty(0, np.int64),
            np.empty((0, 3), np.int64),
        )
    return _Seen(*(np.concatenate([getattr(part, name) for part in parts]) for name in _Seen.__dataclass_fields__))


def _spots_of_lattice(cell: Array, lattice: int, scenario: Scenario, rng: np.random.Generator) -> _Seen:
    q_max = 1 / scenario.d_min
    widest = scenario.spot_radius + scenario.mosaicity * q_max
    hkl = indices_near_sphere(cell, scenario.wavelength, q_max, widest)
    hkl = hkl[is_allowed(hkl, scenario.centring)]
    q = hkl @ reciprocal(cell)
    length = np.linalg.norm(q, axis=1)
    beam = np.array([0, 0, 1 / scenario.wavelength])
    excitation = np.linalg.norm(q + beam, axis=1) - 1 / scenario.wavelength
    depth = excitation / (scenario.spot_radius + scenario.mosaicity * length)
    pixels = scenario.detector.pixels(q, scenario.wavelength)
    seen = (np.abs(depth) < 1) & (length >= 1 / scenario.d_max) & scenario.detector.holds(pixels)

    hkl, pixels, length, depth = hkl[seen], pixels[seen], length[seen], depth[seen]
    # Intensities follow Wilson statistics of acentric reflections, a fall-off, and the part cut by the sphere.
    intensity = rng.standard_exponential(len(hkl)) * np.exp(-scenario.b_factor / 2 * length**2) * (1 - depth**2)
    if lattice > 0:
        intensity *= rng.uniform(*scenario.lattice_scale)
    return _Seen(pixels, intensity, np.full(len(hkl), lattice), hkl)


def _still(
    true: _Seen, n_false: int, cells: Array, kinds: NDArray[np.int64], scenario: Scenario, rng: np.random.Generator
) -> Still:
    """A still of true spots with noise and of false spots, sorted by intensity."""
    n_true = len(true.hkl)
    noisy = true.pixels.copy()
    noisy[:, :2] += scenario.position_noise * rng.standard_normal((n_true, 2))
    pixels = np.concatenate([noisy, _false_pixels(n_false, scenario, rng)])
    false_intensity = rng.choice(true.intensity, n_false) if n_true else rng.standard_exponential(n_false)
    intensity = np.concatenate([true.intensity, false_intensity])
    order = np.argsort(-intensity, kind="stable")
    pixels = pixels[order]
    return Still(
        spots=scenario.assumed_detector.spots(pixels, scenario.wavelength),
        pixels=pixels,
        intensity=intensity[order],
        lattice=np.concatenate([true.lattice, np.full(n_false, -1)])[order],
        hkl=np.concatenate([true.hkl, np.zeros((n_false, 3), np.int64)])[order],
        cells=cells,
        input_cell=kinds,
    )


def _false_pixels(n: int, scenario: Scenario, rng: np.random.Generator) -> Array:
    """Draw pixels (n, 2 or 3) of false spots within the resolution limits.

    Raises
    ------
    ParameterError
        If the detector lies outside of these limits.
    """
    found = [scenario.detector.around_beam(np.empty((0, 2)))]
    for _ in range(TRIES):
        if sum(map(len, found)) >= n:
            return np.concatenate(found)[:n]
        pixels = _ring_pixels(2 * n, scenario, rng)
        found.append(pixels[scenario.detector.holds(pixels)])
    raise ParameterError("detector_size", scenario.detector_size, "one that sees spots between d_min and d_max")


def _ring_pixels(n: int, scenario: Scenario, rng: np.random.Generator) -> Array:
    """Draw pixels (n, 2 or 3), on or beside the detector, between the rings of the resolution limits."""
    detector, wavelength = scenario.detector, scenario.wavelength
    ends = np.array([1 / scenario.d_max, 1 / scenario.d_min])
    ends = np.minimum(ends, np.linalg.norm(detector.spots(detector.corners, wavelength), axis=1).max())
    q = rng.uniform(ends[0], ends[1], n)
    radius = _radius(q, scenario)
    if scenario.false_place == "detector":
        inner, outer = _radius(ends, scenario)
        radius = np.sqrt(rng.uniform(inner**2, outer**2, n))
    angle = rng.uniform(0, 2 * np.pi, n)
    directions = np.column_stack([np.cos(angle), np.sin(angle)])
    return detector.around_beam(radius[:, None] * directions)


def _radius(q: Array, scenario: Scenario) -> Array:
    """The distance in pixels from the beam centre of spots with length q, 1/angstrom."""
    two_theta = 2 * np.arcsin(np.minimum(q * scenario.wavelength / 2, 1))
    radius: Array = np.tan(two_theta) * (scenario.distance / (scenario.pixel_size * 1e-3))
    return radius
