"""The levels of a detector (the whole, groups, panels, or a named level) whose parts move by themselves."""

from __future__ import annotations

from ..errors import UsageError
from ..model.detector.panels import Geometry
from ..model.detector.placed import PlacedPanels
from ..model.detector.tree import PanelTree, groups_by_nearness

DETECTOR, GROUP, PANEL = "detector", "group", "panel"


def check_level(geometry: Geometry, level: str) -> None:
    """Raise an error if a geometry has no level of this name.

    Raises
    ------
    UsageError
        Naming the levels that the geometry has.
    """
    names = (DETECTOR, GROUP, PANEL, *dict(geometry.collections))
    if level not in names:
        raise UsageError(f"level {level}: the geometry has no such level; it has {', '.join(names)}")


def tree_of(geometry: Geometry, panels: PlacedPanels, level: str = PANEL) -> PanelTree:
    """The tree of the parts of a detector that move, down to a level.

    Parameters
    ----------
    geometry
        The geometry, which names the groups of panels; without groups, panels near each other form a group.
    panels
        The panels at their positions.
    level
        Level: `detector`, `group` (detector and all groups), `panel` (all), or the name of a collection of groups
        (the detector, these groups, and those that hold them).

    Raises
    ------
    UsageError
        If the detector has no such level.
    """
    groups = geometry.groups or groups_by_nearness(panels)
    tree = PanelTree.of(panels, groups)
    check_level(geometry, level)
    if level == PANEL:
        return tree
    if level == DETECTOR:
        return tree.down_to([range(panels.n_panels)])
    if level == GROUP:
        found = tree.down_to([group for group in groups if len(group) > 1])
    else:
        # A group that overlaps in part with a larger one is no part of the tree.
        found = tree.down_to(dict(geometry.collections)[level])
    if found.n_nodes == 1 < panels.n_panels:
        raise UsageError(f"level {level}: no panels of this geometry are a group; level {DETECTOR} moves them all")
    return found
