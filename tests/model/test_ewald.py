import numpy as np
import pytest

from ffbidx_core.model.ewald import indices_near_sphere
from tests.helpers.frames import SYSTEMS, cell_of, random_rotation


def all_near_sphere(cell, wavelength, q_max, width):
    """The same by trying every lattice point."""
    limits = np.ceil(np.linalg.norm(cell, axis=1) * q_max).astype(int)
    hkl = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in limits], indexing="ij"), axis=-1).reshape(-1, 3)
    q = hkl @ np.linalg.inv(cell).T
    excitation = np.abs(np.linalg.norm(q + np.array([0, 0, 1 / wavelength]), axis=1) - 1 / wavelength)
    return hkl[(excitation < width) & (np.linalg.norm(q, axis=1) < q_max)]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(("wavelength", "width"), [(1.0, 0.0015), (1.7, 0.02), (0.3, 0.005)])
def test_finds_every_point_once(system, wavelength, width):
    cell = cell_of(system) @ random_rotation(np.random.default_rng(len(system)))
    found = [tuple(hkl) for hkl in indices_near_sphere(cell, wavelength, 0.31, width)]
    expected = {tuple(hkl) for hkl in all_near_sphere(cell, wavelength, 0.31, width)}
    assert len(expected) > 10
    assert len(found) == len(set(found))
    assert set(found) == expected


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_finds_every_point_once_of_rows_along_and_across_the_beam(axis):
    cell = np.roll(np.diag([20.0, 30.0, 90.0]), axis, axis=1)
    found = [tuple(hkl) for hkl in indices_near_sphere(cell, 1.0, 0.4, 0.01)]
    expected = {tuple(hkl) for hkl in all_near_sphere(cell, 1.0, 0.4, 0.01)}
    assert len(found) == len(set(found))
    assert set(found) == expected
