"""Crystals whose misfit is known, from simulated stills."""

import numpy as np

from ffbidx_core.model.cell import symmetry_operators
from ffbidx_core.model.crystal import Crystals
from ffbidx_core.simulate import Scenario, simulate
from tests.helpers.frames import rotation

LYSOZYME = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0)
MRAD_PER_PIXEL = 1e3 * 0.075 / 200


def crystals_of(n_frames: int, seed: int, turned: float = 0.05, **settings) -> Crystals:
    """The true crystals of simulated stills with random misorientations in degrees, like those of an indexer."""
    settings = {"cells": (LYSOZYME,), "n_spots": (40, 80), "false_share": (0.1, 0.1)} | settings
    frames = simulate(Scenario(**settings), n_frames, seed)
    rng = np.random.default_rng(seed)
    rotations = [rotation(rng.normal(size=3), turned) for _ in frames.cells]
    references = frames.input_cells
    return Crystals(
        frames.spots.astype(float),
        frames.offsets,
        np.full(n_frames, frames.scenario.wavelength),
        frames.cells @ np.reshape(rotations, (-1, 3, 3)),
        frames.cell_offsets,
        frames.input_cell,
        references,
        [symmetry_operators(cell, 1e-3) for cell in references],
    )
