"""Bravais types and conventional cells of metrics, parts and multiples of cells."""

from dataclasses import replace

import numpy as np
import pytest

from ffbidx_core.cell_search.bravais import bravais
from ffbidx_core.cell_search.multiples import (
    Rival,
    best_multiple,
    best_part,
    better_rival,
    is_related,
    smaller_cells,
    sublattices,
)
from ffbidx_core.cell_search.verdict import Verdict
from ffbidx_core.model.basis import centring_basis
from ffbidx_core.model.cell import cell_from_parameters, cell_parameters, reciprocal
from ffbidx_core.model.unknown.selling import (
    nearest_setting,
    reduced_cell,
    same_lattice,
    selling_bases,
    voronoi_lengths,
)
from ffbidx_core.simulate.still import random_rotation
from tests.helpers.runs.unknown_cells import LATTICES


def primitive_of(code):
    """The primitive cell of a lattice, turned and on a basis that is far from reduced."""
    parameters, centring = LATTICES[code]
    rng = np.random.default_rng(sum(map(ord, code)))
    changed = np.array([[1, 2, 0], [0, 1, -1], [1, 2, 1]]) @ centring_basis(centring)
    return changed @ cell_from_parameters(parameters) @ random_rotation(rng)


@pytest.mark.parametrize("code", LATTICES)
def test_the_type_and_the_conventional_cell_come_back(code):
    parameters, centring = LATTICES[code]
    found = bravais(primitive_of(code), 1e-4)
    assert found.code == code
    assert found.deviation < 1e-6
    given = found.input_cell
    assert given.lattice.centring == centring
    assert np.isclose(abs(np.linalg.det(given.cell)), abs(np.linalg.det(cell_from_parameters(parameters))))
    if code != "aP":
        np.testing.assert_allclose(np.sort(found.parameters[:3]), np.sort(parameters[:3]), rtol=1e-5)
        assert np.max(found.parameters[3:]) == pytest.approx(max(parameters[3:]), abs=1e-3)


@pytest.mark.parametrize("code", LATTICES)
def test_the_conventional_cell_has_the_lattice_that_was_given(code):
    cell = primitive_of(code)
    given = bravais(cell, 1e-4).input_cell
    back = centring_basis(given.lattice.centring) @ given.cell
    np.testing.assert_allclose(voronoi_lengths(np.stack([back]))[0], voronoi_lengths(cell[None])[0], rtol=3e-5)


def test_a_small_difference_is_no_symmetry_below_its_size_and_one_above():
    cell = cell_from_parameters((79.0, 79.4, 38.0, 90, 90, 90))
    assert bravais(cell, 1e-3).code == "oP"
    assert bravais(cell, 6e-3).code == "tP"
    assert bravais(cell, 6e-3).deviation == pytest.approx(0.4 / 79.2, rel=0.1)


@pytest.mark.parametrize("tolerance", [0.02, 0.01, 0.004, 0.001])
def test_near_cubic_cells_give_a_group_at_any_tolerance(rng, tolerance):
    for _ in range(20):
        cell = np.diag([50.0] * 3) + rng.normal(0, 0.3, (3, 3))
        found = bravais(cell, tolerance)
        assert found.order in (1, 2, 4, 6, 8, 12, 24)
        assert {(a @ b).tobytes() for a in found.operators for b in found.operators} == {
            a.tobytes() for a in found.operators
        }


def test_voronoi_lengths_know_neither_basis_nor_orientation(rng):
    for code in LATTICES:
        cell = primitive_of(code)
        other = np.array([[1, 0, 0], [3, 1, 0], [-2, 5, 1]]) @ cell @ random_rotation(rng)
        np.testing.assert_allclose(voronoi_lengths(cell[None]), voronoi_lengths(other[None]), rtol=1e-9)
        assert same_lattice(cell, other, 1e-6)


def test_selling_bases_have_no_acute_angle(rng):
    bases = selling_bases(rng.normal(0, 30, (50, 3, 3)))
    products = bases @ np.swapaxes(bases, 1, 2)
    assert (products[:, ~np.eye(4, dtype=bool)] < 1e-6).all()
    np.testing.assert_allclose(bases.sum(axis=1), 0, atol=1e-9)


def test_reduced_cells_have_the_shortest_vectors_and_the_volume(rng):
    for cell in rng.normal(0, 30, (30, 3, 3)):
        found = reduced_cell(cell)
        assert np.linalg.det(found) == pytest.approx(abs(np.linalg.det(cell)))
        lengths = np.linalg.norm(found, axis=1)
        assert (np.diff(lengths) >= -1e-9).all()
        steps = np.array([(i, j, k) for i in range(-2, 3) for j in range(-2, 3) for k in range(-2, 3) if i or j or k])
        assert np.linalg.norm(steps @ found, axis=1).min() == pytest.approx(lengths[0])


def test_the_nearest_setting_of_a_distorted_cell_is_the_one_it_came_from(rng):
    cell = reduced_cell(primitive_of("mC"))
    distorted = np.array([[1, 1, 0], [0, 1, 0], [0, -1, 1]]) @ cell * (1 + rng.normal(0, 1e-3, 3))
    found = nearest_setting(distorted, cell @ cell.T)
    assert found is not None
    assert found[1] < 5e-3
    np.testing.assert_allclose(cell_parameters(found[0]), cell_parameters(cell), rtol=5e-3)
    assert nearest_setting(1.2 * distorted, cell @ cell.T) is None


def verdict_on(cell, truth, rng):
    """The verdict of perfect frames of a true lattice on another cell of the same axes."""
    indices = rng.integers(-5, 6, (400, 3)).astype(float)
    spots = indices[np.any(indices != 0, axis=1)] @ reciprocal(truth)
    return Verdict(cell, 0.0, np.arange(1), np.ones(1, int), cell[None], spots @ cell.T, None)


def test_sublattices_are_all_there_once():
    for index, n in ((2, 7), (3, 13), (4, 35)):
        forms = sublattices(index)
        assert len(forms) == n
        assert (np.rint(np.linalg.det(forms)) == index).all()
        same = [np.allclose(a @ np.linalg.inv(b), np.rint(a @ np.linalg.inv(b))) for a in forms for b in forms]
        assert sum(same) == n


@pytest.mark.parametrize("index", [2, 3, 4])
def test_a_multiple_of_the_true_cell_is_brought_back(index, rng):
    truth = primitive_of("aP")
    for form in sublattices(index):
        found = smaller_cells(verdict_on(form @ truth, truth, rng))
        assert same_lattice(found[0], truth, 1e-6)
        assert is_related(form @ truth, truth, 1e-6)


@pytest.mark.parametrize("index", [2, 3, 4])
def test_a_part_of_the_true_cell_is_completed(index, rng):
    truth = primitive_of("aP")
    for form in sublattices(index):
        part = np.linalg.inv(form) @ truth
        assert same_lattice(best_multiple(verdict_on(part, truth, rng), index), truth, 1e-6)


def test_the_true_cell_is_not_taken_for_too_large(rng):
    truth = primitive_of("aP")
    verdict = verdict_on(truth, truth, rng)
    assert smaller_cells(verdict) == []
    assert best_part(verdict, 2)[1] < 0.65
    assert not is_related(primitive_of("cF"), truth, 0.02)


@pytest.mark.parametrize(
    ("index", "gain", "is_taken"), [(-3, 142, True), (-2, -1, False), (2, 100, False), (2, 1064, True), (4, 200, True)]
)
def test_a_part_with_more_evidence_is_taken_and_a_multiple_with_far_more(index, gain, is_taken, rng):
    verdict = replace(verdict_on(np.eye(3) * 40, np.eye(3) * 40, rng), evidence=900.0)
    others = [Rival(3, np.eye(3), 50.0), Rival(index, np.eye(3), gain)]
    assert (better_rival(verdict, others) is others[1]) is is_taken
