"""The beam of electron diffraction, found by the symmetry of the frames."""

import dataclasses

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.benchmark import LYSOZYME, TRICLINIC
from ffbidx_core.devices import OneDevice
from ffbidx_core.learn.friedel import centres_of_symmetry, mates_are_near
from ffbidx_core.learn.scan import beam_of_symmetry
from ffbidx_core.parameters import Parameters
from ffbidx_core.simulate import Scenario, simulate
from tests.bench.claims.runs import electrons

ELECTRONS = electrons(LYSOZYME, spot_radius=0.003, n_spots=(30, 60))
PIXEL = 1e-3 * ELECTRONS.pixel_size / ELECTRONS.distance
"""Radian."""
OFF = [(0.0, 0.0), (3.0, -1.0), (30.0, 20.0), (-12.0, 9.0)]
"""Pixels."""


def frames_off(pixels, n=24, **changes):
    return simulate(dataclasses.replace(ELECTRONS, beam_centre_error=pixels, **changes), n, seed=1)


@pytest.mark.parametrize("pixels", OFF)
@pytest.mark.parametrize("cell", [LYSOZYME, TRICLINIC])
def test_frames_are_symmetric_about_the_beam(pixels, cell):
    frames = frames_off(pixels, cells=(cell,), n_spots=(25, 50), spot_radius=0.005)
    best = centres_of_symmetry(frames.spots, frames.offsets)[0]
    # The beam is where it is taken to be less the error with which spots were computed.
    assert best * ELECTRONS.wavelength / PIXEL == pytest.approx(-np.array(pixels), abs=0.5)


@pytest.mark.parametrize("pixels", OFF)
def test_the_beam_is_moved_there_where_it_is_off(pixels):
    frames = frames_off(pixels)
    p = Parameters.preset("best", num_halfsphere_points=8192)
    device = OneDevice(get_backend("cpu", threads=1))
    shift = beam_of_symmetry(device, frames.spots, frames.offsets, frames.input_cells, p)
    if pixels == (0.0, 0.0):
        assert shift is None
    else:
        assert shift / PIXEL == pytest.approx(-np.array(pixels), abs=0.5)


def test_a_sphere_of_x_rays_is_not_flat_and_nothing_is_tried_on_it():
    frames = simulate(Scenario(cells=(LYSOZYME,), n_spots=(40, 60), beam_centre_error=(10.0, 0.0)), 10, seed=1)
    assert not mates_are_near(frames.spots, 1.0)
    assert mates_are_near(frames_off((0.0, 0.0)).spots, ELECTRONS.wavelength)
    # Without devices: they must not be asked.
    p = Parameters.preset("best")
    assert beam_of_symmetry(None, frames.spots, frames.offsets, frames.input_cells, p) is None


def test_frames_without_spots_have_no_centre():
    assert centres_of_symmetry(np.zeros((0, 3)), np.zeros(4, np.int64)).shape == (0, 2)
    assert centres_of_symmetry(np.full((1, 3), 0.1), np.array([0, 1])).shape == (0, 2)
