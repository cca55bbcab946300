"""A tree of rigid groups of a detector's panels, whose leaves are the panels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cell import Array
from ..vectors import cross_matrix
from .placed import MRAD, PlacedPanels

Groups = tuple[tuple[int, ...], ...]
"""Numbers of the panels in each group that is mounted together; a group may be part of another."""

Collections = tuple[tuple[str, Groups], ...]
"""Levels of a detector by name, each with the groups of panels of which it consists."""

NEAR = 10.0
"""Gap in pixels below which two panels belong to one module, for a detector whose groups are not given."""
_EDGE_POINTS = 13
"""Number of points on each edge of a panel by which the gap to another panel is measured."""


@dataclass(frozen=True)
class PanelTree:
    """A tree of n nodes: the whole detector first, then its groups, then its P panels.

    Attributes
    ----------
    joined : (6 P, 6 n) float64
        Matrix that gives the motions of the panels, each about its own centre, from the motions of the nodes, each
        about the node's centre; see `of_panels`.
    level : (n,) int64
        Depth of each node: 0 for the whole detector; for a group the number of nodes that contain it; for the panels
        one more than for the deepest group.
    members : list of (m,) int64, n
        Numbers of the panels in each node.
    """

    joined: Array
    level: NDArray[np.int64]
    members: list[NDArray[np.int64]]

    @property
    def n_nodes(self) -> int:
        """The number n of nodes."""
        return len(self.level)

    @classmethod
    def of(cls, panels: PlacedPanels, groups: Groups) -> PanelTree:
        """The tree of panels and their groups, without groups that overlap a larger group only in part."""
        everything = frozenset(range(panels.n_panels))
        kept = nested(groups, everything)
        nodes = [everything, *kept]
        depth = [sum(node < other for other in nodes) for node in nodes]
        order = np.argsort(depth, kind="stable")
        nodes, depth = [nodes[i] for i in order], [depth[i] for i in order]
        if len(everything) > 1:
            deepest = max(depth) + 1
            nodes += [frozenset((panel,)) for panel in sorted(everything)]
            depth += [deepest] * panels.n_panels
        members = [np.array(sorted(node), dtype=np.int64) for node in nodes]
        middle = panels.centre
        blocks = []
        for number, mine in enumerate(members):
            # The whole detector rotates about a point on the beam.
            centre = middle[mine].mean(axis=0) if number else np.array([0, 0, middle[:, 2].mean()])
            block = np.zeros((panels.n_panels, 6, 6))
            block[mine] = np.eye(6)
            block[mine, :3, 3:] = -cross_matrix(middle[mine] - centre) * (MRAD / panels.pixel)
            blocks.append(block.reshape(-1, 6))
        return cls(np.concatenate(blocks, axis=1), np.array(depth, dtype=np.int64), members)

    def down_to(self, finest: Iterable[Iterable[int]]) -> PanelTree:
        """The tree without the nodes inside sets of panels, each of which then moves as a rigid body.

        Parameters
        ----------
        finest
            Numbers of the panels in each set.
        """
        sets = [set(group) for group in finest]
        kept = np.array([i == 0 or any(each <= set(m.tolist()) for each in sets) for i, m in enumerate(self.members)])
        members = [mine for mine, is_kept in zip(self.members, kept, strict=True) if is_kept]
        return PanelTree(self.joined[:, np.repeat(kept, 6)], self.level[kept], members)

    def of_panels(self, motion: Array) -> Array:
        """The motions (P, 6) of the panels that follow from the motions (n, 6) of the nodes."""
        return np.asarray((self.joined @ motion.ravel()).reshape(-1, 6))


def nested(groups: Iterable[Sequence[int]], everything: frozenset[int]) -> list[frozenset[int]]:
    """Select groups of panels that form a tree.

    Of any two groups one contains the other or they share no panel; of groups that overlap in part the largest is kept.
    Groups of one panel or of all panels are left out.

    Returns
    -------
    list of frozenset
        Numbers of the panels in each group, the largest group first.
    """
    kept: list[frozenset[int]] = []
    for group in sorted(dict.fromkeys(map(frozenset, groups)), key=lambda g: (-len(g), min(g, default=0))):
        if 1 < len(group) < len(everything) and all(group <= other or not group & other for other in kept):
            kept.append(group)
    return kept


def groups_by_nearness(panels: PlacedPanels) -> Groups:
    """Groups of panels with gaps of less than `NEAR` pixels, for a detector whose geometry file names no groups."""
    n = panels.n_panels
    edge = np.linspace(0, 1, _EDGE_POINTS)
    zero, one = np.zeros_like(edge), np.ones_like(edge)
    sides = np.concatenate([np.column_stack(pair) for pair in ((edge, zero), (edge, one), (zero, edge), (one, edge))])
    steps = sides * panels.size[:, None]
    along = steps[:, :, :1] * panels.fast[:, None] + steps[:, :, 1:] * panels.slow[:, None]
    outline = panels.corner[:, None] + along
    label = np.arange(n)
    for i in range(n):
        reach = np.linalg.norm(panels.size, axis=1).max() * panels.pixel
        for j in np.flatnonzero(np.linalg.norm(panels.centre - panels.centre[i], axis=1) < 2 * reach):
            gap = np.linalg.norm(outline[i][:, None] - outline[j][None], axis=2).min() if j > i else np.inf
            if gap < NEAR * panels.pixel:
                label[label == label[j]] = label[i]
    return tuple(tuple(np.flatnonzero(label == value).tolist()) for value in np.unique(label))
