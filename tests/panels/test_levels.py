"""`--level`: the smallest parts of a detector that move by themselves."""

from dataclasses import replace

import numpy as np
import pytest

from ffbidx_core.errors import UsageError
from ffbidx_core.model.detector.placed import PlacedPanels
from ffbidx_core.panels.levels import tree_of
from ffbidx_core.panels.refine import refine
from ffbidx_core.panels.words import sentences
from ffbidx_core.read.geometry.any import parse_geometry
from tests.helpers.panels.detectors import many_panels
from tests.helpers.panels.stills import gathered, stills


@pytest.fixture(scope="module")
def geometry():
    return parse_geometry("x", many_panels(4, 4))


@pytest.fixture(scope="module")
def panels(geometry):
    return PlacedPanels.of(geometry.detector, 93.0)


@pytest.mark.parametrize(
    ("level", "nodes"),
    [("detector", [1]), ("quadrants", [1, 4]), ("group", [1, 4, 16]), ("panel", [1, 4, 16, 32])],
)
def test_nodes_of_the_tree_end_at_the_level(geometry, panels, level, nodes):
    tree = tree_of(geometry, panels, level)
    assert np.bincount(tree.level).tolist() == nodes
    assert tree.joined.shape == (6 * panels.n_panels, 6 * tree.n_nodes)


def test_a_collection_of_single_panels_moves_these_panels(geometry, panels):
    named = replace(geometry, collections=(("some", ((0,), (5,))),))
    tree = tree_of(named, panels, "some")
    assert [m.tolist() for m in tree.members if len(m) == 1] == [[0], [5]]
    # Their quadrant and their sensors hold them; no other group does.
    assert np.bincount(tree.level).tolist() == [1, 1, 2, 2]


def test_a_level_that_the_detector_has_not_is_refused(geometry, panels):
    with pytest.raises(UsageError, match="it has detector, group, panel, quadrants"):
        tree_of(geometry, panels, "asics")
    apart = replace(panels, corner=panels.corner * (10, 10, 1))
    with pytest.raises(UsageError, match="no panels of this geometry are a group"):
        tree_of(replace(geometry, groups=(), collections=()), apart, "group")


def test_panels_of_a_group_keep_their_places_in_it():
    frames = stills(2.0, 60, seed=31)
    data = gathered(frames, turned=0.02)
    refined = refine(data, None, level="group")
    assert refined.fit is not None
    before, after = (np.linalg.norm(p.corner[1::2] - p.corner[::2], axis=1) for p in (data.panels, refined.panels))
    # Turns by a hundredth of a radian are made as if they were small.
    assert np.allclose(before, after, atol=2e-3)
    assert np.abs(data.panels.shifts_seen(refined.panels)).max() > 1
    found = list(sentences(refined, [panel.name for panel in data.geometry.detector.panels]))
    assert "With --level group 20 groups of panels moved, no panel within its group." in found


@pytest.mark.parametrize("level", ["detector", "panel"])
@pytest.mark.parametrize("beam", [(1.0, -0.7), (0.0, 0.0)])
def test_a_detector_that_is_off_as_a_whole_is_moved_as_a_whole(beam, level):
    data = gathered(stills(0.0, 30, seed=32, sensors=2, beam_centre_error=beam), turned=0.02)
    refined = refine(data, None, level=level)
    if not any(beam):
        assert refined.fit is None
        assert refined.why.endswith(" px")
        assert ("nor with the detector moved as a whole" in refined.why) == (level == "panel")
        return
    words = " ".join(sentences(refined, [panel.name for panel in data.geometry.detector.panels]))
    assert ("Panels agree with each other" in words) == (level == "panel")
    true = np.array(beam)
    shift = refined.fit.motion[:, :2].mean(axis=0)
    assert np.allclose(np.abs(shift), np.abs(true), atol=0.15)
    before, after = (np.linalg.norm(p.corner - p.corner[0], axis=1) for p in (data.panels, refined.panels))
    assert np.allclose(before, after, atol=2e-3)
