"""The simulation of many stills, as packed arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from ..model.cell import Array
from ..model.detector.pixels import FlatDetector
from ..model.records.ragged import offsets_of
from .scenario import Scenario
from .still import Still, simulate_still


@dataclass(frozen=True)
class SimulatedFrames:
    """F simulated frames with N spots in total, and their n true lattices.

    Attributes
    ----------
    scenario : Scenario
        The settings of the simulation.
    seed : int
        The seed of the random numbers.
    spots : (N, 3) float32
        Spots in 1/angstrom; within a frame the strongest spots come first.
    offsets : (F + 1,) int64
        Frame f owns rows offsets[f]:offsets[f + 1].
    intensity : (N,) float32
        Intensity of each spot, in arbitrary units.
    pixels : (N, 2) or (N, 3) float32
        Positions of spots in pixels: fast, slow; with many panels fs and ss in the data, and number of the panel.
    lattice : (N,) int64
        Row of `cells` to which a spot belongs, counted over all frames; -1 for a false spot.
    hkl : (N, 3) int32
        Miller indices of each spot; zeros for a false spot.
    cells : (n, 3, 3) float64
        The oriented cells of the crystals, rows a, b, c, angstrom.
    cell_offsets : (F + 1,) int64
        Frame f owns the crystals cell_offsets[f]:cell_offsets[f + 1].
    input_cell : (n,) int64
        Row of `input_cells` of each crystal.
    """

    scenario: Scenario
    seed: int
    spots: NDArray[np.float32]
    offsets: NDArray[np.int64]
    intensity: NDArray[np.float32]
    pixels: NDArray[np.float32]
    lattice: NDArray[np.int64]
    hkl: NDArray[np.int32]
    cells: Array
    cell_offsets: NDArray[np.int64]
    input_cell: NDArray[np.int64]

    @property
    def n_frames(self) -> int:
        """The number F of frames."""
        return len(self.offsets) - 1

    @property
    def input_cells(self) -> Array:
        """The input cells (M, 3, 3) for an indexer, angstrom: the cells of the scenario with their error."""
        return self.scenario.input_cells


def simulate(scenario: Scenario, n_frames: int, seed: int = 0) -> SimulatedFrames:
    """Simulate stills with known crystals.

    Parameters
    ----------
    scenario
        The settings of the simulation.
    n_frames
        Number of frames; frame i is the same for any number.
    seed
        Seed of the random numbers, at least 0.

    Raises
    ------
    ParameterError
        If the scenario cannot give as many spots as it asks for.
    """
    stills = [simulate_still(scenario, seed, i) for i in range(n_frames)]
    cell_offsets = offsets_of([len(still.cells) for still in stills])
    lattice = [np.where(s.lattice >= 0, s.lattice + first, -1) for s, first in zip(stills, cell_offsets, strict=False)]
    return SimulatedFrames(
        scenario=scenario,
        seed=seed,
        spots=_joined(stills, "spots", (0, 3)).astype(np.float32),
        offsets=offsets_of([len(still.spots) for still in stills]),
        intensity=_joined(stills, "intensity", (0,)).astype(np.float32),
        pixels=_joined(stills, "pixels", (0, 2 if scenario.panels is None else 3)).astype(np.float32),
        lattice=np.concatenate([np.empty(0, np.int64), *lattice]),
        hkl=_joined(stills, "hkl", (0, 3)).astype(np.int32),
        cells=_joined(stills, "cells", (0, 3, 3)).astype(np.float64),
        cell_offsets=cell_offsets,
        input_cell=_joined(stills, "input_cell", (0,)).astype(np.int64),
    )


def turned_copies(frames: SimulatedFrames, chosen: NDArray[np.int64], rng: np.random.Generator) -> SimulatedFrames:
    """Copies of stills, each rotated about the beam by a random angle: a cheap substitute for independent stills.

    The edges of the detector are rotated, too. The scenario and the seed are those of the originals.

    Parameters
    ----------
    chosen : (n,) int64
        The number of the frame from which each copy is made.

    Raises
    ------
    ParameterError
        If the detector has many panels, because it then has no rotational symmetry.
    """
    if not isinstance(detector := frames.scenario.assumed_detector, FlatDetector):
        raise ParameterError("panels", "many", "a detector of one flat panel")
    angle = rng.uniform(0, 2 * np.pi, len(chosen))
    rows, offsets = _ranges(frames.offsets, chosen)
    crystals, cell_offsets = _ranges(frames.cell_offsets, chosen)
    of_spot, of_cell = (np.repeat(np.arange(len(chosen)), np.diff(o)) for o in (offsets, cell_offsets))
    centre = detector.beam_centre
    lattice = frames.lattice[rows]
    moved = lattice + (cell_offsets[:-1] - frames.cell_offsets[chosen])[of_spot]
    return SimulatedFrames(
        scenario=frames.scenario,
        seed=frames.seed,
        spots=_turned(frames.spots[rows], angle[of_spot]).astype(np.float32),
        offsets=offsets,
        intensity=frames.intensity[rows],
        pixels=(_turned(frames.pixels[rows] - centre, angle[of_spot]) + centre).astype(np.float32),
        lattice=np.where(lattice >= 0, moved, -1),
        hkl=frames.hkl[rows],
        cells=_turned(frames.cells[crystals], angle[of_cell][:, None]),
        cell_offsets=cell_offsets,
        input_cell=frames.input_cell[crystals],
    )


def _ranges(offsets: NDArray[np.int64], chosen: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of the chosen entries of a ragged array, and the offsets of these entries."""
    counts = np.diff(offsets)[chosen]
    own = offsets_of(counts)
    return np.arange(own[-1]) + np.repeat(offsets[chosen] - own[:-1], counts), own


def _turned(vectors: NDArray[Any], angle: Array) -> Array:
    """Vectors (..., 2 or 3) with x and y rotated by angles (...), in radian."""
    turned = np.array(vectors, dtype=np.float64)
    x, y, cosine, sine = vectors[..., 0], vectors[..., 1], np.cos(angle), np.sin(angle)
    turned[..., 0], turned[..., 1] = x * cosine - y * sine, x * sine + y * cosine
    return turned


def _joined(stills: list[Still], name: str, shape: tuple[int, ...]) -> NDArray[np.generic]:
    return np.concatenate([np.empty(shape), *(getattr(still, name) for still in stills)])
