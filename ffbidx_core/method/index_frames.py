"""The sequence of the method's steps for a batch of frames, on any backend."""

from __future__ import annotations

import logging
from types import ModuleType
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from ..backends import BACKENDS, Backend, get_backend
from ..backends.cuda.driver import device_numbers, why_no_cuda
from ..model.basis import PrimitiveCells
from ..model.orientation import canonical_setting
from ..model.plan import SearchPlan
from ..model.records.batch import SpotBatch, to_host
from ..model.records.frame import BatchResult
from ..model.records.reason import FrameReason
from ..model.xp import XpArray
from ..parameters import Parameters
from .by_chance import find_by_chance
from .by_count import find_by_count
from .retry import HostSpots, try_again
from .search import CellTable, search_and_refine

_log = logging.getLogger("ffbidx")

LEFT_OUT, FEWEST_LEFT_OUT = 50, 2
"""A crystal's resolution leaves out one spot in LEFT_OUT, but at least FEWEST_LEFT_OUT, as CrystFEL's estimate does."""

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
    xp = backend.xp
    n_given, host = np.diff(host.offsets), host.beyond(plan.origin_radius)
    batch = backend.load(host.spots, host.offsets)
    given = xp.asarray(plan.cells if given_cells is None else given_cells)
    searched = xp.flatnonzero(batch.counts >= p.fewest_spots)
    find = find_by_chance if p.accept == "chance" else find_by_count
    found, why = find(backend, batch.take(searched), plan, p, given)
    reason = xp.full(batch.n_frames, FrameReason.TOO_FEW_SPOTS.value, dtype=xp.uint8)
    reason[searched] = why
    found.frame = searched[found.frame]
    rung = xp.zeros(batch.n_frames, dtype=xp.uint8)
    if p.retry:
        found, reason, rung = try_again(backend, batch, host, found, reason, plan, p, given)
    if not keep_all:
        found = found.take(xp.flatnonzero(found.is_crystal))
    found.cells = _in_canonical_setting(found, plan, xp)
    n_sampled = xp.zeros(batch.n_frames, dtype=xp.int32)
    n_sampled[searched] = xp.minimum(batch.counts[searched], p.max_spots)
    n_at_origin = (n_given - np.diff(host.offsets)).astype(np.int32)
    return _gather(backend, batch, found, n_sampled, n_at_origin, reason, rung, p)


def _in_canonical_setting(found: CellTable, plan: SearchPlan, xp: ModuleType) -> XpArray:
    """The cells (n, 3, 3), of which those of crystals are in their canonical setting."""
    cells = found.cells.copy()
    for m, operators in enumerate(plan.operators):
        mine = xp.flatnonzero(found.is_crystal & (found.input_cell == m))
        cells[mine] = canonical_setting(cells[mine], xp.asarray(plan.cells[m]), xp.asarray(operators), xp)
    return cells


def _gather(
    backend: Backend,
    batch: SpotBatch,
    found: CellTable,
    n_sampled: XpArray,
    n_at_origin: NDArray[np.int32],
    reason: XpArray,
    rung: XpArray,
    p: Parameters,
) -> BatchResult:
    """Copy the cells to the host, sort them, and measure the crystals on all spots of their frames."""
    found = found.on_host()
    found = found.take(np.lexsort((found.scores, found.frame)))
    frame, cells = found.frame, found.cells.astype(np.float32)
    crystals = np.flatnonzero(found.is_crystal)
    # Crystals of a frame are sorted by chance level if there is one; else they keep the order of the scores.
    crystals = crystals[np.lexsort((np.nan_to_num(found.log10_chance[crystals]), frame[crystals]))]
    n_indexed, rmsd, resolution = _coverage(backend, batch, frame[crystals], cells[crystals], p)
    return BatchResult(
        n_sampled=to_host(n_sampled),
        n_at_origin=n_at_origin,
        reason=to_host(reason),
        rung=to_host(rung),
        cell_offsets=np.searchsorted(frame, np.arange(batch.n_frames + 1)).astype(np.int64),
        cells=cells,
        scores=found.scores.astype(np.float32),
        input_cell=found.input_cell.astype(np.int32),
        crystal_offsets=np.searchsorted(frame[crystals], np.arange(batch.n_frames + 1)).astype(np.int64),
        crystals=crystals.astype(np.int64),
        n_indexed=n_indexed,
        rmsd=rmsd,
        log10_chance=found.log10_chance[crystals].astype(np.float32),
        log10_false=found.log10_false[crystals].astype(np.float32),
        n_expected=_expected_by_chance(np.diff(to_host(batch.offsets))[frame[crystals]], cells[crystals], p),
        resolution=resolution,
    )


def _coverage(
    backend: Backend, batch: SpotBatch, frame: NDArray[np.int64], cells: NDArray[np.float32], p: Parameters
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Number of spots that each crystal indexes, their rms distance (1/angstrom), and its resolution (angstrom)."""
    xp = backend.xp
    slots = slots_of(frame)
    shape = (batch.n_frames, int(slots.max(initial=0)) + 1)
    table = np.zeros((*shape, 3, 3))
    table[frame, slots] = cells
    threshold, fractional = p.coverage
    distance = backend.distances(batch, xp.asarray(table), fractional=fractional)
    inside = distance < threshold
    n_indexed = to_host(batch.sum_per_frame(inside))[slots, frame]
    if fractional:
        distance = backend.distances(batch, xp.asarray(table))
    total = to_host(batch.sum_per_frame(xp.where(inside, distance, 0.0) ** 2))[slots, frame]
    rmsd = np.sqrt(total / np.maximum(n_indexed, 1)).astype(np.float32)
    return n_indexed.astype(np.int32), rmsd, _resolution(batch, inside, n_indexed, slots, frame)


def _resolution(
    batch: SpotBatch, inside: Any, n_indexed: NDArray[np.int64], slots: NDArray[np.int64], frame: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Resolution (k,), angstrom, up to which each of k crystals indexes spots; nan if it indexes too few.

    The outermost spots of a crystal, one in `LEFT_OUT` and at least `FEWEST_LEFT_OUT`, are left out, so that a stray
    spot that is indexed by chance does not change the resolution.

    Parameters
    ----------
    inside : (Q, N) bool
        Whether the crystal in each slot indexes each spot; an array of the backend. A frame's spots ascend in |s|.
    n_indexed, slots, frame : (k,)
        Number of indexed spots, slot and frame of each crystal.
    """
    xp = batch.xp
    left_out = np.maximum(FEWEST_LEFT_OUT, n_indexed // LEFT_OUT)
    enough = np.flatnonzero(n_indexed > left_out)
    resolution = np.full(len(n_indexed), np.nan, dtype=np.float32)
    if len(enough) == 0:
        return resolution
    running = xp.cumsum(inside, axis=1, dtype=xp.int64)
    starts = xp.minimum(batch.offsets[:-1], inside.shape[1] - 1)
    before = to_host(running[:, starts] - inside[:, starts])
    for slot in np.unique(slots[enough]).tolist():
        mine = enough[slots[enough] == slot]
        wanted = before[slot, frame[mine]] + n_indexed[mine] - left_out[mine]
        spots = xp.searchsorted(running[slot], xp.asarray(wanted))
        # Computed on the host, since a device may round the sum of squares differently.
        x, y, z = to_host(batch.xyz[:, spots]).astype(np.float64)
        resolution[mine] = 1 / np.sqrt(x * x + y * y + z * z)
    return resolution


def _expected_by_chance(n_spots: NDArray[np.int64], cells: NDArray[np.float32], p: Parameters) -> NDArray[np.float32]:
    """Number (k,) of spots on its frame that each crystal (k, 3, 3) would index by chance."""
    threshold, fractional = p.coverage
    volumes = np.ones(len(cells)) if fractional else np.abs(np.linalg.det(cells.astype(np.float64)))
    return (n_spots * np.minimum(4 / 3 * np.pi * threshold**3 * volumes, 1)).astype(np.float32)


def slots_of(frame: NDArray[np.int64]) -> NDArray[np.int64]:
    """Running number of each entry within its frame, from the sorted numbers of the frames."""
    return np.arange(len(frame)) - np.searchsorted(frame, frame)
