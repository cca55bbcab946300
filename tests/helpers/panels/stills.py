"""Simulated stills on a detector with displaced panels, in the form that the fit of panels takes."""

import numpy as np

from ffbidx_core.model.basis import primitive_basis
from ffbidx_core.model.cell import symmetry_operators
from ffbidx_core.model.vectors import rotations
from ffbidx_core.panels.gather import Gathered
from ffbidx_core.panels.peaks import IndexedPeaks
from ffbidx_core.ranges import HC
from ffbidx_core.read.geometry.any import parse_geometry
from ffbidx_core.simulate import Scenario, SimulatedFrames, simulate
from ffbidx_core.simulate.many_panels import ManyPanels
from tests.helpers.panels.detectors import many_panels

LYSOZYME = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0)
NOISE = 0.5
"""Noise of peak positions, pixels."""


def stills(
    off: float, n_frames: int, seed: int = 0, *, sensors: int = 4, alone: bool = False, **settings
) -> SimulatedFrames:
    """Stills of lysozyme on 8 * sensors panels that are `off` pixels off."""
    detector = ManyPanels.of(parse_geometry("the detector", many_panels(4, sensors)))
    if off:
        detector = detector.disturbed(off, np.random.default_rng((seed, 7)), alone=alone)
    usual = {
        "cells": (LYSOZYME,),
        "wavelength": HC / 9537.25,
        "n_spots": (30, 60),
        "false_share": (0.1, 0.1),
        "position_noise": NOISE,
        "cell_spread": 0.001,
    }
    return simulate(Scenario(**(usual | settings)).with_panels(detector), n_frames, seed)


def gathered(frames: SimulatedFrames, *, turned: float = 0.0, with_crystals: bool = True) -> Gathered:
    """The stills with their true crystals, each misoriented by about `turned` degrees, or without crystals."""
    n = frames.n_frames
    basis = primitive_basis(frames.scenario.input_cells[0], frames.scenario.centring)
    references = basis @ frames.input_cells
    turns = rotations(np.random.default_rng(1).standard_normal((len(frames.cells), 3)) * np.deg2rad(turned))
    cells, kinds, offsets = basis @ frames.cells @ turns, frames.input_cell, frames.cell_offsets
    if not with_crystals:
        cells, kinds, offsets = cells[:0], kinds[:0], np.zeros(n + 1, np.int64)
    peaks = IndexedPeaks(
        frames.pixels.astype(np.float64),
        frames.offsets,
        np.full(n, frames.scenario.wavelength),
        np.zeros(n),
        cells,
        offsets,
        kinds,
        references,
        [symmetry_operators(cell, 1e-3) for cell in references],
    )
    panels = frames.scenario.panels
    assert panels is not None
    return Gathered(panels.geometry, panels.given_distance, peaks)


def off_by(fit, given, true, fewest: float = 20):
    """The errors (n, 2) of the positions of panels with enough peaks along x and y, pixels, and the stated errors.

    The common rotation about the beam is removed from the truth, as the fit removes it.
    """
    shift = (true.centre - given.centre)[:, :2] / given.pixel
    unit = given.centre[:, [1, 0]] * (-1, 1) / given.pixel
    weight = fit.counts[:, None]
    shift = shift - (weight * unit * shift).sum() / (weight * unit**2).sum() * unit
    seen = fit.counts >= fewest
    return (fit.motion[:, :2] - shift)[seen], fit.errors[seen, :2]
