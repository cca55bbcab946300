import numpy as np
import pytest

from ffbidx_core.model.cell import symmetry_operators
from ffbidx_core.model.orientation import canonical_setting
from ffbidx_core.report.orientations import FEWEST_CRYSTALS, bins_of, equal_axes, pole_figures, random_rotations, wedges
from tests.helpers.frames import SYSTEMS, cell_of, random_rotation, rotation


def random_crystals(system, n, seed=1):
    rng = np.random.default_rng(seed)
    return cell_of(system) @ np.array([random_rotation(rng) for _ in range(n)])


@pytest.mark.parametrize(
    ("system", "axes"),
    [
        ("triclinic", ["a", "b", "c"]),
        ("monoclinic", ["a", "b", "c"]),
        ("tetragonal", ["a, b", "c"]),
        ("trigonal", ["a, b, c"]),
        ("hexagonal", ["a, b", "c"]),
        ("cubic", ["a, b, c"]),
    ],
)
def test_axes_that_symmetry_makes_equal_are_one(system, axes):
    groups = equal_axes(symmetry_operators(cell_of(system), 1e-3))
    assert [name for name, _ in groups] == axes


@pytest.mark.parametrize("rings", [2, 5, 12])
def test_random_directions_fill_the_bins_evenly(rings):
    poles = random_rotations(60_000, np.random.default_rng(0))[:, 0]
    counts = np.bincount(bins_of(poles, rings), minlength=3 * rings**2)
    expected = 60_000 / (3 * rings**2)
    assert abs(((counts - expected) ** 2 / expected).sum() / len(counts) - 1) < 5 * np.sqrt(2 / len(counts))


def test_a_bin_is_drawn_where_its_directions_are():
    poles = random_rotations(2000, np.random.default_rng(0))[:, 0]
    poles *= np.where(poles[:, 2:] < 0, -1, 1)
    inner, outer, first, last = wedges(7)[bins_of(poles, 7)].T
    radius, angle = np.sqrt(1 - poles[:, 2]), np.degrees(np.arctan2(poles[:, 1], poles[:, 0])) % 360
    assert ((inner <= radius) & (radius <= outer) & (first <= angle) & (angle <= last)).all()


def test_opposite_directions_are_one():
    poles = random_rotations(200, np.random.default_rng(0))[:, 0]
    assert (bins_of(poles, 6) == bins_of(-poles, 6)).all()


def test_random_rotations_are_rotations():
    turns = random_rotations(50, np.random.default_rng(3))
    assert np.allclose(turns @ np.swapaxes(turns, 1, 2), np.eye(3), atol=1e-12)
    assert np.allclose(np.linalg.det(turns), 1)


@pytest.mark.parametrize("system", SYSTEMS)
def test_random_crystals_prefer_nothing_though_their_setting_does(system):
    cell = cell_of(system)
    operators = symmetry_operators(cell, 1e-3)
    crystals = canonical_setting(random_crystals(system, 800), cell, operators)
    assert not any(figure.preferred for figure in pole_figures(crystals, cell, operators))


@pytest.mark.parametrize("system", ["monoclinic", "cubic"])
def test_plates_that_lie_flat_are_noticed(system):
    cell = cell_of(system)
    # Half of the crystals keep b near y, turned about it at will.
    rng = np.random.default_rng(5)
    flat = np.array(
        [
            cell @ rotation(np.array([0.0, 1, 0]), rng.uniform(0, 360)) @ rotation(rng.normal(size=3), 10)
            for _ in range(150)
        ]
    )
    figures = pole_figures(np.concatenate([flat, random_crystals(system, 150)]), cell, symmetry_operators(cell, 1e-3))
    along_b = next(figure for figure in figures if "b" in figure.axis)
    assert along_b.preferred
    assert along_b.strongest > along_b.random_strongest
    _, outer, first, last = wedges(along_b.rings)[np.argmax(along_b.density)]
    assert outer == 1
    assert min(abs(angle - at) for angle in (first, last) for at in (90, 270)) < 30


def test_very_few_crystals_say_nothing():
    cell = cell_of("monoclinic")
    crystals = random_crystals("monoclinic", FEWEST_CRYSTALS - 1)
    assert pole_figures(crystals, cell, symmetry_operators(cell, 1e-3)) == []
