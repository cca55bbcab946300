"""The sequence of the method's steps for a batch of frames, on any backend."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from ..backends import BACKENDS, Backend, Coverage, Same, State, get_backend
from ..backends.cuda.driver import device_numbers, why_no_cuda
from ..model.basis import PrimitiveCells
from ..model.plan import SearchPlan
from ..model.records.batch import SpotBatch
from ..model.records.frame import BatchResult
from ..model.records.reason import FrameReason
from ..model.xp import XpArray
from ..parameters import Parameters
from .by_chance import final_scores, find_by_chance
from .by_count import find_by_count
from .flat import search_flat_frames
from .retry import HostSpots, Tried, try_again
from .search import CellTable, search_and_refine

_log = logging.getLogger("ffbidx")

__all__ = [
    "BACKENDS",
    "Backend",
    "IndexOptions",
    "device_numbers",
    "get_backend",
    "index_frames",
    "search_and_refine",
    "why_no_cuda",
]


class IndexOptions(TypedDict, total=False):
    """Keyword arguments of `index_frames`, for functions that pass them on."""

    given_cells: PrimitiveCells | None
    keep_all: bool
    by_intensity: NDArray[np.bool_] | None


def index_frames(
    backend: Backend,
    spots: NDArray[Any],
    offsets: NDArray[np.int64],
    plan: SearchPlan,
    p: Parameters,
    *,
    given_cells: PrimitiveCells | None = None,
    keep_all: bool = False,
    by_intensity: NDArray[np.bool_] | None = None,
) -> BatchResult:
    """Index a batch of frames, with all the steps of the method.

    Spots closer to the origin than `plan.origin_radius` are left out, since they have the Miller indices (0, 0, 0) in
    every orientation and carry no information on a crystal. A batch that does not fit in memory is processed in
    halves, and so are all later batches of its size.

    Parameters
    ----------
    backend
        Backend that computes.
    spots : (N, 3)
        Spots in reciprocal space, 1/angstrom.
    offsets : (F + 1,) int64
        Frame f owns the spots offsets[f]:offsets[f + 1]. A frame with fewer spots than `p.fewest_spots` is not
        searched.
    plan
        Plan of the search for the batch's input cells.
    p
        Parameters of the method.
    given_cells : (M, 3, 3)
        Input cells against which drift is judged, if those of the plan were learned; None for those of the plan.
    keep_all
        Whether to return every cell that was refined, or only the crystals.
    by_intensity : (F,) bool
        Whether the spots of each frame are in the order of falling intensity, for `p.retry`; None if on no frame.

    Returns
    -------
    BatchResult
        Cells and crystals of the F frames, in host memory.
    """
    n_frames = len(offsets) - 1
    ranked = np.zeros(n_frames, dtype=bool) if by_intensity is None else by_intensity
    if n_frames <= backend.most_frames:
        try:
            with backend.lane():
                return _index_frames(backend, HostSpots(spots, offsets, ranked), plan, p, given_cells, keep_all)
        except backend.memory_errors:
            if n_frames == 1:
                raise
            _log.warning("%s has no memory for %d frames at once: halving the batch", backend.device, n_frames)
            backend.most_frames = n_frames // 2
    middle, begin = n_frames // 2, int(offsets[n_frames // 2])
    halves = (
        (spots[:begin], offsets[: middle + 1], ranked[:middle]),
        (spots[begin:], offsets[middle:] - begin, ranked[middle:]),
    )
    return BatchResult.joined(
        [
            index_frames(backend, s, o, plan, p, given_cells=given_cells, keep_all=keep_all, by_intensity=r)
            for s, o, r in halves
        ]
    )


def _index_frames(
    backend: Backend,
    host: HostSpots,
    plan: SearchPlan,
    p: Parameters,
    given_cells: PrimitiveCells | None,
    keep_all: bool,
) -> BatchResult:
    """Index a batch that fits in memory."""
    n_given, are_few = np.diff(host.offsets), host.are_few
    host, batch = host.loaded(backend, plan.origin_radius, p.fewest_spots)
    counts = np.diff(host.offsets)
    given = plan.cells if given_cells is None else given_cells
    has_enough = counts >= p.fewest_spots
    if are_few or has_enough.all():
        searched, spots = np.arange(len(counts)), batch
    else:
        searched = np.flatnonzero(has_enough)
        spots = batch.take(backend.xp.asarray(searched))
    if p.accept == "chance":
        found, why = find_by_chance(backend, spots, plan, p, given)
    else:
        found, why = find_by_count(backend, spots, plan, p, given, keep_all=keep_all)
    reason = np.full(len(counts), FrameReason.TOO_FEW_SPOTS.value, dtype=np.uint8)
    reason[searched] = why[: len(searched)]
    found.frame = searched[found.frame]
    tried = Tried(found, reason, np.zeros(len(counts), dtype=np.uint8))
    if p.accept == "chance" and p.flat_points and p.searches > 1:
        tried = search_flat_frames(backend, batch, tried, plan, p, given)
    if p.retry:
        tried = try_again(backend, batch, host, tried, plan, p, given)
    found, reason, rung = tried
    if not keep_all:
        found = found.take(np.flatnonzero(found.is_crystal))
    found = found.take(np.argsort(found.frame, kind="stable"))
    found, coverage = _settled(backend, batch, found, plan, p)
    # Crystals of a frame are sorted by chance level if there is one; else they keep the order of the scores.
    order = _order(found.frame, found.scores)
    found, coverage = found.take(order), Coverage(*(each[order] for each in coverage))
    frame, cells = found.frame, found.cells.astype(np.float32)
    crystals = np.flatnonzero(found.is_crystal)
    crystals = crystals[_order(frame[crystals], np.nan_to_num(found.log10_chance[crystals]))]
    return BatchResult(
        n_sampled=np.where(reason == FrameReason.TOO_FEW_SPOTS.value, 0, np.minimum(counts, p.max_spots)).astype("i4"),
        n_at_origin=(n_given - counts).astype(np.int32),
        reason=reason,
        rung=rung,
        cell_offsets=np.searchsorted(frame, np.arange(len(counts) + 1)).astype(np.int64),
        cells=cells,
        scores=found.scores.astype(np.float32),
        input_cell=found.input_cell.astype(np.int32),
        crystal_offsets=np.searchsorted(frame[crystals], np.arange(len(counts) + 1)).astype(np.int64),
        crystals=crystals.astype(np.int64),
        n_indexed=coverage.n_indexed[crystals],
        rmsd=coverage.rmsd[crystals],
        log10_chance=found.log10_chance[crystals].astype(np.float32),
        log10_false=found.log10_false[crystals].astype(np.float32),
        n_expected=_expected_by_chance(counts[frame[crystals]], cells[crystals], p),
        resolution=coverage.resolution[crystals],
    )


def _order(frame: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Order of rows by value within each frame, from the sorted numbers of their frames."""
    if (np.diff(frame) > 0).all():
        return np.arange(len(frame))
    return np.lexsort((values, frame))


def _settled(
    backend: Backend, batch: SpotBatch, found: CellTable, plan: SearchPlan, p: Parameters
) -> tuple[CellTable, Coverage]:
    """The cells with crystals in their canonical setting, and what each crystal indexes, in host memory.

    If crystals are accepted by chance, the scores are in the measure of `p.method`. They are computed on all spots of
    the frames, whichever spots the try used, and before the change of setting.
    """
    xp, every = backend.xp, bool(found.is_crystal.all())
    place = found.frame, slots_of(found.frame)
    source = found.input_cell if every else np.where(found.is_crystal, found.input_cell, -1)
    tables = (_by_slot(*place, rows, batch.n_frames) for rows in (found.cells, source))

    def steps(state: State, by_slot: XpArray, source: XpArray) -> tuple[State, Sequence[XpArray]]:
        (spots,) = state
        cells = backend.in_canonical_setting(by_slot.reshape(-1, 3, 3), source.ravel(), plan).reshape(by_slot.shape)
        # The results hold cells in float32.
        crystals = cells.astype(xp.float32).astype(xp.float64)
        if not every:
            crystals = xp.where((source >= 0)[:, :, None, None], crystals, 0.0)
        threshold, fractional = p.coverage
        coverage = backend.coverage(spots, crystals, threshold, fractional=fractional)
        measured = [] if p.accept == "count" else [final_scores(backend, spots, by_slot, p)]
        return state, (cells, *coverage, *measured)

    _, results = backend.run_steps(("settle", every, Same(plan), p), steps, (batch,), *tables)
    settled, *each = (array[place] for array in results)
    scores = each.pop() if p.accept == "chance" else found.scores
    return replace(found, cells=settled, scores=scores), Coverage(*each)


def _by_slot(frame: NDArray[np.int64], slots: NDArray[np.int64], rows: NDArray[Any], n_frames: int) -> NDArray[Any]:
    """Rows (k, ...) in a table (F, Q, ...) of the frames and their slots, of which there is at least one."""
    table = np.zeros((n_frames, max(int(slots.max(initial=0)) + 1, 1), *rows.shape[1:]), rows.dtype)
    table[frame, slots] = rows
    return table


def _expected_by_chance(n_spots: NDArray[np.int64], cells: NDArray[np.float32], p: Parameters) -> NDArray[np.float32]:
    """Number (k,) of spots on its frame that each crystal (k, 3, 3) would index by chance."""
    threshold, fractional = p.coverage
    if fractional:
        volumes = np.ones(len(cells))
    else:
        # NumPy's determinants of a batch take a twelfth of its time on a GPU.
        a, b, c = np.ascontiguousarray(cells.astype(np.float64).transpose(1, 2, 0))
        volumes = np.abs(
            a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) + a[2] * (b[0] * c[1] - b[1] * c[0])
        )
    return (n_spots * np.minimum(4 / 3 * np.pi * threshold**3 * volumes, 1)).astype(np.float32)


def slots_of(frame: NDArray[np.int64]) -> NDArray[np.int64]:
    """Running number of each entry within its frame, from the sorted numbers of the frames."""
    return np.arange(len(frame)) - np.searchsorted(frame, frame)
