"""Learning the input cells, the beam, the detector's distortion and, on request, the panels from first frames."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...devices import Devices
from ...learn.beam import settle_beam
from ...learn.lesson import Lesson
from ...model.detector.beam_shift import NO_SHIFT, BeamShift
from ...model.detector.distortion import NO_DISTORTION
from ...model.detector.panels import Geometry
from ...model.records.frame import FrameBlock
from ...model.records.run import Learned
from ...parameters import Parameters
from ...read.geometry.choose import beam_option, first_geometry
from ...write.stores import Store
from ..account import Account
from ..input_cells import InputCells
from ..job import Job
from .distorted import CORRECTED, RIGID, fitted_distortion, in_words, is_rigid, moved_block
from .reversed_beam import REVERSED, is_reversed

BEAM_OFF = (
    "the first frames show that the beam centre is off by {:+.2f} mrad in x and {:+.2f} mrad in y: `ffbidx diagnose` "
    "says how to correct it"
)
BEAM_MOVED = (
    "the first frames show that the beam centre is off by {:+.2f} mrad in x and {:+.2f} mrad in y: the run moves it "
    "there, as {} would; --no-learn-beam leaves it unchanged"
)
GEOMETRY_TO_GO_ON = (
    "; programs that use its crystals, as indexamajig with a .sol file, need the geometry that -o FILE.geom writes"
)


SCALED_BELOW = 0.8
"""Share of indexed first frames below which other scales of the cell are tried."""


@dataclass(frozen=True)
class Settled:
    """The job and the cells that are settled before the first batch of a run.

    Attributes
    ----------
    job : Job
        The job with the beam and the detector that were learned from the first frames.
    learned : list of Learned
        The learned input cells.
    blocks : iterator of FrameBlock
        The frames of this job, from the first one on.
    """

    job: Job
    learned: list[Learned]
    blocks: Iterator[FrameBlock]


def settle(
    account: Account,
    devices: Devices,
    store: Store,
    *,
    first: Callable[[Job], Iterator[FrameBlock]],
    stop: threading.Event,
    waiting: Callable[[int], object] = lambda there: None,
) -> Settled:
    """Learn the input cells, beam and panels of a run from its first frames, unless a resumed run already has.

    Parameters
    ----------
    account
        The account of the run, which takes over the learned cells and a note of a wrong beam.
    devices
        The devices that compute the crystals from which the run learns.
    store
        The store of the results, which keeps the learned cells.
    first
        Function that reads the first frames of a job; it is called again for the changed job if the beam or the panels
        are moved.
    stop
        Event that prevents learning once it is set.
    waiting
        Function that is called with the number of frames available whenever more are awaited.
    """
    job, p, saved = account.job, account.p, account.saved
    if saved.learned:
        job = job.as_learned(saved.learned[0])
    account.check_growth(job)
    account.cells.take_up(saved.learned or [])
    blocks = first(job)
    if saved.learned is not None or saved.is_complete:
        return Settled(job, saved.learned or [], blocks)
    head, blocks = first_frames(blocks, p.learn_cell, waiting)
    if stop.is_set():
        return Settled(job, [], itertools.chain(head, blocks))
    if is_reversed(head) and first_geometry(job.paths, job.geometry, job.prober)[0] is None:
        account.note(REVERSED)
    found, moved, left = learn_with_beam(account.cells, devices, head, p)
    fit = fitted_distortion(account.cells, devices, head, found, moved, p)
    if fit is not None and is_rigid(job):
        account.note(RIGID.format(in_words(fit)))
        fit = None
    distortion = NO_DISTORTION if fit is None else fit.distortion
    if moved or distortion:
        # The frames so far were read with the detector at its old place.
        corrected = moved if fit is None else moved + fit.shift
        job = job.with_beam_shift(corrected, distortion)
        assert job.geometry is not None
        goes_on = GEOMETRY_TO_GO_ON if isinstance(job.geometry, Geometry) else ""
        if moved:
            account.note(BEAM_MOVED.format(*corrected.mrad, beam_option(job.geometry)) + goes_on)
        if fit is not None:
            account.note(CORRECTED.format(in_words(fit)) + goes_on)
        moved = corrected
        head, blocks = first_frames(first(job), p.learn_cell)
        if stop.is_set():
            return Settled(job, [], itertools.chain(head, blocks))
        found, _, left = learn_with_beam(account.cells, devices, head, p.replace(learn_beam=False))
    if left is not None:
        account.note(BEAM_OFF.format(*left.mrad))
    few = _share_indexed(found, head, p) < SCALED_BELOW
    of_scale = account.cells.remedy_of_scale(devices, head) if few else None
    if isinstance(of_scale, str):
        account.note(of_scale)
    elif of_scale is not None:
        account.remedy = of_scale
        account.note(of_scale.why)
    elif remedy := account.cells.remedy_of_learned([learned for learned, _ in found], head):
        account.remedy_of_learned = remedy
        account.note(remedy.why)
    text = ""
    if p.learn_geometry:
        # Few runs refine panels, and the others need not wait for the import.
        from .panels import learn_panels

        head, blocks = first_frames(itertools.chain(head, blocks), p.learn_geometry, waiting)
        text = learn_panels(account, devices, head, job)
        if stop.is_set():
            return Settled(job, [], itertools.chain(head, blocks))
        if text:
            with_panels = job.with_panels(text)
            head, blocks = first_frames(first(with_panels), p.learn_cell)
            found, _, _ = learn_with_beam(account.cells, devices, head, p.replace(learn_beam=False))
            job = with_panels
    learned = [
        replace(group, beam_shift=moved, geometry=text, distortion=distortion)
        for group, _ in found
        if text or moved or distortion or group.n_crystals.any()
    ]
    account.cells.take_up(learned)
    store.learned(learned)
    return Settled(job, learned, itertools.chain(head, blocks))


def _share_indexed(found: Sequence[tuple[Learned, Lesson]], head: Sequence[FrameBlock], p: Parameters) -> float:
    """The share of indexed frames among the first frames with enough spots.

    It is 0 if frames have enough spots only with those inside the first shell of reciprocal space, as if the cell were
    in nanometres, and 1 if no frame has enough spots.
    """
    indexed = np.concatenate([np.zeros(0, bool), *(lesson.evidence.indexed for _, lesson in found)])
    if len(indexed):
        return float(indexed.mean())
    return 0.0 if any((np.diff(block.offsets) >= p.learn_min_spots).any() for block in head) else 1.0


def learn_with_beam(
    cells: InputCells, devices: Devices, head: Sequence[FrameBlock], p: Parameters
) -> tuple[list[tuple[Learned, Lesson]], BeamShift, BeamShift | None]:
    """Learn from the first frames of a run; returns what `settle_beam` returns."""

    # With a moved beam, the spots around the old one would count as reflections.
    head = [cells.without_origin(block) for block in head]

    def moved(shift: BeamShift) -> Sequence[FrameBlock]:
        return [moved_block(block, shift) for block in head] if shift else head

    def scan(about: BeamShift) -> BeamShift | None:
        far = cells.scan_beam(devices, moved(about))
        return None if far is None else about + BeamShift.from_radian(far)

    symmetric = cells.beam_of_symmetry(devices, head) if p.learn_beam else None
    start = NO_SHIFT if symmetric is None else BeamShift.from_radian(symmetric)
    learned, shift, left = settle_beam(lambda shift: cells.learn(devices, moved(shift)), scan, p, start)
    return list(learned), shift, left


def first_frames(
    blocks: Iterator[FrameBlock], n: int, waiting: Callable[[int], object] = lambda there: None
) -> tuple[list[FrameBlock], Iterator[FrameBlock]]:
    """The first n frames of blocks, and the blocks of all frames after them.

    `waiting` is called with the number of frames available whenever there are no more for now.
    """
    head: list[FrameBlock] = []
    there = 0
    while there < n and (block := next(blocks, None)) is not None:
        if block.n_frames == 0:
            waiting(there)
            continue
        head.append(block[: n - there])
        if block.n_frames > n - there:
            return head, itertools.chain([block[n - there :]], blocks)
        there += block.n_frames
    return head, blocks
