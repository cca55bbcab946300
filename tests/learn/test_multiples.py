"""The half-integer test on lattices made up for it."""

import numpy as np
import pytest

from ffbidx_core.learn.multiples import (
    as_conventional,
    find_multiple,
    functionals,
    with_vector,
    without_multiples,
    without_vectors,
)
from ffbidx_core.model.basis import primitive_basis
from ffbidx_core.model.cell import cell_from_parameters, cell_parameters
from tests.helpers.misfits import crystals_of

CELL = cell_from_parameters((31, 42, 53, 90, 103, 90))


def same_lattice(one, other):
    change = one @ np.linalg.inv(other)
    return np.allclose(change, np.rint(change), atol=1e-9) and np.isclose(abs(np.linalg.det(change)), 1)


def test_every_functional_comes_once():
    found = functionals()
    assert len(found) == 7 + 13
    assert all(np.gcd.reduce(f) == 1 for f, _ in found)


@pytest.mark.parametrize(("f", "order"), functionals(), ids=str)
def test_lattices_with_and_without_vectors(f, order):
    finer, coarser = with_vector(CELL, f, order), without_vectors(CELL, f, order)
    volume = abs(np.linalg.det(CELL))
    assert abs(np.linalg.det(finer)) == pytest.approx(volume / order)
    assert abs(np.linalg.det(coarser)) == pytest.approx(volume * order)
    coordinates = (f / order @ CELL) @ np.linalg.inv(finer)
    np.testing.assert_allclose(coordinates, np.rint(coordinates), atol=1e-9)
    np.testing.assert_allclose(CELL @ np.linalg.inv(finer), np.rint(CELL @ np.linalg.inv(finer)), atol=1e-9)
    # Vectors of the coarser lattice are those of the cell on which f is a multiple of the order.
    numbers = np.rint(coarser @ np.linalg.inv(CELL)).astype(int)
    np.testing.assert_allclose(numbers @ CELL, coarser, atol=1e-9)
    assert (numbers @ f % order == 0).all()


@pytest.mark.parametrize(
    ("given", "centring", "wanted", "letter"),
    [
        ((61, 122, 168, 90, 90, 90), "C", (61, 122, 168, 90, 90, 90), "C"),
        ((79, 79, 38, 90, 90, 90), "P", (79, 79, 76, 90, 90, 90), "P"),
        ((79, 79, 38, 90, 90, 90), "I", (79, 79, 38, 90, 90, 90), "I"),
        ((60, 60, 90, 90, 90, 120), "H", (60, 60, 90, 90, 90, 120), "H"),
    ],
)
def test_a_primitive_cell_as_the_user_would_give_it(given, centring, wanted, letter):
    right = cell_from_parameters(wanted)
    primitive = primitive_basis(right, letter) @ right
    parameters, found = as_conventional(primitive, cell_from_parameters(given), 2)
    assert found == letter
    np.testing.assert_allclose(parameters, wanted, atol=1e-6)


def test_a_cell_like_none_of_these_is_given_as_it_is():
    strange = np.array([[1, 0, 0], [0, 1, 0], [1, 2, 5]]) @ CELL
    parameters, centring = as_conventional(strange, CELL, 2)
    assert centring == "P"
    np.testing.assert_allclose(parameters, cell_parameters(strange))


@pytest.mark.parametrize("seed", range(3))
def test_a_right_cell_is_no_multiple(seed):
    assert find_multiple(crystals_of(30, seed, false_share=(0.3, 0.6)), 0) is None


def test_two_lattices_on_a_frame_are_no_multiple():
    crystals = crystals_of(40, 4, lattices=(2, 2), n_spots=(80, 120))
    # The second one was not found.
    first = np.arange(0, 80, 2)
    from dataclasses import replace

    alone = replace(
        crystals, cells=crystals.cells[first], input_cell=crystals.input_cell[first], crystal_offsets=np.arange(41)
    )
    assert find_multiple(alone, 0) is None


def test_spots_in_one_plane_make_no_cell_a_multiple():
    h, k = np.mgrid[-9:10, -9:10].reshape(2, -1)
    hkl = np.column_stack([h, k, np.zeros_like(h)])
    cell = cell_from_parameters((40.0, 50.0, 60.0, 90.0, 90.0, 90.0))
    assert without_multiples(hkl, cell)[1] == 1
    assert without_multiples(hkl[h == 0], cell)[1] == 1


@pytest.fixture
def few_indices():
    """Indices of 40 spots of a right cell."""
    return np.random.default_rng(0).integers(-5, 6, (40, 3))


def test_a_multiple_is_found_on_the_spots_of_one_frame(few_indices):
    cell = cell_from_parameters((40.0, 50.0, 60.0, 90.0, 90.0, 90.0))
    assert without_multiples(few_indices, cell)[1] == 1
    right, times = without_multiples(few_indices * [1, 3, 1], cell)
    assert times == 3
    np.testing.assert_allclose(cell_parameters(right), (40.0, 50.0 / 3, 60.0, 90.0, 90.0, 90.0))
    assert without_multiples(few_indices * [2, 1, 1], cell)[1] == 2
    # A dozen spots may all have even indices.
    assert without_multiples(few_indices[:12] * [2, 1, 1], cell)[1] == 1


def test_few_spots_that_are_nearly_all_in_one_layer_make_no_cell_a_multiple(few_indices):
    few_indices[:, 2] = np.where(np.arange(40) < 4, 2, 0)
    assert without_multiples(few_indices, CELL)[1] == 1
