"""The picture of one frame: its spots, the spots that each crystal explains, and the spots that it predicts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from ..errors import InputError
from ..model.basis import is_allowed
from ..model.cell import Array, reciprocal
from ..model.crystal import NO_CRYSTAL, excitation_errors
from ..model.detector.pixels import is_real, wavelength_of_spots
from ..model.ewald import indices_near_sphere
from ..model.records.frame import FrameStatus
from ..model.records.reason import FrameReason, Rung
from ..model.records.results import Results
from ..nouns import counted
from ..read.indexed_frames import IndexedFrame, indexed_frames
from ..read.results import read_run, results_in_pieces
from ..read.run_inputs import RunInputs
from .style import CRYSTALS, GREY, styled

EXCITED = 90
"""Percentile of the distances of indexed spots from the Ewald sphere within which reflections are predicted."""
LEAST_WIDTH = 2e-4
"""Smallest distance from the Ewald sphere within which reflections are predicted, 1/angstrom."""


@dataclass(frozen=True)
class Prediction:
    """The reflections that a crystal is predicted to show.

    Attributes
    ----------
    hkl : (n, 3) int64
        Miller indices of the reflections.
    spots : (n, 3) float64
        Positions of the reflections, 1/angstrom.
    """

    hkl: NDArray[np.int64]
    spots: Array


def find_frame(path: str, which: str) -> tuple[int, Results]:
    """Find a frame of a results file; returns its number in the file, and its results.

    Parameters
    ----------
    which
        The number of the frame, counted from 0, or its name `FILE//INDEX` in the results.

    Raises
    ------
    InputError
        If there is no such frame.
    """
    number = int(which) if re.fullmatch(r"[0-9]+", which) else None
    before = 0
    for piece in results_in_pieces(path):
        if number is None:
            source, _, index = which.rpartition("//")
            rows = np.flatnonzero((piece.source == source) & (piece.index.astype(str) == index))
        else:
            rows = np.flatnonzero(np.arange(piece.n_frames) == number - before)
        if len(rows):
            f = int(rows[0])
            return before + f, piece[f : f + 1]
        before += piece.n_frames
    wanted = f"FILE//INDEX as `ffbidx table` shows it, or 0 to {before - 1}"
    raise InputError(path, f"has no frame {which}: give {wanted}")


def read_spots(path: str, results: Results) -> IndexedFrame:
    """Read the spots of the single frame of some results again from its input.

    Parameters
    ----------
    path
        Name of the results file.

    Raises
    ------
    InputError
        If the frame could not be read in the run, or cannot be read now.
    """
    header, _, record, _, _ = read_run(path)
    for frame in indexed_frames([results], RunInputs.of_header(header, None, record, path)):
        return frame
    raise InputError(results.source[0], "could not be read, so that there is nothing to show")


def wavelength_of(frame: IndexedFrame) -> float | None:
    """The wavelength in angstrom: that of the peaks, or that of the Ewald sphere on which the spots lie.

    It is None if the spots do not lie on a sphere through the origin with the beam along +z.
    """
    if frame.peaks is not None and frame.peaks.wavelength[0] > 0:
        return float(frame.peaks.wavelength[0])
    return wavelength_of_spots(frame.spots)


def predict(frame: IndexedFrame, crystal: int, wavelength: float | None) -> Prediction:
    """Predict the reflections of a crystal within the excitation error and resolution of the spots of the frame.

    Without a wavelength, the reflections are those of the indexed spots.
    """
    cell, lattice = frame.cells[crystal], frame.lattices[crystal]
    hkl = frame.hkl[frame.crystal == crystal]
    if wavelength is not None and len(hkl):
        excitation = np.abs(excitation_errors(hkl, cell, wavelength))
        width = max(float(np.percentile(excitation, EXCITED)), LEAST_WIDTH)
        q_max = float(np.linalg.norm(frame.spots, axis=1).max())
        near = indices_near_sphere(cell, wavelength, q_max, width)
        hkl = near[is_allowed(near, lattice.centring)]
    hkl = hkl[(hkl != 0).any(axis=1)]
    return Prediction(hkl, hkl @ reciprocal(cell))


@styled()
def draw_frame(frame: IndexedFrame, results: Results, number: int) -> Figure:
    """Draw a frame: its spots and predictions seen along the beam, and their distances."""
    both = len(frame.cells) > 0
    figure = Figure(figsize=(12 if both else 8.2, 8))
    left, *right = figure.subplots(1, 1 + both, width_ratios=(2.1, 1)[: 1 + both], squeeze=False)[0]
    wavelength = wavelength_of(frame)
    _draw_spots(left, frame, results, wavelength)
    for axes in right:
        _draw_residuals(axes, frame)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    name = f"  {frame.name}" if frame.name else ""
    seen = "" if wavelength is None else f"; wavelength {wavelength:.4g} Å"
    figure.suptitle(
        f"frame {number}: {frame.source}//{frame.index}{name}\n{counted(int(is_real(frame.spots).sum()), 'spot')}; "
        f"{fate(frame, results)}{seen}",
        x=0.01,
        ha="left",
        fontsize=11,
        parse_math=False,
    )
    return figure


def fate(frame: IndexedFrame, results: Results) -> str:
    """The status of a frame as text, with the try that indexed it, or the reason unless the status implies it."""
    status = frame.status.words
    if results.rung is not None and results.rung[0]:
        return f"{status} by retry ({Rung(results.rung[0]).words})"
    if frame.status == FrameStatus.NOT_INDEXED and results.reason is not None and results.reason[0]:
        return f"{status} ({FrameReason(results.reason[0]).words})"
    return status


def _draw_spots(axes: Axes, frame: IndexedFrame, results: Results, wavelength: float | None) -> None:
    spots = frame.spots
    for k in range(len(frame.cells)):
        colour = CRYSTALS[k % len(CRYSTALS)]
        x, y, _ = predict(frame, k, wavelength).spots.T
        label = f"predicted, crystal {k}: {len(x)}"
        axes.plot(x, y, "o", mfc="none", mec=colour, ms=6.5, mew=0.6, alpha=0.5, label=label)
        x, y, _ = spots[frame.crystal == k].T
        axes.plot(x, y, "o", color=colour, ms=3.6, label=f"indexed, crystal {k}: {len(x)}{_how_well(results, k)}")
    free = spots[(frame.crystal == NO_CRYSTAL) & is_real(spots)]
    axes.plot(free[:, 0], free[:, 1], "x", color="black", ms=5, mew=1.1, label=f"unindexed: {len(free)}")
    limit = 1.08 * float(np.abs(spots[:, :2]).max(initial=0.01))
    _draw_rings(axes, limit)
    axes.set(xlabel="x / (1/Å)", ylabel="y / (1/Å)", xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    axes.grid(False)


def _how_well(results: Results, k: int) -> str:
    known = {"{:.1f} by chance": results.n_expected[k], "log10 false {:.0f}": results.log10_false[k]}
    words = [text.format(value) for text, value in known.items() if not np.isnan(value)]
    return "".join(f", {word}" for word in [*words, f"rms {results.rmsd[k]:.5f}/Å"])


def _draw_rings(axes: Axes, limit: float) -> None:
    """Draw circles of some resolutions, in the approximation of a flat Ewald sphere."""
    for d in _resolutions(limit):
        axes.add_patch(Circle((0, 0), 1 / d, fill=False, color=GREY, linewidth=0.5, linestyle=":"))
        axes.text(0, 1 / d, f"{d:g} Å", color=GREY, fontsize=8, ha="center", va="bottom", clip_on=True)
    axes.plot(0, 0, "+", color=GREY, ms=9)


def _resolutions(limit: float) -> Iterator[float]:
    """Yield some round resolutions in angstrom, about evenly spaced between the beam and 1 / limit."""
    steps = np.array([1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50])
    for q in limit * np.array([0.33, 0.63, 0.92]):
        yield float(steps[np.argmin(np.abs(steps - 1 / q))])


def _draw_residuals(axes: Axes, frame: IndexedFrame) -> None:
    """Draw the differences between the indexed spots and their predicted positions."""
    largest = 0.0
    for k, cell in enumerate(frame.cells):
        mine = frame.crystal == k
        off = (frame.spots[mine] - frame.hkl[mine] @ reciprocal(cell))[:, :2] * 1e3
        largest = max(largest, float(np.abs(off).max(initial=0)))
        axes.plot(*off.T, "o", color=CRYSTALS[k % len(CRYSTALS)], ms=3.2, alpha=0.8)
    limit = 1.1 * largest or 1.0
    axes.locator_params(nbins=5)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set(
        title="Indexed − predicted positions",
        xlabel="x / (10⁻³/Å)",
        ylabel="y / (10⁻³/Å)",
        xlim=(-limit, limit),
        ylim=(-limit, limit),
        aspect="equal",
    )
