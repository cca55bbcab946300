"""The metric of a cell from many frames, and whether crystals scatter about a symmetric one."""

import numpy as np
import pytest

from ffbidx_core.cell_search.bravais import bravais
from ffbidx_core.cell_search.metric import settled_metric
from ffbidx_core.cell_search.scatter import is_scatter
from ffbidx_core.model.cell import cell_from_parameters, cell_parameters
from tests.helpers.runs.unknown_cells import LATTICES, frames_of


def crystals_of(parameters, scatter, rng, n=80):
    """Crystals whose axes scatter by a share, each in one of the four settings of 4/mmm about c."""
    settings = [np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]), np.eye(3)]
    factors = 1 + scatter * rng.standard_normal((n, 3))
    cells = [cell_from_parameters((*(np.array(parameters) * factor), 90, 90, 90)) for factor in factors]
    return np.array([settings[rng.integers(2)] @ cell for cell in cells])


@pytest.mark.parametrize(
    ("b", "scatter", "expected"), [(79.0, 0.004, True), (79.8, 0.0015, False), (79.0, 0.001, True)]
)
def test_scatter_breaks_no_symmetry_and_a_true_difference_does(b, scatter, expected, rng):
    lattice = bravais(cell_from_parameters((79.0, 79.0, 38.0, 90, 90, 90)), 1e-3)
    given = (79.0, b, 38.0) if b != 79.0 else (79.3, 78.7, 38.0)
    start = cell_from_parameters((38.0, *sorted(given[:2]), 90, 90, 90))
    crystals = crystals_of((79.0, b, 38.0), scatter, rng)
    assert lattice.code == "tP"
    assert is_scatter(lattice, crystals, start @ start.T) is expected


def test_crystals_that_do_not_scatter_keep_a_symmetry(rng):
    lattice = bravais(cell_from_parameters((79.0, 79.0, 38.0, 90, 90, 90)), 1e-3)
    start = lattice.primitive @ lattice.primitive.T
    assert is_scatter(lattice, crystals_of((79.0, 79.0, 38.0), 0.0, rng), start) is True


def test_few_crystals_decide_nothing(rng):
    lattice = bravais(cell_from_parameters((79.0, 79.0, 38.0, 90, 90, 90)), 1e-3)
    start = lattice.primitive @ lattice.primitive.T
    assert is_scatter(lattice, crystals_of((79.0, 79.0, 38.0), 0.004, rng, n=8), start) is False


def test_a_cell_two_percent_off_is_brought_to_the_true_one(devices):
    frames = frames_of("oP", 40, n_spots=(8, 14))
    off = np.diag([33.0, 51.0, 74.0]) * np.array([1.015, 0.99, 0.985])
    metric = settled_metric(devices, frames, off, 0.2)
    np.testing.assert_allclose(cell_parameters(metric.verdict.cell), LATTICES["oP"][0], rtol=3e-3)
    assert metric.verdict.share > 0.9


def test_a_beam_that_is_off_is_found_with_the_cell(devices):
    frames = frames_of("tP", 40, beam_centre_error=(3.0, -2.0))
    metric = settled_metric(devices, frames, np.diag([43.0, 71.0, 71.0]), 0.8)
    np.testing.assert_allclose(metric.shift.mrad, (-3.0 * 0.075 / 0.2, 2.0 * 0.075 / 0.2), atol=0.1)
    np.testing.assert_allclose(metric.verdict.cell @ metric.verdict.cell.T, np.diag([43.0, 71.0, 71.0]) ** 2, atol=12)
