"""Decoys: lattices that are certainly not there, tried on indexed frames to see whether they do as well as crystals.

The expected number of false crystals assumes random spots. Spots of another lattice, or of the right one computed with
a wrong beam centre, distance or wavelength, are not random and produce more coincidences. The frames themselves show
how many: the same search is made with *decoys*, which are cells that differ from the cell of the run in one axis or in
all axes, and the cell of the run with the beam displaced. A decoy shares as much with the cell as another lattice may.
A true crystal is far better than every decoy; a coincidence is not.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..model.basis import PrimitiveCells, as_primitive
from ..model.cell import Array, shortest_reciprocal
from ..model.detector.beam_shift import Radian
from ..model.detector.pixels import spots_of_moved_detector, wavelength_of_spots
from ..model.misfit.equations import Spread
from ..model.plan import SearchPlan
from ..model.records.doubt import Contest
from ..model.records.ragged import offsets_of
from ..model.records.spots import FrameSpots
from ..parameters import Parameters
from .scan import STEP, hexagonal_net

ONE_AXIS, ALL_AXES = 1.13, 1.17
"""Factors (or divisors) of a decoy's axes: too large for a strain, and no ratios of small whole numbers."""
FAR, NEAR = 1.7, 0.35
"""Beam shifts of decoys in units of the shortest reciprocal vector; only the far ones hide a lattice."""
DIRECTIONS = 6
SPREAD_OF_SHIFTS = (0.9, 1.3)
"""Factors between which the shifts grow over the six directions."""
CLOSE = 0.5
"""Share of the crystal's evidence above which a decoy is close to it."""
NOT_FAR, MOST, RINGS = 0.45, 3, 10
"""Frames on which a decoy has more than the first share of the crystal's evidence are searched with many more shifts.

They are at most as many as the second number; the shifts are on a net of `STEP` and as many rings as the third number.
"""


@dataclass(frozen=True)
class IndexedSpots(FrameSpots):
    """The spots of F indexed frames with the same input cell.

    Attributes
    ----------
    cell : (3, 3) float64
        The primitive input cell, or the learned cell if there is one, rows a, b, c, angstrom.
    spread : Spread or None
        Scatter of residuals and strains; None if it was not learned.
    """

    cell: PrimitiveCells
    spread: Spread | None = None


def contest(devices: Devices, frames: IndexedSpots, *, known: Array | None = None, everywhere: bool = False) -> Contest:
    """Index frames with their cell and with its decoys, and count the frames on which a decoy is better or close.

    Parameters
    ----------
    devices
        Devices that compute.
    frames
        The frames.
    known : (F,) or None
        Least evidence of the crystal of each frame, which a single search may miss.
    everywhere
        Whether the beam is also tried up to three shortest reciprocal vectors away in small steps, for few frames:
        where the true beam is, the spots fit better than with a wrong crystal.
    """
    p = Parameters.preset("best", searches=1, max_false_rate=1.0)
    (own,), *decoys = (
        _evidence(devices, frames, [frames.spots], cell, p) for cell in (frames.cell, *decoy_cells(frames.cell))
    )
    beams = _displaced(devices, frames, decoy_shifts(frames.cell), p)
    if known is not None:
        own = np.fmax(own, known)
    unlike = np.concatenate([*decoys, beams[:DIRECTIONS]]).max(axis=0)
    rivals = np.maximum(unlike, np.max(beams[DIRECTIONS:], axis=0))
    beaten, close, n_elsewhere = own < rivals, CLOSE * own < unlike, 0
    if everywhere:
        unclear = np.flatnonzero((NOT_FAR * own < rivals) & (rivals <= own))[:MOST]
        net = STEP * shortest_reciprocal(frames.cell) * hexagonal_net(RINGS)
        elsewhere = _displaced(devices, frames.take(unclear), net, p).max(axis=0)
        n_elsewhere = int((elsewhere > own[unclear]).sum())
        rivals[unclear] = np.where(elsewhere > own[unclear], elsewhere, rivals[unclear])
    return Contest(
        frames.n_frames,
        int(beaten.sum()),
        int(close.sum()),
        n_unclear=int((beaten | close).sum()),
        evidence=round(float(own.sum()), 2),
        rivals=round(float(rivals.sum()), 2),
        n_elsewhere=n_elsewhere,
    )


def decoy_cells(cell: PrimitiveCells) -> Iterator[PrimitiveCells]:
    """Yield primitive cells (3, 3) that differ from `cell`: one axis, or all axes, are longer or shorter."""
    for axis, factor in itertools.product(range(3), (ONE_AXIS, 1 / ONE_AXIS)):
        scale = np.ones((3, 1))
        scale[axis] = factor
        yield as_primitive(scale * cell)
    yield as_primitive(ALL_AXES * cell)
    yield as_primitive(cell / ALL_AXES)


def decoy_shifts(cell: PrimitiveCells) -> Array:
    """Far and near shifts (2 DIRECTIONS, 2) of the beam, 1/angstrom; times the wavelength they are in radian."""
    angle = 2 * np.pi * (np.arange(DIRECTIONS) + 0.3) / DIRECTIONS
    length = np.linspace(*SPREAD_OF_SHIFTS, DIRECTIONS)[:, None]
    shifts = shortest_reciprocal(cell) * length * np.column_stack([np.cos(angle), np.sin(angle)])
    return np.concatenate([FAR * shifts, NEAR * shifts])


def _displaced(devices: Devices, frames: IndexedSpots, shifts: Array, p: Parameters) -> Array:
    """The evidence (n, F) of frames with the beam at shifts (n, 2), 1/angstrom; 0 if spots lie on no Ewald sphere."""
    spots = frames.spots.astype(np.float64)
    each = [wavelength_of_spots(spots[begin:end]) for begin, end in itertools.pairwise(frames.offsets)]
    on_sphere = np.flatnonzero([wavelength is not None for wavelength in each])
    found, some = np.zeros((len(shifts), frames.n_frames)), frames.take(on_sphere)
    if len(on_sphere):
        wavelengths = [wavelength for wavelength in each if wavelength is not None]
        moved = [_moved(some, wavelengths, shift) for shift in shifts]
        found[:, on_sphere] = _evidence(devices, some, moved, frames.cell, p)
    return found


def _moved(frames: IndexedSpots, wavelengths: list[float], shift: Array) -> NDArray[np.float32]:
    """The spots of frames, which have wavelengths in angstrom, with the beam displaced by a shift (2,), 1/angstrom."""
    wavelength = np.repeat(wavelengths, frames.counts)
    spots = spots_of_moved_detector(frames.spots.astype(np.float64), wavelength, Radian(np.outer(wavelength, shift)))
    return spots.astype(np.float32)


def _evidence(
    devices: Devices, frames: IndexedSpots, versions: list[NDArray[np.float32]], cell: PrimitiveCells, p: Parameters
) -> Array:
    """The evidence (versions, F) of frames: -log10 of the expected false crystals as good as the best, at least 0."""
    counts = frames.counts
    result = devices.index_frames(
        np.concatenate(versions),
        offsets_of(np.tile(counts, len(versions))),
        SearchPlan.make(as_primitive(cell[None]), p, frames.spread),
        p,
    )
    evidence = np.zeros(len(versions) * frames.n_frames)
    frame = np.repeat(np.arange(len(evidence)), np.diff(result.crystal_offsets))
    np.maximum.at(evidence, frame, -result.log10_false.astype(np.float64))
    return evidence.reshape(len(versions), frames.n_frames)
