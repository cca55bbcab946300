"""Pictures of a search for a cell: candidates by support and evidence, and spots on the planes of found cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..cell_search import CellSearch, FoundCell, Frames
from ..cell_search.bravais import centring_of
from ..cell_search.search import EVIDENCE
from ..cell_search.verdict import is_near
from ..cell_search.words import type_in_words
from ..diagnose.columns import RunColumns
from ..errors import FfbidxError
from ..model.basis import ChangeOfBasis, as_given, as_primitive
from ..model.cell import Array, cell_parameters, reciprocal
from ..nouns import counted
from .figures import Picture
from .frame_picture import find_frame, read_spots
from .style import CRYSTALS, FAILED, GREY, INDEXED, new_figure, styled

BEST_FRAMES = 3
"""Number of frames whose spots are drawn."""
AXES = "abc"

OnPlanes = tuple[Array, NDArray[np.bool_]]
"""Unrounded indices (n, 3) of the spots of a frame on a conventional cell, and whether the cell explains each spot."""


@styled()
def draw_search(search: CellSearch, frames: Frames) -> Figure:
    """Draw the candidates of a search and, if a cell was found, the spots of its best frames along its three axes."""
    figure = Figure(figsize=(9.0, 6.4 if search.cells else 3.4))
    if not search.cells:
        _draw_candidates(figure.subplots(), search.as_dict())
        return figure
    halves: Any = figure.subfigures(2, 1, height_ratios=(1.0, 0.9))
    above, below = halves
    _draw_candidates(above.subplots(), search.as_dict())
    found = search.cells[0]
    _draw_planes(list(below.subplots(1, 3, sharey=True)), found.input_cell.cell, _searched_frames(found, frames))
    return figure


def search_pictures(path: str, found: RunColumns, search: Mapping[str, Any]) -> Iterator[Picture]:
    """Yield the pictures of the search that found the cells of a run; none if the cells were given.

    Parameters
    ----------
    path, found
        Name of the results file, and its columns.
    search
        Record of the search in the results, see `RunRecord.cell_search`.
    """
    if not search:
        return
    figure, axes = new_figure(8.6, 3.2)
    _draw_candidates(axes, search)
    caption = (
        f"The search for the unknown cell on {counted(search['frames'], 'frame')} (--cell auto): each lattice that "
        "several frames suggested. Above the dashed line the evidence is enough for a claim; circles: the cells that "
        "were taken."
    )
    yield Picture("cell_search", "search", figure, caption, wide=True)
    for number, cell in enumerate(search["cells"]):
        best = list(best_frames(path, found, cell))
        if best:
            planes = Figure(figsize=(8.6, 2.9))
            _draw_planes(list(planes.subplots(1, 3, sharey=True)), best[0][1], [indexed for indexed, _ in best])
            caption = "Spots of the frames whose crystals explain most spots gather on the planes of the cell found."
            yield Picture(f"cell_search_planes{number}", "search", planes, caption, wide=True)


def _draw_candidates(axes: Axes, search: Mapping[str, Any]) -> None:
    """Draw the candidates of a search, which has the form of `CellSearch.as_dict`."""
    for claims, colour, label in ((False, GREY, "not enough"), (True, INDEXED, "enough for a claim")):
        some = [each for each in search["candidates"] if each["claim"] is claims]
        evidence = [max(each["evidence"], 0.5) for each in some]
        axes.scatter([each["support"] for each in some], evidence, color=colour, label=label, s=22)
    for number, cell in enumerate(search["cells"]):
        name = f"{type_in_words(cell['bravais'])} " + " ".join(f"{x:.1f}" for x in cell["parameters"][:3])
        colour = CRYSTALS[(number + 1) % len(CRYSTALS)]
        axes.plot(cell["support"], cell["claimed"], "o", ms=11, mfc="none", color=colour, label=name)
    axes.axhline(EVIDENCE, color=FAILED, lw=0.8, ls="--")
    axes.set(
        title="Lattices on which frames agree",
        xlabel="frames that agree",
        ylabel="−log10 of false crystals",
        yscale="log",
        xlim=(0, None),
    )
    axes.legend(loc="best")


def _draw_planes(axes: list[Axes], cell: Array, frames: Sequence[OnPlanes]) -> None:
    """Draw the spots of some frames along a*, b*, c* of a conventional cell; they gather on planes of whole numbers."""
    for i, each in enumerate(axes):
        for number, (indices, near) in enumerate(frames):
            for mask, colour in ((near, CRYSTALS[number]), (~near, GREY)):
                rest = indices[mask, i] - np.rint(indices[mask, i])
                each.plot(indices[mask, i], rest, ".", color=colour, ms=4)
        each.set(xlabel=f"index along {AXES[i]}* ({1 / np.linalg.norm(reciprocal(cell)[i]):.1f} Å)", ylim=(-0.5, 0.5))
    axes[0].set(ylabel="distance from a plane", title="Spots of the best frames; grey: not explained")


def _searched_frames(found: FoundCell, frames: Frames) -> list[OnPlanes]:
    """The best frames of a search, according to the number of spots that a crystal explains."""
    verdict, lattice = found.symmetry.verdict, found.symmetry.lattice
    frame = np.repeat(verdict.frames, verdict.n_crystals)
    on_planes = []
    for f, crystal in zip(frame.tolist(), verdict.crystals, strict=True):
        spots = frames.of_frame(f).astype(np.float64)
        conventional = lattice.change.conventional(as_primitive(crystal))
        on_planes.append((spots @ conventional.T, is_near(spots @ crystal.T, lattice.primitive)))
    return sorted(on_planes, key=lambda each: -int(each[1].sum()))[:BEST_FRAMES]


def best_frames(path: str, found: RunColumns, cell: Mapping[str, Any]) -> Iterator[tuple[OnPlanes, Array]]:
    """Yield the best frames of a run for a found cell, each with the input cell; none if the inputs are missing."""
    if not len(found.cells):
        return
    differ = [np.abs(cell_parameters(each) - cell["parameters"]).max() for each in found.input_cells]
    row = int(np.argmin(differ))
    given = as_given(found.input_cells[row])
    change = ChangeOfBasis.of(given, centring_of(cell["bravais"]))
    mine = np.flatnonzero(found.input_cell == row)
    frame = np.repeat(np.arange(found.n_frames), found.n_crystals)
    for k in mine[np.argsort(-found.n_indexed[mine], kind="stable")][:BEST_FRAMES]:
        try:
            spots = read_spots(path, find_frame(path, str(frame[k]))[1]).spots
        except FfbidxError:
            continue
        crystal = as_given(found.cells[k].astype(np.float64))
        yield (spots @ crystal.T, is_near(spots @ change.primitive(crystal).T, change.primitive(given))), given
