"""The pictures of a report, which are drawn from histograms, however many frames there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Wedge
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from ..diagnose.columns import RunColumns
from ..model.cell import PARAMETER_NAMES, Array, cell_parameters
from ..model.records.frame import FrameStatus
from ..model.records.reason import FrameReason, Rung
from ..nouns import counted
from .histograms import Histogram, central_edges, count_edges, histogram, rate_along_run
from .orientations import PoleFigure, wedges
from .style import FAILED, GREY, INDEXED, LEARNED, new_figure

SIZE = (4.6, 3.0)
"""Width and height of most pictures, inches."""
WHOLE = "{x:,.0f}"
MOST_FILES = 40
"""Largest number of input files whose boundaries are marked."""
_SIGNS = ("a / Å", "b / Å", "c / Å", "α / °", "β / °", "γ / °")


@dataclass(frozen=True)
class Picture:
    """A figure with the name of its file and a caption of one or two sentences."""

    name: str
    section: str
    figure: Figure
    caption: str
    wide: bool = False


def pictures(found: RunColumns, cells: list[int], poles: dict[int, list[PoleFigure]]) -> Iterator[Picture]:
    """Yield all pictures of a run, section by section.

    Parameters
    ----------
    cells
        The rows of `/input_cells` that are shown.
    poles
        Pole figures of the crystals, keyed by these rows.
    """
    yield _rate(found)
    yield _statuses(found)
    if found.reason.any():
        yield _reasons(found)
    if found.rung.any():
        yield _rungs(found)
    yield _lattices(found)
    if (found.indexed | found.failed).any():
        yield _spots(found)
    if len(found.cells):
        yield from _crystals(found)
    for row in cells:
        yield from _cell(found, row)
    for row in cells:
        for pole_figure in poles[row]:
            yield _poles(pole_figure, row)


def _rate(found: RunColumns) -> Picture:
    rate = rate_along_run(found.indexed)
    figure, axes = new_figure(8.6, 2.9)
    axes.fill_between(
        rate.edges,
        np.append(rate.low, rate.low[-1:]),
        np.append(rate.high, rate.high[-1:]),
        step="post",
        color=INDEXED,
        alpha=0.25,
        linewidth=0,
    )
    axes.stairs(rate.share, rate.edges.astype(float), color=INDEXED, baseline=None, linewidth=1.4)
    axes.axhline(found.indexed.mean(), color=GREY, linestyle="--", linewidth=1)
    starts = found.first_frames[1:]
    if len(starts) < MOST_FILES:
        for start in starts:
            axes.axvline(start, color=GREY, linewidth=0.6, alpha=0.6)
    axes.set(
        title="Indexing rate over the run",
        xlabel="frame",
        ylabel="frames indexed",
        ylim=(0, 1.02),
        xlim=(0, found.n_frames),
    )
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.xaxis.set_major_formatter(WHOLE)
    files = " Vertical lines: another input file begins." if 0 < len(starts) < MOST_FILES else ""
    windows = f"windows of {counted(round(found.n_frames / len(rate.share)), 'frame', ',')}"
    return Picture("rate", "run", figure, f"In {windows}, with the 68 % interval; dashed: the whole run.{files}", True)


def _statuses(found: RunColumns) -> Picture:
    counts = np.bincount(found.status, minlength=len(FrameStatus))
    shown = [status for status in FrameStatus if counts[status] or status <= FrameStatus.TOO_FEW_SPOTS]
    figure = _bars(
        "Outcome of the frames",
        [status.words for status in shown],
        counts[shown],
        [INDEXED if status == FrameStatus.INDEXED else FAILED for status in shown],
    )
    return Picture("status", "run", figure, "The numbers are those of /frame/status in the results.")


def _reasons(found: RunColumns) -> Picture:
    counts = np.bincount(found.reason, minlength=len(FrameReason))
    shown = [reason for reason in FrameReason if counts[reason] and reason]
    figure = _bars("Why frames have no crystal", [reason.words for reason in shown], counts[shown], FAILED)
    return Picture("reasons", "run", figure, "How far the best cell of each frame came; /frame/reason of the results.")


def _rungs(found: RunColumns) -> Picture:
    counts = np.bincount(found.rung[found.indexed], minlength=len(Rung))
    figure = _bars("Tries that indexed a frame", [rung.words for rung in Rung], counts, INDEXED)
    return Picture("rungs", "run", figure, "Shares of indexed frames by try (--retry); /frame/rung of the results.")


def _bars(title: str, names: list[str], counts: NDArray[np.int64], colours: str | list[str]) -> Figure:
    """Draw horizontal bars of numbers of frames, each with its share of all frames."""
    figure, axes = new_figure(*SIZE)
    bars = axes.barh(names, counts, color=colours, height=0.6)
    labels = [f"{n:,}  ({n / max(counts.sum(), 1):.1%})" for n in counts]
    axes.bar_label(bars, labels, padding=4, fontsize=8.5)
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set(title=title, xlabel="frames", xlim=(0, max(counts.max(), 1) * 1.6))
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.xaxis.set_major_formatter(WHOLE)
    return figure


def _lattices(found: RunColumns) -> Picture:
    figure, axes = new_figure(*SIZE)
    counts = np.bincount(found.n_crystals)
    bars = axes.bar(np.arange(len(counts)), counts, color=[GREY, *[INDEXED] * (len(counts) - 1)], width=0.7)
    axes.bar_label(bars, [f"{n / found.n_frames:.1%}" if n else "" for n in counts], padding=2, fontsize=8.5)
    axes.margins(y=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlim(-0.6, max(len(counts), 3) - 0.4)
    axes.yaxis.set_major_formatter(WHOLE)
    axes.grid(False, axis="x")
    axes.set(title="Lattices per frame", xlabel="crystals on a frame", ylabel="frames")
    several = int((found.n_crystals > 1).sum())
    share = f" ({several / found.indexed.sum():.1%} of the indexed ones)" if several else ""
    return Picture("lattices", "run", figure, f"Frames with more than one crystal: {several:,}{share}.")


def _spots(found: RunColumns) -> Picture:
    figure, axes = new_figure(*SIZE)
    usable = found.indexed | found.failed
    edges = count_edges(found.n_spots[usable])
    outside = 0
    for mask, name, colour in ((found.indexed, "indexed", INDEXED), (found.failed, "not indexed", FAILED)):
        binned = histogram(found.n_spots[mask], edges)
        _stairs(axes, binned, colour, name)
        outside += binned.outside
    axes.legend()
    axes.set(title="Spots per frame", xlabel="spots on a frame", ylabel="frames")
    return Picture("spots", "spots", figure, "Frames with a crystal and frames without one." + _beyond(outside))


def _crystals(found: RunColumns) -> Iterator[Picture]:
    edges = count_edges(found.n_indexed)
    yield _histogram_of(
        "n_indexed",
        "Spots that a crystal explains",
        "indexed spots",
        found.n_indexed,
        edges,
        "The number of spots near the predicted positions of each crystal.",
    )
    yield _histogram_of(
        "share",
        "Share of its frame's spots",
        "indexed spots / spots of the frame",
        found.share_indexed,
        np.linspace(0, 1, 41),
        "The share is low if several crystals share a frame, or if spots are false.",
    )
    rmsd = found.rmsd * 1e3
    bulk = central_edges(rmsd)
    yield _histogram_of(
        "rmsd",
        "Distance from the predicted spots",
        "rms distance / (10⁻³/Å)",
        rmsd,
        np.linspace(0, bulk[-1], len(bulk)),
        "The rms distance of the indexed spots of each crystal from their predicted positions.",
    )
    for name, values, title, label, caption in (
        ("resolution", found.resolution, "Resolution", "resolution / Å", "Up to here each crystal indexes spots."),
        (
            "chance",
            found.log10_chance,
            "Level of chance",
            "log10 of the chance level",
            "The level of this orientation alone, not of all that were tried; a lower level is surer.",
        ),
        (
            "false",
            found.log10_false,
            "False crystals as good",
            "log10 of the expected number",
            "The number of equally good crystals expected by chance on the frame, over all orientations tried. "
            "Crystals near the limit at the right are doubtful.",
        ),
    ):
        known = values[np.isfinite(values)].astype(float)
        if len(known):
            yield _histogram_of(name, title, label, known, central_edges(known), caption)


def _histogram_of(name: str, title: str, label: str, values: NDArray[Any], edges: Array, caption: str) -> Picture:
    figure, axes = new_figure(*SIZE)
    binned = histogram(values, edges)
    _stairs(axes, binned, INDEXED)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=values.dtype.kind == "i"))
    axes.set(title=title, xlabel=label, ylabel="crystals")
    return Picture(name, "spots", figure, caption + _beyond(binned.outside))


def _cell(found: RunColumns, row: int) -> Iterator[Picture]:
    mine = found.crystal_parameters[found.input_cell == row].astype(np.float64)
    given = cell_parameters(found.input_cells[row])
    cell = found.learned(row)
    learned = None if cell is None else cell_parameters(cell)
    for i, name in enumerate(PARAMETER_NAMES):
        figure, axes = new_figure(*SIZE)
        marks = [given[i]] if learned is None else [given[i], learned[i]]
        binned = histogram(mine[:, i], central_edges(mine[:, i], marks))
        _stairs(axes, binned, INDEXED)
        if learned is not None:
            axes.axvline(learned[i], color=LEARNED, linewidth=1.8, label="learned")
        axes.axvline(given[i], color="black", linestyle="--", linewidth=1.3, label="given")
        axes.legend(loc="upper right", handlelength=1.2)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.margins(x=0)
        axes.set(xlabel=_SIGNS[i], ylabel="crystals", ylim=(0, binned.counts.max() * 1.3 or 1))
        yield Picture(f"cell{row}_{name}", f"cell{row}", figure, _beyond(binned.outside).strip())


def _poles(pole_figure: PoleFigure, row: int) -> Picture:
    figure, axes = new_figure(4.6, 4.0)
    rows = wedges(pole_figure.rings)
    patches = PatchCollection([Wedge((0, 0), r1, t0, t1, width=r1 - r0) for r0, r1, t0, t1 in rows], cmap="viridis")
    patches.set_array(pole_figure.density)
    patches.set_edgecolor("face")
    patches.set_linewidth(0.3)
    patches.set_clim(0, max(2.0, pole_figure.strongest))
    axes.add_collection(patches)
    axes.add_patch(Circle((0, 0), 1, fill=False, color=GREY, linewidth=1))
    figure.colorbar(patches, ax=axes, shrink=0.75, label="× random")
    for x, y, text in ((1.1, 0, "x"), (0, 1.1, "y")):
        axes.text(x, y, text, ha="center", va="center")
    axes.set(title=f"Directions of {pole_figure.axis}", xlim=(-1.15, 1.2), ylim=(-1.1, 1.2), aspect="equal")
    axes.set_axis_off()
    return Picture(
        f"orientation{row}_{pole_figure.axis.replace(', ', '')}",
        f"orientation{row}",
        figure,
        in_words(pole_figure).capitalize(),
    )


def in_words(pole_figure: PoleFigure) -> str:
    """A sentence that says whether an axis prefers a direction."""
    factors = pole_figure.strongest, pole_figure.random_strongest
    strongest, random = (f"{factor:.2g}" if factor < 10 else f"{factor:,.0f}" for factor in factors)
    verdict = "preferred orientation" if pole_figure.preferred else "no preferred orientation"
    return (
        f"{verdict}; the most frequent direction is taken {strongest} times as often as if all "
        f"were equal; random orientations of as many crystals ({pole_figure.n_crystals:,}) reach {random}."
    )


def _stairs(axes: Axes, binned: Histogram, colour: str, label: str = "") -> None:
    axes.stairs(binned.counts, binned.edges, fill=True, color=colour, alpha=0.3)
    axes.stairs(binned.counts, binned.edges, color=colour, linewidth=1.3, label=label or None)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(WHOLE)


def _beyond(outside: int) -> str:
    return f" Outside the picture: {outside:,}." if outside else ""
