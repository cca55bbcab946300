import gemmi
import numpy as np
import pytest

from ffbidx_core.simulate.centring import PRIMITIVE, is_allowed

HKL = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
GROUPS = {"P": "P 1", "A": "A 2 2 2", "B": "B 2 2 2", "C": "C 2 2 2", "I": "I 2 2 2", "F": "F 2 2 2", "R": "R 3:H"}


@pytest.mark.parametrize("symbol", PRIMITIVE)
def test_the_reflections_are_those_of_a_space_group_with_this_centring(symbol):
    operations = gemmi.SpaceGroup(GROUPS[symbol]).operations()
    expected = [not operations.is_systematically_absent(hkl) for hkl in HKL.tolist()]
    assert is_allowed(HKL, symbol).tolist() == expected


@pytest.mark.parametrize("symbol", PRIMITIVE)
def test_the_primitive_cell_has_one_lattice_point(symbol):
    n_points = {"P": 1, "F": 4, "R": 3}.get(symbol, 2)
    assert np.linalg.det(PRIMITIVE[symbol]) == pytest.approx(1 / n_points)
