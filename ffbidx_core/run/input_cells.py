"""The input cells of a run: the cells that compete on each frame, their learned values, and their search plans."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..devices import Devices
from ..learn import Lesson, are_few, learn, learn_from_few
from ..learn.mended_scale import AS_IF, DISTANCE, TOO_FEW, WAVELENGTH, KnownLengths, mended_by_learning, mended_scale
from ..learn.scales import SURE_FROM, are_too_few, find_scale
from ..learn.scan import beam_of_symmetry, scan_beam
from ..model.basis import ChangeOfBasis, ConventionalCells, PrimitiveCells, as_primitive
from ..model.cell import is_left_handed, shortest_reciprocal
from ..model.cell_numbers import CellNumbers
from ..model.detector.beam_shift import Radian
from ..model.detector.distortion import Distortion
from ..model.detector.wavelength import common_wavelength, impossible_wavelength
from ..model.plan import MOST_PLANS, SearchPlan, shared_plan
from ..model.records.frame import BatchResult, ConventionalResult, FrameBlock
from ..model.records.names import Names
from ..model.records.ragged import offsets_of
from ..model.records.remedy import Remedy
from ..model.records.run import Learned
from ..model.units import SeenUnits, suspicious_units
from ..nouns import counted
from ..parameters import Parameters
from ..read.geometry.choose import first_geometry
from ..read.geometry.distance import first_distance, first_wavelengths
from .job import Job
from .summary import CellSummary
from .tally import Tally


@dataclass
class KnownCells:
    """Input cells that compete on a frame, as the results record them.

    Attributes
    ----------
    rows : (M,) int32
        Row of each of these cells among all input cells of the run.
    as_given : (M, 3, 3) float64
        The cells as the user gave them.
    learned : Learned or None
        The learned cells; None if nothing was learned.
    """

    rows: NDArray[np.int32]
    as_given: ConventionalCells
    learned: Learned | None


@dataclass
class CellSet(KnownCells):
    """Input cells that compete on a frame, with their search plan.

    Attributes
    ----------
    given : (M, 3, 3) float64
        The primitive cells of the cells that the user gave, rows a, b, c, angstrom.
    change : ChangeOfBasis
        The changes of basis between the cells that the user gave and their primitive cells.
    plan : SearchPlan
        The search plan, made from the learned cells if there are any.
    """

    given: PrimitiveCells
    change: ChangeOfBasis
    plan: SearchPlan

    def as_meant(self, result: BatchResult) -> ConventionalResult:
        """The result of a batch, converted to conventional cells."""
        cells = self.change.conventional(as_primitive(result.cells.astype(np.float64)), result.input_cell)
        return ConventionalResult(**(result.only(BatchResult) | {"cells": cells.astype(np.float32)}))


class InputCells:
    """All input cells of a run.

    Parameters
    ----------
    job
        The job, which gives the input cells of a block.
    p
        Parameters of the search and the learning.
    note
        Function that takes a sentence to be kept in the results.
    show
        Function that takes a sentence to be shown but not kept, because it depends on the division into batches.

    Attributes
    ----------
    most : int
        Largest number of cells that have competed on a frame so far.
    """

    def __init__(self, job: Job, p: Parameters, note: Callable[[str], object], show: Callable[[str], object]) -> None:
        self._job, self._p, self._note, self._show = job, p, note, show
        self._numbers = CellNumbers()
        self._sets: dict[bytes, CellSet] = {}
        self._learned: dict[bytes, Learned] = {}
        self._shown: dict[bytes, tuple[ConventionalCells, list[str]]] = {}
        self._seen = SeenUnits()
        self.most = 1

    def learn(self, devices: Devices, blocks: Sequence[FrameBlock]) -> list[tuple[Learned, Lesson]]:
        """Learn the input cells of these blocks from their frames; `take_up` puts the result to use."""
        learned = []
        for given, frames in self._by_cells(blocks):
            change = self._change(given)
            teach = learn_from_few if are_few(frames.offsets, self._p) else learn
            lesson = teach(devices, frames.spots, frames.offsets, change.primitive(given), self._p)
            cells = change.conventional(lesson.cells)
            learned.append((Learned(given, cells, lesson.n_crystals, lesson.spread), lesson))
        return learned

    def without_origin(self, block: FrameBlock) -> FrameBlock:
        """A block without the spots inside the first shell of reciprocal space."""
        if not block.has_usable_frames:
            return block
        given = self._job.cells_of(block)
        nearest = min(map(shortest_reciprocal, self._primitive(given)))
        far = np.linalg.norm(block.spots.astype(np.float64), axis=1) >= nearest
        return dataclasses.replace(block, spots=block.spots[far], offsets=offsets_of(far)[block.offsets])

    def scan_beam(self, devices: Devices, blocks: Sequence[FrameBlock]) -> Radian | None:
        """Search these blocks for a beam that is far off; returns its shift (2,) in radian, or None."""
        return self._beam_by(scan_beam, devices, blocks)

    def beam_of_symmetry(self, devices: Devices, blocks: Sequence[FrameBlock]) -> Radian | None:
        """Search for a beam that is far off by the symmetry of the frames; its shift (2,) in radian, or None."""
        return self._beam_by(beam_of_symmetry, devices, blocks)

    def remedy_of_scale(self, devices: Devices, blocks: Sequence[FrameBlock]) -> Remedy | str | None:
        """The option to change if the frames of these blocks fit their cells at another scale; None if the scale is 1.

        If the frames are too few to find out, a sentence says so. The option is the wavelength if nothing that is
        diffracted has the given one, otherwise that of `mended_scale`.
        """
        groups = self._by_cells(blocks)
        if not groups:
            return None
        inputs = self._job.paths, self._job.geometry, self._job.prober
        wavelengths = first_wavelengths(*inputs)
        if (meant := impossible_wavelength(wavelengths)) is not None:
            return Remedy(WAVELENGTH, [f"{meant[0]:.6g}"], AS_IF.format(float(np.median(wavelengths)), meant[1]))
        given, frames = max(groups, key=lambda group: group[1].n_frames)
        scale = find_scale(devices, frames.spots, frames.offsets, self._primitive(given), self._p)
        if scale is None:
            few = counted(int(np.count_nonzero(np.diff(frames.offsets) >= self._p.learn_min_spots)), "frame")
            return TOO_FEW.format(few, 2 * SURE_FROM) if are_too_few(frames.offsets, self._p) else None
        return mended_scale(scale, given, self._job.centrings(len(given)), self._known_lengths())

    def remedy_of_learned(self, found: Sequence[Learned], blocks: Sequence[FrameBlock]) -> Remedy | None:
        """The option to change if a learned cell differs from the given one by a common factor; None if none does."""
        for each in found:
            centrings = self._job.centrings(len(each.given))
            for given, cell, n, centring in zip(each.given, each.cells, each.n_crystals, centrings, strict=True):
                spots = np.concatenate([block.spots for block in blocks])
                if n and (mended := mended_by_learning(given, cell, spots, centring, self._known_lengths)):
                    return mended
        return None

    def _known_lengths(self) -> KnownLengths:
        inputs = self._job.paths, self._job.geometry, self._job.prober
        geometry, _ = first_geometry(*inputs)
        typed = frozenset(option for option in (DISTANCE, WAVELENGTH) if self._job.config.get(option[2:]) is not None)
        wavelength = common_wavelength(first_wavelengths(*inputs))
        return KnownLengths(geometry is not None, first_distance(*inputs), wavelength, typed)

    def _beam_by(
        self, find: Callable[..., Radian | None], devices: Devices, blocks: Sequence[FrameBlock]
    ) -> Radian | None:
        groups = self._by_cells(blocks)
        if not groups:
            return None
        given, frames = max(groups, key=lambda group: group[1].n_frames)
        return find(devices, frames.spots, frames.offsets, self._primitive(given), self._p)

    def most_common(self, blocks: Sequence[FrameBlock]) -> tuple[PrimitiveCells, list[FrameBlock]]:
        """The primitive input cells (M, 3, 3) that most frames of the blocks have, and the blocks of these frames."""
        most = max(self._grouped(blocks), key=lambda group: sum(block.n_frames for block in group), default=[])
        if not most:
            return as_primitive(np.zeros((0, 3, 3))), []
        return self._primitive(self._job.cells_of(most[0])), most

    def _by_cells(self, blocks: Sequence[FrameBlock]) -> list[tuple[ConventionalCells, FrameBlock]]:
        """Each set of input cells with its frames joined to one block."""
        return [(self._job.cells_of(group[0]), FrameBlock.joined(group)) for group in self._grouped(blocks)]

    def _grouped(self, blocks: Sequence[FrameBlock]) -> list[list[FrameBlock]]:
        """The blocks with usable frames, grouped by their input cells."""
        groups: dict[bytes, list[FrameBlock]] = {}
        for block in blocks:
            if block.has_usable_frames:
                groups.setdefault(self._job.cells_of(block).tobytes(), []).append(block)
        return list(groups.values())

    def take_up(self, learned: Sequence[Learned]) -> None:
        """Use learned cells from the next block on."""
        for group in learned:
            self._learned[group.given.tobytes()] = group
            self._sets.pop(group.given.tobytes(), None)

    def go_on_with(self, job: Job, p: Parameters) -> None:
        """Use the cells of another job and other parameters from the next block on."""
        self._job, self._p = job, p
        self._sets.clear()

    def get(self, block: FrameBlock) -> CellSet:
        """The input cells of a block with their search plan."""
        given = self._job.cells_of(block)
        key = given.tobytes()
        if key not in self._sets:
            if len(self._sets) >= MOST_PLANS:
                del self._sets[next(iter(self._sets))]
            learned, change = self._learned.get(key), self._change(given)
            used, rows = given if learned is None else learned.cells, self.rows(given)
            spread = None if learned is None else learned.spread
            primitive, plan = shared_plan(change.primitive(given), change.primitive(used), self._p, spread)
            self._sets[key] = CellSet(rows, given, learned, primitive, change, plan)
        return self._sets[key]

    def _change(self, given: ConventionalCells) -> ChangeOfBasis:
        """The changes of basis between input cells (M, 3, 3) and their primitive cells."""
        return ChangeOfBasis.of_each(given, self._job.centrings(len(given)))

    def _primitive(self, given: ConventionalCells) -> PrimitiveCells:
        """The primitive cells (M, 3, 3) of input cells."""
        return self._change(given).primitive(given)

    def of_batch(self, batch: FrameBlock) -> CellSet | None:
        """The input cells of a batch with their search plan; None if no frame is usable.

        If spots or cells appear to be in nanometres, a message is shown, once for each set of input cells; the first
        spots of a file show this. Spots that were computed with a geometry have the right unit.
        """
        if not batch.has_usable_frames:
            return None
        cells = self.get(batch)
        given, files = cells.as_given, Names.of(batch.sources).values
        if self._job.geometry is None and self._seen.look_at(given, files, len(batch.spots)):
            self.show_once(given, suspicious_units(batch.spots, batch.offsets, given))
        return cells

    def show_once(self, given: ConventionalCells, sentences: Iterable[str]) -> None:
        """Show messages about a set of input cells, unless one was shown about this set before."""
        if given.tobytes() not in self._shown and (texts := list(sentences)):
            self._shown[given.tobytes()] = given, texts
            for text in texts:
                self._show(text)

    @property
    def shown(self) -> list[tuple[ConventionalCells, list[str]]]:
        """The messages that were shown about each set of input cells."""
        return list(self._shown.values())

    @property
    def distortion(self) -> Distortion | None:
        """The distortion of the detector that the run corrects; None if there is none."""
        return next((group.distortion for group in self._learned.values() if group.distortion), None)

    @property
    def given(self) -> ConventionalCells:
        """The input cells (m, 3, 3) of the run so far, in the order of `/input_cells`; rows a, b, c, angstrom."""
        return self._numbers.cells

    def summaries(self, tally: Tally) -> list[CellSummary]:
        """The summary of the crystals of each input cell, in the order of `/input_cells`."""
        learned = {
            self._numbers.find(group.given[m]): (group.cells[m], int(group.n_crystals[m]))
            for group in self._learned.values()
            for m in np.flatnonzero(group.n_crystals)
        }
        return [
            tally.cell_summary(row, given, *learned.get(row, (None, 0)))
            for row, given in enumerate(self._numbers.cells)
        ]

    def rows(self, given: ConventionalCells) -> NDArray[np.int32]:
        """The row of each of the cells that compete on a frame among all cells of the run."""
        self.most = max(self.most, len(given))
        return self.numbers(given)

    def numbers(self, given: ConventionalCells) -> NDArray[np.int32]:
        """The row of each cell among all cells of the run; the first time a cell is left-handed, a note is made."""
        n_known = len(self._numbers)
        rows = self._numbers.of(given)
        for row, cell in enumerate(self._numbers.cells[n_known:], start=n_known):
            if is_left_handed(cell):
                self._note(f"input cell {row} is left-handed; it is used unchanged")
        return rows
