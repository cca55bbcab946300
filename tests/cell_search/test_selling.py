"""Selling reduction, Voronoi lengths and settings of lattices."""

import itertools

import numpy as np
import pytest

from ffbidx_core.errors import CellError
from ffbidx_core.model.cell import cell_from_parameters
from ffbidx_core.model.unknown.selling import OBTUSE, nearest_setting, reduced_cell, selling_bases, voronoi_lengths

CELLS = np.array(
    [
        cell_from_parameters(parameters)
        for parameters in (
            (10, 20, 33, 90, 90, 90),
            (9, 13, 17, 85, 100, 95),
            (40, 40, 40, 60, 60, 60),
            (30, 30, 90, 90, 90, 120),
        )
    ]
)


def reduced_by_arrays(cells):
    """The Selling-reduced bases of cells in NumPy: four vectors of sum zero with no acute angle between two."""
    v = np.concatenate([cells, -cells.sum(axis=1, keepdims=True)], axis=1)
    changed = True
    while changed:
        changed = False
        for i, j in itertools.combinations(range(4), 2):
            acute = np.flatnonzero(np.sum(v[:, i] * v[:, j], axis=1) > OBTUSE * np.sum(v[:, i] ** 2, axis=1))
            for k in set(range(4)) - {i, j}:
                v[acute, k] += v[acute, i]
            v[acute, i] *= -1
            changed |= len(acute) > 0
    return v


def other_bases(cells, rng):
    """The cells in other bases of their lattices, turned."""
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    found = []
    for cell in cells:
        m = np.eye(3)
        for _ in range(6):
            i, j = rng.permutation(3)[:2]
            m[i] += rng.choice([-1, 1]) * m[j]
        found.append(m @ cell @ turn)
    return np.array(found)


def test_compiled_and_array_code_reduce_alike(rng):
    cells = other_bases(np.repeat(CELLS, 20, axis=0), rng)
    np.testing.assert_array_equal(selling_bases(cells), reduced_by_arrays(cells))
    v = reduced_by_arrays(cells)
    lengths = np.linalg.norm(np.concatenate([v, v[:, :1] + v[:, 1:]], axis=1), axis=2)
    np.testing.assert_array_equal(voronoi_lengths(cells), np.sort(lengths, axis=1))


def test_no_angle_of_a_reduced_basis_is_acute(rng):
    v = selling_bases(other_bases(CELLS, rng))
    np.testing.assert_allclose(v.sum(axis=1), 0, atol=1e-9)
    for i, j in itertools.combinations(range(4), 2):
        assert ((v[:, i] * v[:, j]).sum(axis=1) <= 1e-9 * (v[:, i] ** 2).sum(axis=1)).all()


def test_voronoi_lengths_do_not_depend_on_the_basis(rng):
    np.testing.assert_allclose(voronoi_lengths(other_bases(CELLS, rng)), voronoi_lengths(CELLS), rtol=1e-9)


def test_a_reduced_cell_has_the_shortest_vectors(rng):
    integers = np.array([h for h in itertools.product(range(-3, 4), repeat=3) if any(h)])
    for cell, other in zip(CELLS, other_bases(CELLS, rng), strict=True):
        found = reduced_cell(other)
        assert np.linalg.det(found) == pytest.approx(np.linalg.det(cell))
        lengths = np.sort(np.linalg.norm(integers @ cell, axis=1))
        assert np.linalg.norm(found[0]) == pytest.approx(lengths[0])
        assert (np.diff(np.linalg.norm(found, axis=1)) > -1e-9).all()


def test_a_flat_cell_cannot_be_reduced():
    with pytest.raises(CellError, match="plane"):
        reduced_cell(np.array([[3.0, 0, 0], [0, 4.0, 0], [3.0, 4.0, 0]]))


def test_the_nearest_setting_is_found_among_all(rng):
    for cell, other in zip(CELLS, other_bases(CELLS * [1.003, 1, 1], rng), strict=True):
        metric = cell @ cell.T
        basis, deviation = nearest_setting(other, metric)
        lengths = np.sqrt(np.diag(metric))
        assert deviation == pytest.approx(np.max(np.abs(basis @ basis.T - metric) / np.outer(lengths, lengths)))
        assert deviation < 0.01
        np.testing.assert_allclose(basis, np.rint(basis @ np.linalg.inv(other)) @ other, atol=1e-9)


def test_another_lattice_has_no_setting_nearby():
    assert nearest_setting(CELLS[0], CELLS[1] @ CELLS[1].T) is None
