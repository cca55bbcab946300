import numpy as np
import pytest

from ffbidx_core.model.units import suspicious_units

CELL = np.diag([30.0, 40.0, 50.0])


def spots_at(radius, n):
    """n spots, all this far out, 1/angstrom."""
    directions = np.random.default_rng(1).normal(size=(n, 3))
    return (radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(("n", "suspicious"), [(250, False), (252, True)])
def test_a_cell_with_fewer_lattice_points_than_spots_is_suspicious(n, suspicious):
    """A sphere of 0.1/A holds 4/3 pi 0.001 x 60000 = 251.3 points of this lattice."""
    assert bool(list(suspicious_units(spots_at(0.1, n), np.array([0, n]), CELL[None]))) is suspicious


def test_frames_are_taken_together_and_empty_ones_do_not_count():
    spots = np.concatenate([spots_at(0.1, 300), spots_at(0.1, 100)])
    assert not list(suspicious_units(spots, np.array([0, 0, 300, 300, 400, 400]), CELL[None]))
    (sentence,) = suspicious_units(spots, np.array([0, 0, 300, 300, 400, 400]), np.stack([CELL, CELL / 10]))
    assert sentence.startswith("input cell 1 has 0.251 lattice points within the spots' resolution for 200 spots")


def test_far_spots_are_counted():
    spots = np.concatenate([spots_at(0.5, 10), spots_at(2.1, 3)])
    (sentence,) = suspicious_units(spots, np.array([0, 13]), CELL[None])
    assert sentence.startswith("3 of 13 spots lie beyond 2/angstrom")


def test_no_spots_say_nothing():
    assert not list(suspicious_units(np.zeros((0, 3), np.float32), np.array([0, 0]), CELL[None]))
