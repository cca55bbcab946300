"""The search for a cell in a picture: candidates by support and evidence, and spots on the planes of the cell found."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..cell_search import CellSearch, FoundCell, Frames
from ..cell_search.search import EVIDENCE
from ..cell_search.verdict import is_near
from ..cell_search.words import type_in_words
from ..model.cell import Array, reciprocal
from .style import CRYSTALS, FAILED, GREY, INDEXED

BEST_FRAMES = 3
"""Frames whose spots are drawn."""
AXES = "abc"


def draw_search(search: CellSearch, frames: Frames) -> Figure:
    """The candidates of a search and, where there is a cell, the spots of its best frames along its three axes."""
    figure = Figure(figsize=(9.0, 6.4 if search.cells else 3.4))
    if not search.cells:
        _draw_candidates(figure.subplots(), search)
        return figure
    halves: Any = figure.subfigures(2, 1, height_ratios=(1.0, 0.9))
    above, below = halves
    _draw_candidates(above.subplots(), search)
    _draw_planes(list(below.subplots(1, 3, sharey=True)), search.cells[0], frames)
    return figure


def _draw_candidates(axes: Axes, search: CellSearch) -> None:
    for claims, colour, label in ((False, GREY, "not enough"), (True, INDEXED, "enough for a claim")):
        some = [each for each in search.candidates if each.is_claim is claims]
        axes.scatter([c.support for c in some], [max(c.evidence, 0.5) for c in some], color=colour, label=label, s=22)
    for number, cell in enumerate(search.cells):
        name = f"{type_in_words(cell.symmetry.lattice.code)} " + " ".join(f"{x:.1f}" for x in cell.lengths)
        axes.plot(cell.support, cell.claimed, "o", ms=11, mfc="none", color=CRYSTALS[number + 1], label=name)
    axes.axhline(EVIDENCE, color=FAILED, lw=0.8, ls="--")
    axes.set(
        title="Lattices on which frames agree",
        xlabel="frames that agree",
        ylabel="−log10 of false crystals",
        yscale="log",
        xlim=(0, None),
    )
    axes.legend(loc="best")


def _draw_planes(axes: list[Axes], found: FoundCell, frames: Frames) -> None:
    """Spots of the frames whose crystals explain most, along a*, b*, c*: they gather on the planes of whole numbers."""
    cell = found.input_cell.cell
    indices = _indices_of_best(found, frames)
    for i, each in enumerate(axes):
        for number, some in enumerate(indices):
            near = is_near(some @ np.linalg.inv(found.symmetry.lattice.basis), found.symmetry.lattice.primitive)
            for mask, colour in ((near, CRYSTALS[number]), (~near, GREY)):
                rest = some[mask, i] - np.rint(some[mask, i])
                each.plot(some[mask, i], rest, ".", color=colour, ms=4)
        each.set(xlabel=f"index along {AXES[i]}* ({1 / np.linalg.norm(reciprocal(cell)[i]):.1f} Å)", ylim=(-0.5, 0.5))
    axes[0].set(ylabel="distance from a plane", title="Spots of the best frames; grey: not explained")


def _indices_of_best(found: FoundCell, frames: Frames) -> list[Array]:
    """Indices on the conventional cell, not rounded, of all spots of the best frames."""
    verdict, lattice = found.symmetry.verdict, found.symmetry.lattice
    frame = np.repeat(verdict.frames, verdict.n_crystals)
    explained, indices = [], []
    for f, crystal in zip(frame, verdict.crystals, strict=True):
        spots = frames.spots[frames.offsets[f] : frames.offsets[f + 1]].astype(np.float64)
        indices.append(spots @ (lattice.basis @ crystal).T)
        explained.append(int(is_near(spots @ crystal.T, lattice.primitive).sum()))
    best = np.argsort(-np.array(explained), kind="stable")[:BEST_FRAMES]
    return [indices[k] for k in best]
