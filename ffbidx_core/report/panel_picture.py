"""The picture of the panels of a detector: their motions, and the residuals on them before and after."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from ..model.cell import Array
from ..model.detector.placed import PlacedPanels
from ..panels.equations import BIWEIGHT
from ..panels.fit import residuals_of
from ..panels.peaks import IndexedPeaks
from ..panels.refine import FEW_PEAKS, Refinement
from .figures import Picture
from .style import FAILED, GREY, INDEXED, styled

CELLS = 3
"""Number of squares along each edge of a panel in which residuals are averaged."""
FEWEST = 4
"""Smallest number of peaks of a square with an arrow."""
LONGEST = 0.8
"""Length of the longest arrow, in units of a panel edge."""
SIZE = (13.0, 4.8)


@styled()
def panel_picture(refined: Refinement) -> Picture:
    """Draw the motions of panels, and mean residuals in squares of them before and after; each plot has one scale."""
    assert refined.fit is not None
    assert refined.gain is not None
    figure = Figure(figsize=SIZE)
    moved, before, after = figure.subplots(1, 3)
    _draw_motions(moved, refined)
    old = mean_residuals(refined.first_peaks, refined.at_first, BIWEIGHT * refined.fit.noise_before)
    new = mean_residuals(refined.peaks, refined.panels, BIWEIGHT * refined.fit.noise)
    longest = _longest(old[1])
    for axes, (places, means), what, value, colour in (
        (before, old, "before", refined.gain.before, FAILED),
        (after, new, "after", refined.gain.after, INDEXED),
    ):
        _outline(axes, refined.before, np.zeros(refined.before.n_panels, dtype=bool))
        _arrows(axes, places, means * _scale(axes, refined.before, longest), colour)
        axes.set_title(f"Residuals {what}: {value:.2f} px")
    return Picture(
        "panels",
        "diagnosis",
        figure,
        "Left: motions of the panels; hatched panels have too few peaks and moved with their group. Middle and right: "
        "mean of observed − predicted positions in squares of each panel, before and after; the longest arrow is "
        f"{longest:.2f} px. "
        "The numbers are those of crystals that were not fitted.",
        wide=True,
    )


def mean_residuals(peaks: IndexedPeaks, panels: PlacedPanels, widest: float) -> tuple[Array, Array]:
    """The centres (n, 2), mm, and mean residuals (n, 2), pixels along x and y, of squares with enough peaks."""
    found = residuals_of(peaks, panels)
    near = np.linalg.norm(found.values[:, :2], axis=1) < widest
    pairs, values = found.pairs[near], found.values[near, :2]
    panel = pairs.panel
    share = (pairs.pixels[:, :2] - panels.first[panel]) / panels.size[panel]
    square = np.clip((share * CELLS).astype(np.int64), 0, CELLS - 1)
    number = (panel * CELLS + square[:, 0]) * CELLS + square[:, 1]
    n = panels.n_panels * CELLS**2
    counts = np.bincount(number, minlength=n)
    axes = np.stack([panels.fast, panels.slow], axis=1)[panel, :, :2] / panels.pixel
    along = np.einsum("na,nai->ni", values, axes)
    kept = counts >= FEWEST
    sums = np.stack([np.bincount(number, along[:, i], n) for i in (0, 1)], axis=1)[kept]
    of, rest = np.divmod(np.flatnonzero(kept), CELLS**2)
    middle = (np.stack(np.divmod(rest, CELLS), axis=1) + 0.5) / CELLS * panels.size[of]
    places = panels.corner[of] + middle[:, :1] * panels.fast[of] + middle[:, 1:] * panels.slow[of]
    return places[:, :2], sums / counts[kept, None]


def _draw_motions(axes: Axes, refined: Refinement) -> None:
    fit, panels = refined.fit, refined.before
    assert fit is not None
    few = fit.counts < FEW_PEAKS
    _outline(axes, panels, few)
    across = fit.motion[:, :2]
    longest = _longest(across[~few])
    scale = _scale(axes, panels, longest)
    for rows, colour in ((~few, FAILED), (few, GREY)):
        _arrows(axes, panels.centre[rows, :2], across[rows] * scale, colour)
    axes.set_title(f"Panels moved, by {longest:.2f} px at most")


def _outline(axes: Axes, panels: PlacedPanels, hatched: np.ndarray) -> None:
    corners = panels.points()[:, [0, 2, 8, 6], :2]
    for rows, hatch in ((~hatched, None), (hatched, "////")):
        axes.add_collection(
            PolyCollection(list(corners[rows]), facecolors="none", edgecolors=GREY, linewidths=0.5, hatch=hatch)
        )
    axes.plot(0, 0, "+", color=GREY, ms=9)
    axes.autoscale_view()
    axes.set(xlabel="x / mm", ylabel="y / mm", aspect="equal")


def _arrows(axes: Axes, places: Array, arrows: Array, colour: str) -> None:
    if len(places):
        axes.quiver(
            *places.T, *arrows.T, color=colour, angles="xy", scale_units="xy", scale=1, width=0.004, minlength=0.2
        )


def _longest(vectors: Array) -> float:
    """The length of the longest of some vectors; not 0, since arrows are drawn in its units."""
    return max(float(np.linalg.norm(vectors, axis=1).max(initial=0)), 1e-6)


def _scale(axes: Axes, panels: PlacedPanels, longest: float) -> float:
    """The length in mm with which a plot shows 1 px, so that its longest arrow fits a panel; a bar above shows it."""
    shorter_edge = float(panels.size.min(axis=1).mean()) * panels.pixel
    scale = LONGEST * shorter_edge / longest
    shown = round_length(longest)
    bar = AnchoredSizeBar(
        axes.transData, shown * scale, f"{shown:g} px", "lower right", frameon=False, borderpad=0.2, sep=2,
        size_vertical=0, label_top=True, bbox_to_anchor=(1.0, 1.0), bbox_transform=axes.transAxes,
    )  # fmt: skip
    axes.add_artist(bar)
    return scale


def round_length(longest: float) -> float:
    """The largest of 1, 2 and 5 times the powers of ten that is at most a length."""
    power = 10.0 ** np.floor(np.log10(longest))
    return float(max(factor * power for factor in (1, 2, 5) if factor * power <= longest))
