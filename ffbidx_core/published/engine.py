"""The engine of the Python interface, which takes checked batches and returns cells and crystals."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from ..method.by_count import separate
from ..method.index_frames import Backend, search_and_refine
from ..model.basis import as_primitive
from ..model.cell import Array
from ..model.plan import SearchPlan
from ..model.records.batch import to_host, usable_frames
from ..model.records.ragged import offsets_of
from ..model.units import suspicious_units
from ..parameters import Parameters
from .judged import judged_cells
from .layout import is_on_device
from .log import is_heard, log

_SLOTS = Parameters.preset("published").n_output_cells
FLATTEST = 1e-6
"""Smallest volume of a cell with vectors of unit length that spans a lattice, well above the rounding of float32."""


@dataclass(frozen=True)
class BatchCells:
    """Oriented cells of F frames in Q slots each, best first, as returned by `Indexer.run_batch`.

    An empty slot is a zero cell with score +inf and input cell -1.

    Attributes
    ----------
    cells : (F, Q, 3, 3) float32
        Oriented cells, rows a, b, c, angstrom.
    scores : (F, Q) float32
        Score of each cell; lower is better.
    input_cell : (F, Q) int32
        Index of the input cell from which each cell came.
    n_left_out : (F,) int64
        Number of spots beyond `max_spots`, which the sampling did not use.
    """

    cells: NDArray[np.float32]
    scores: NDArray[np.float32]
    input_cell: NDArray[np.int32]
    n_left_out: NDArray[np.int64]


class Engine:
    """A backend with the parameters of an `Indexer`; spots are (N, 3), offsets (F + 1,), and rows of cells a, b, c."""

    def __init__(self, backend: Backend, parameters: Parameters) -> None:
        self._backend = backend
        self._parameters = parameters
        self._process = os.getpid()
        self._last_options: tuple[Any, Parameters] | None = None
        self._last_plan: tuple[bytes, Parameters, SearchPlan] | None = None
        self.close = weakref.finalize(self, _close, backend, self._process)
        """The finalizer that releases memory and threads of the backend, at the latest when the engine is collected."""
        self.close.atexit = False

    def run(
        self, spots: Any, offsets: NDArray[np.int64], cells: NDArray[Any], options: Mapping[str, Any]
    ) -> BatchCells:
        """Find and refine the cells of each frame."""
        p = self._with(options)
        if not 1 <= len(cells) <= p.max_input_cells:
            raise ValueError(f"input_cells: given {len(cells)}; wanted 1 to {p.max_input_cells} (max_input_cells)")
        cells = np.asarray(cells, dtype=np.float64)
        self._check_process()
        plan = self._plan(cells, p)
        with self._backend.lane():
            spots, offsets = self._without_bad_frames(spots, offsets)
            n_left_out = np.maximum(np.diff(offsets) - p.max_spots, 0)
            _note(spots, offsets, cells, n_left_out, p)
            if p.accept == "count":
                cells, scores, input_cell = search_and_refine(self._backend, spots, offsets, plan, p)
            else:
                spots = to_host(spots)
        if p.accept == "chance":
            n_slots = self._n_slots(options)
            return BatchCells(*judged_cells(self._backend, spots, offsets, plan, p, n_slots), n_left_out)
        order = np.argsort(scores, axis=1, kind="stable")
        frames = np.arange(len(scores))[:, None]
        return BatchCells(
            cells=cells[frames, order].astype(np.float32),
            scores=scores[frames, order].astype(np.float32),
            input_cell=input_cell[frames, order].astype(np.int32),
            n_left_out=n_left_out,
        )

    def crystals(
        self,
        spots: Any,
        offsets: NDArray[np.int64],
        cells: NDArray[Any],
        scores: NDArray[Any],
        method: str,
        threshold: float,
        min_spots: int,
    ) -> list[NDArray[np.int64]]:
        """The indices of the cells (F, Q, 3, 3) with scores (F, Q) that are crystals, best first.

        If crystals are accepted by chance, `run` has already returned crystals only, best first.
        """
        self._check_process()
        if self._parameters.accept == "chance":
            return [np.flatnonzero(of_frame).astype(np.int64) for of_frame in np.isfinite(scores)]
        try:
            p = self._parameters.replace(method=method, crystals_threshold=threshold, crystals_min_spots=min_spots)
        except ParameterError as error:
            raise ParameterError(error.name.removeprefix("crystals_"), error.value, error.wanted) from None
        cells, scores = _with_lattice(cells, scores)
        xp = self._backend.xp
        with self._backend.lane():
            rows, bounds = self._without_bad_frames(spots, offsets)
            found = separate(
                self._backend,
                self._backend.load(rows, bounds),
                xp.asarray(cells),
                xp.asarray(scores),
                threshold=p.crystals_threshold,
                min_spots=p.crystals_min_spots,
                fractional=p.method != "ifssr",
            )
        return [np.asarray(indices, dtype=np.int64) for indices in found]

    def adopted(self, spots: Any) -> Any:
        """An array on a GPU as an array of the backend, without a copy; any other object is returned as it is.

        Raises
        ------
        ValueError
            If the backend works in host memory.
        """
        if isinstance(spots, np.ndarray) or not is_on_device(spots):
            return spots
        if self._backend.xp is np:
            raise ValueError(
                f"spots: given an array on a GPU, but this indexer runs on the {self._backend.name}: "
                "copy it to host memory"
            )
        xp = self._backend.xp
        spots = xp.asarray(spots) if hasattr(spots, "__cuda_array_interface__") else xp.from_dlpack(spots)
        # The caller's stream may still be writing the array.
        xp.cuda.get_current_stream().synchronize()
        return spots

    def _without_bad_frames(self, spots: Any, offsets: NDArray[np.int64]) -> tuple[Any, NDArray[np.int64]]:
        """The batch in float32, with the spots of bad frames removed."""
        xp = np if isinstance(spots, np.ndarray) else self._backend.xp
        usable = usable_frames(spots, offsets, xp)
        if not usable.all():
            log.warning(
                "%d of %d frames have spots that are not finite or absurdly far out: they are not indexed",
                int((~usable).sum()),
                len(usable),
            )
            counts = np.diff(offsets)
            spots, offsets = spots[xp.asarray(np.repeat(usable, counts))], offsets_of(np.where(usable, counts, 0))
        return spots.astype(np.float32, copy=False), offsets

    def _with(self, options: Mapping[str, Any]) -> Parameters:
        """The parameters with the options of one call; the latest ones are cached for the next call."""
        last, key = self._last_options, tuple(options.items())
        if last is not None and last[0] == key:
            return last[1]
        p = self._parameters.replace(**options)
        if p.accept == "chance":
            # Crystals are chosen from an equally large pool if few are asked for.
            p = p.replace(n_output_cells=max(p.n_output_cells, self._parameters.n_output_cells))
        else:
            p = p.replace(n_output_cells=self._n_slots(options))
        self._last_options = key, p
        return p

    def _n_slots(self, options: Mapping[str, Any]) -> int:
        """The number of cells that one call returns for a frame."""
        return min(int(options.get("n_output_cells", _SLOTS)), self._parameters.max_output_cells)

    def _check_process(self) -> None:
        """Raise an error for a GPU that another process opened.

        Raises
        ------
        RuntimeError
            If the process is a forked child.
        """
        if self._backend.xp is not np and os.getpid() != self._process:
            raise RuntimeError(
                "this indexer's GPU was opened before the process forked, and CUDA does not go on in the child: make "
                "indexers in the children only, or start these by multiprocessing's method `spawn`"
            )

    def _plan(self, cells: Array, p: Parameters) -> SearchPlan:
        """The plan for these cells; the latest one is cached, as most callers use the same cells again."""
        # The attribute is read once, because another thread may replace it.
        last, key = self._last_plan, cells.tobytes()
        if last is not None and last[:2] == (key, p):
            return last[2]
        plan = SearchPlan.make(as_primitive(cells), p)
        self._last_plan = key, p, plan
        return plan


def _close(backend: Backend, process: int) -> None:
    """Release memory and threads, except in a forked child, where they belong to the parent."""
    if os.getpid() == process:
        backend.close()


def _with_lattice(cells: NDArray[Any], scores: NDArray[Any]) -> tuple[Array, Array]:
    """Cells and scores in float64; cells that span no lattice become empty slots."""
    cells, scores = cells.astype(np.float64), scores.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = cells / np.linalg.norm(cells, axis=-1, keepdims=True)
        spans = np.abs(np.linalg.det(unit)) > FLATTEST
    return np.where(spans[..., None, None], cells, 0.0), np.where(spans, scores, np.inf)


def _note(spots: Any, offsets: NDArray[np.int64], cells: Array, n_left_out: NDArray[np.int64], p: Parameters) -> None:
    """Log what is remarkable about the spots of a call; to find it out takes some of the time of a single frame."""
    if not (is_heard() and log.isEnabledFor(logging.WARNING)):
        return
    if isinstance(spots, np.ndarray):
        for sentence in suspicious_units(spots, offsets, cells):
            log.warning("%s", sentence)
    if n_left_out.any():
        log.info(
            "on %d of %d frames the sampling uses the %d spots of lowest resolution (max_spots), %d are left out",
            int(np.count_nonzero(n_left_out)),
            len(n_left_out),
            p.max_spots,
            int(n_left_out.sum()),
        )
