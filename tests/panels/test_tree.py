import numpy as np
import pytest

from ffbidx_core.model.detector.geometry_file import geometry_text
from ffbidx_core.model.detector.placed import PlacedPanels
from ffbidx_core.model.detector.tree import PanelTree, groups_by_nearness, nested
from ffbidx_core.model.vectors import rotations
from ffbidx_core.read.geometry.any import parse_geometry
from ffbidx_core.read.geometry.groups import collections_of_lines, groups_of_hierarchy, groups_of_lines
from tests.helpers.panels.detectors import many_panels


@pytest.fixture
def panels():
    return PlacedPanels.of(parse_geometry("x", many_panels(4, 2)).detector, 93.0)


def test_rigid_groups_of_a_file_make_the_levels_of_the_tree():
    geometry = parse_geometry("x", many_panels(4, 4))
    tree = PanelTree.of(PlacedPanels.of(geometry.detector, 93.0), geometry.groups)
    assert np.bincount(tree.level).tolist() == [1, 4, 16, 32]


def test_groups_of_groups_are_resolved_and_a_group_in_itself_is_none():
    named = {"group_a0": "p0,p1", "group_all": "a0, p2", "group_loop": "loop,p0", "group_p2": "p0,p2"}
    assert groups_of_lines(named, ["p0", "p1", "p2"]) == ((0, 1), (0, 1, 2), (0, 2))


def test_collections_add_no_groups():
    named = {"rigid_group_q": "p0 p1", "rigid_group_collection_c": "q", "rigid_group_one": "p0"}
    assert groups_of_lines(named, ["p0", "p1"]) == ((0, 1),)


def test_collections_name_groups_also_of_one_panel():
    named = {
        "rigid_group_q": "p0,p1", "rigid_group_one": "p2", "rigid_group_collection_c": "q,one,none",
        "rigid_group_collection_empty": "none",
    }  # fmt: skip
    assert collections_of_lines(named, ["p0", "p1", "p2"]) == (("c", ((0, 1), (2,))),)


def test_a_geometry_written_anew_has_its_groups_and_collections():
    geometry = parse_geometry("x", many_panels(4, 4))
    again = parse_geometry("y", geometry_text(geometry))
    assert geometry.collections == (("quadrants", tuple(tuple(range(8 * q, 8 * q + 8)) for q in range(4))),)
    assert (again.groups, again.collections) == (geometry.groups, geometry.collections)


def test_groups_of_a_hierarchy():
    leaf = [{"panel": i} for i in range(4)]
    hierarchy = {"children": [{"children": leaf[:2]}, {"children": leaf[2:]}]}
    assert groups_of_hierarchy(hierarchy) == ((0, 1), (2, 3), (0, 1, 2, 3))


def test_groups_that_overlap_in_part_are_left_out():
    found = nested([(0, 1, 2), (2, 3), (0, 1), (0, 1), (0, 1, 2, 3)], frozenset(range(4)))
    assert found == [frozenset((0, 1, 2)), frozenset((0, 1))]


def test_a_flat_list_is_grouped_by_nearness(panels):
    assert set(groups_by_nearness(panels)) == {(i, i + 1) for i in range(0, 16, 2)}


def test_a_group_moves_its_panels_about_its_middle(panels):
    tree = PanelTree.of(panels, ((0, 1, 2, 3),))
    motion = np.zeros((tree.n_nodes, 6))
    motion[1, 5] = 1.0
    moved = panels.moved(tree.of_panels(motion))
    middle = panels.centre[:4].mean(axis=0)
    turned = (panels.corner[:4] - middle) @ rotations(np.array([0, 0, 1e-3])).T + middle
    assert np.allclose(moved.corner[:4], turned, atol=1e-4)
    assert np.allclose(moved.corner[4:], panels.corner[4:], atol=1e-12)


def test_rotations_are_rotations():
    turn = rotations(np.array([[0.0, 0.0, np.pi / 2], [0.0, 0.0, 0.0], [0.3, -0.2, 0.9]]))
    assert np.allclose(turn @ turn.transpose(0, 2, 1), np.eye(3))
    assert np.allclose(turn[0] @ (1, 0, 0), (0, 1, 0))
    assert np.array_equal(turn[1], np.eye(3))


def test_rays_meet_the_panels_that_they_pass_through(panels):
    rng = np.random.default_rng(0)
    panel = rng.integers(panels.n_panels, size=200)
    pixels = np.column_stack([panels.first[panel] + rng.uniform(0, 1, (200, 2)) * panels.size[panel], panel])
    assert np.allclose(panels.meet(3 * panels.places(pixels)), pixels)
    assert panels.meet(np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]))[:, 2].tolist() == [-1, -1]
