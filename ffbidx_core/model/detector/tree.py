"""The panels of a detector as leaves of a tree of rigid groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cell import Array
from ..vectors import cross_matrix
from .placed import MRAD, PlacedPanels

Groups = tuple[tuple[int, ...], ...]
"""Sets of panels, by their numbers, that are mounted together; one may be part of another."""

NEAR = 10.0
"""Pixels between two panels of one sensor or module at most, where no groups are given."""
_EDGE_POINTS = 13


@dataclass(frozen=True)
class PanelTree:
    """n nodes: the whole detector first, then its groups, then P panels.

    Attributes
    ----------
    joined : (6 P, 6 n) float64
        The motions of the panels, each about its own middle, are joined @ (motions of the nodes, each about its own).
    level : (n,) int64
        0 for the whole detector; how many nodes hold a group; for all panels one more than any group has.
    members : list of (m,) int64, n
        The panels of each node.
    """

    joined: Array
    level: NDArray[np.int64]
    members: list[NDArray[np.int64]]

    @property
    def n_nodes(self) -> int:
        """n."""
        return len(self.level)

    @classmethod
    def of(cls, panels: PlacedPanels, groups: Groups) -> PanelTree:
        """The tree of panels and their groups; groups that overlap in part with larger ones are left out."""
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
            # The whole detector turns about a point of the beam.
            centre = middle[mine].mean(axis=0) if number else np.array([0, 0, middle[:, 2].mean()])
            block = np.zeros((panels.n_panels, 6, 6))
            block[mine] = np.eye(6)
            block[mine, :3, 3:] = -cross_matrix(middle[mine] - centre) * (MRAD / panels.pixel)
            blocks.append(block.reshape(-1, 6))
        return cls(np.concatenate(blocks, axis=1), np.array(depth, dtype=np.int64), members)

    def of_panels(self, motion: Array) -> Array:
        """The motions (P, 6) of the panels, of motions (n, 6) of the nodes."""
        return np.asarray((self.joined @ motion.ravel()).reshape(-1, 6))


def nested(groups: Iterable[Sequence[int]], everything: frozenset[int]) -> list[frozenset[int]]:
    """The groups that are parts of each other or apart, the largest first, none twice, none with one panel or all."""
    kept: list[frozenset[int]] = []
    for group in sorted(dict.fromkeys(map(frozenset, groups)), key=lambda g: (-len(g), min(g, default=0))):
        if 1 < len(group) < len(everything) and all(group <= other or not group & other for other in kept):
            kept.append(group)
    return kept


def groups_by_nearness(panels: PlacedPanels) -> Groups:
    """Groups of panels with less than `NEAR` pixels between them, for detectors whose file names no groups."""
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
