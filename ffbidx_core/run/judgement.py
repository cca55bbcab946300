"""The test, on some indexed frames at the end of a run, whether its crystals are to be believed."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..errors import InputError
from ..learn.decoys import IndexedSpots, contest
from ..learn.multiples import as_conventional, without_multiples
from ..model.basis import ChangeOfBasis, ConventionalCells, PrimitiveCells, as_given
from ..model.cell import shortest_reciprocal
from ..model.chance.level import LARGEST_SHARE, RADII
from ..model.lattice import cell_option, lattices_by_cell
from ..model.misfit.equations import Spread
from ..model.records.doubt import FEW, RARE, UNJUDGED, Contest
from ..model.records.frame import FrameStatus
from ..model.records.ragged import evenly, offsets_of
from ..model.records.reason import Rung
from ..model.records.remedy import Remedy
from ..model.records.results import Results
from ..read.indexed_frames import indexed_frames
from ..read.run_inputs import RunInputs
from ..read.sift import ResolutionLimits
from .account import Account
from .collector import Collector
from .learning import Settled, first_frames

FIRST = 16
"""Number of frames that suffice if the crystals win clearly."""
MULTIPLE = (
    "the crystals of this run are not to be believed: the input cell is {} times as large as the true one; the cell "
    "that explains the same spots is --cell {}"
)


@dataclass(frozen=True)
class JudgedFrame:
    """An indexed frame and its best crystal.

    Attributes
    ----------
    spots : (n, 3) float32
        The spots that were searched, 1/angstrom.
    crystal : (3, 3) float64
        The oriented primitive cell of the crystal, rows a, b, c, angstrom.
    cell, conventional : (3, 3) float64
        The primitive and the conventional input cell of the crystal, or its learned cell if there is one, angstrom.
    spread : Spread or None
        Scatter of residuals and strains of the crystals of this cell; None if it was not learned.
    known : float
        Evidence of the crystal if a further try found it, which a single search may miss; otherwise 0.
    """

    spots: NDArray[np.float32]
    crystal: PrimitiveCells
    cell: PrimitiveCells
    conventional: ConventionalCells
    spread: Spread | None
    known: float = 0.0

    @property
    def hkl(self) -> NDArray[np.int64]:
        """The Miller indices (n, 3) of the indexed spots on the primitive cell."""
        indices = self.spots @ self.crystal.T
        whole = np.rint(indices)
        off = np.linalg.norm((indices - whole) @ np.linalg.inv(self.crystal).T, axis=1)
        near = off < min(RADII[-2], LARGEST_SHARE * shortest_reciprocal(self.cell))
        return np.asarray(whole[near & (whole != 0).any(axis=1)], dtype=np.int64)


def judged(account: Account, settled: Settled, devices: Devices, collector: Collector) -> Contest:
    """Compare the crystals of a finished run with decoys, which are lattices that are certainly not there.

    Up to `judge_frames` indexed frames, spread evenly over the run, are read again. If the crystals win clearly,
    `FIRST` of these frames suffice. If the spots cannot be read again there is no contest, and a message says so.
    """
    if account.p.judge_frames == 0 or account.saved.is_complete:
        return account.saved.mark.contest
    try:
        frames = list(_frames(settled, collector.sample.frames))
    except InputError as error:
        account.show(f"whether the crystals are to be believed was not tested: {error}")
        return Contest()
    first = [frames[k] for k in evenly(np.arange(len(frames)), FIRST)]
    found = _contest(devices, first)
    if not found.is_won and len(first) < len(frames):
        found = _contest(devices, frames)
    searched = int(account.tally.status[[FrameStatus.INDEXED, FrameStatus.NOT_INDEXED]].sum())
    multiple, cell = _multiple(frames)
    return dataclasses.replace(
        found,
        multiple=multiple,
        n_searched=searched,
        multiple_cell=cell,
        fits_otherwise=account.remedy is not None and account.tally.n_indexed < RARE * searched,
    )


def look_at_scale(account: Account, settled: Settled, devices: Devices, contest: Contest) -> None:
    """Try other scales on the first frames of a finished run whose crystals lost, if they were not tried before.

    A distance that is a few per cent off leaves many crystals, which no other scale of the cell would improve enough to
    be noticed before the first batch.
    """
    job, p = settled.job, account.p
    if not contest.is_lost or account.remedy is not None or account.saved.is_complete:
        return
    try:
        head, _ = first_frames(job.first_blocks(), p.learn_cell)
    except InputError:
        # That the spots cannot be read again is known from the judgement.
        return
    remedy = account.cells.remedy_of_scale(devices, head)
    if isinstance(remedy, Remedy):
        account.remedy = remedy
        account.show(remedy.why)


def _frames(settled: Settled, sample: Sequence[Results]) -> Iterator[JudgedFrame]:
    """Yield the frames of a sample with their spots."""
    for _, alike in itertools.groupby(sample, lambda frame: frame.input_cells.tobytes()):
        # The frames are joined so that each input is opened once.
        yield from _frames_of(Results.joined(list(alike)), settled)


def _frames_of(results: Results, settled: Settled) -> Iterator[JudgedFrame]:
    job = settled.job
    # The rows of a saved part are not those of the run: a live run may have begun with other cells.
    lattices = lattices_by_cell(results.input_cells, job.cells, job.lattices)
    limits = ResolutionLimits(job.d_min, job.d_max)
    learned = {
        cell.tobytes(): (as_given(group.cells[m]), group.spread)
        for group in settled.learned
        for m, cell in enumerate(group.given)
    }
    known = np.zeros(len(results.status))
    if results.rung is not None:
        further = results.rung != Rung.FIRST_TRY
        known[further] = -results.log10_false[results.crystal_offsets[:-1][further]]
    frames = indexed_frames([results], RunInputs(job.geometry, lattices, prober=job.prober), assigns=False)
    for frame, evidence in zip(frames, known.tolist(), strict=True):
        row = int(frame.input_cell[0])
        given = as_given(results.input_cells[row])
        cell, spread = learned.get(given.tobytes(), (given, None))
        change = ChangeOfBasis.of(given, lattices[row].centring)
        inside = limits.within((frame.spots**2).sum(axis=1))
        crystal = change.primitive(as_given(frame.cells[0]))
        spots = frame.spots[inside].astype(np.float32)
        yield JudgedFrame(spots, crystal, change.primitive(cell), cell, spread, evidence)


def _contest(devices: Devices, frames: Sequence[JudgedFrame]) -> Contest:
    """The contest on frames, made for one input cell at a time."""
    groups: dict[bytes, list[JudgedFrame]] = {}
    for frame in frames:
        groups.setdefault(frame.cell.tobytes(), []).append(frame)
    found, are_few = UNJUDGED, len(frames) < FEW
    for group in groups.values():
        known = np.array([frame.known for frame in group])
        found += contest(devices, _together(group), known=known, everywhere=are_few)
    return found


def _together(frames: Sequence[JudgedFrame]) -> IndexedSpots:
    return IndexedSpots(
        np.concatenate([frame.spots for frame in frames]),
        offsets_of([len(frame.spots) for frame in frames]),
        frames[0].cell,
        frames[0].spread,
    )


def _multiple(frames: Sequence[JudgedFrame]) -> tuple[str, str]:
    """Sentence and true cell if the input cell with most crystals is a multiple of a smaller cell; otherwise empty."""
    if not frames:
        return "", ""
    cells = [frame.cell.tobytes() for frame in frames]
    most = max(cells, key=cells.count)
    mine = [frame for frame in frames if frame.cell.tobytes() == most]
    cell, times = without_multiples(np.concatenate([frame.hkl for frame in mine]), mine[0].cell)
    if times == 1:
        return "", ""
    option = cell_option(*as_conventional(cell, mine[0].conventional, times))
    return MULTIPLE.format(times, option), option
