"""Rigid groups of panels in CrystFEL geometry files and DIALS experiment lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...model.detector.tree import Collections, Groups

RIGID, COLLECTION, GROUP = "rigid_group_", "rigid_group_collection_", "group_"


def groups_of_lines(named: Mapping[str, str], panels: Sequence[str]) -> Groups:
    """The groups of a CrystFEL geometry file; names of neither a panel nor a group are ignored.

    Parameters
    ----------
    named
        Values of the lines `group_NAME` and `rigid_group_NAME`: names of panels, or in `group_NAME` also of other
        groups. Lines of collections are ignored, since they only name groups of other lines.
    panels
        Names of the panels.

    Returns
    -------
    tuple of tuple of int
        Numbers of the panels in each group of at least two.
    """
    return tuple(group for group in _members(named, panels).values() if len(group) > 1)


def collections_of_lines(named: Mapping[str, str], panels: Sequence[str]) -> Collections:
    """The collections of rigid groups in a CrystFEL geometry file, from the lines `rigid_group_collection_NAME`.

    Parameters
    ----------
    named
        Values of the lines of groups and of collections: names of panels, and names of groups.
    panels
        Names of the panels.

    Returns
    -------
    tuple of (str, tuple of tuple of int)
        Name of each collection, and the numbers of the panels in each of its groups.
    """
    members = _members(named, panels)
    found = (
        (key.removeprefix(COLLECTION), tuple(members[name] for name in _names(value) if members.get(name)))
        for key, value in named.items()
        if key.startswith(COLLECTION)
    )
    return tuple((name, groups) for name, groups in found if groups)


def _names(value: str) -> list[str]:
    """The names in a value, which are separated by commas or blanks."""
    return value.replace(",", " ").split()


def _members(named: Mapping[str, str], panels: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Numbers of the panels in each group, by the name of the group."""
    members = {
        key.removeprefix(RIGID).removeprefix(GROUP): _names(value)
        for key, value in named.items()
        if not key.startswith(COLLECTION)
    }
    number = {name: i for i, name in enumerate(panels)}

    def resolved(name: str, within: tuple[str, ...]) -> list[int]:
        # A panel may have the same name as a group; a group that contains itself is ignored there.
        if name in number and (within or name not in members):
            return [number[name]]
        if name in within:
            return []
        return [panel for member in members.get(name, ()) for panel in resolved(member, (*within, name))]

    return {name: tuple(sorted(set(resolved(name, ())))) for name in members}


def groups_of_hierarchy(hierarchy: Mapping[str, Any]) -> Groups:
    """The groups of at least two panels, by number, in the hierarchy of a dxtbx detector."""
    found: list[tuple[int, ...]] = []

    def walk(group: Mapping[str, Any]) -> list[int]:
        if "children" not in group:
            return [int(group["panel"])] if "panel" in group else []
        panels = [panel for child in group["children"] for panel in walk(child)]
        if len(panels) > 1:
            found.append(tuple(sorted(panels)))
        return panels

    walk(hierarchy)
    return tuple(found)
