"""The judgement of cells on the GPU: the buffers and launches of the kernels; see `Judging` for the verbs."""

from __future__ import annotations

from typing import Any

import cupy as cp

from ...model.plan import SearchPlan
from ...model.records.batch import SpotBatch
from ...parameters import Parameters
from ..cells import BestCells, CheckedCells, Coverage, Judgement, Limits, OrientedCells
from .arrays import as_kernels_take, contiguous, of_spots
from .device import CudaDevice
from .tables import Inputs, inputs_on_device


class CudaJudging(CudaDevice):
    """Verbs that judge cells, on one GPU; see `CudaDevice` for the parameter."""

    def _inputs(self, plan: SearchPlan) -> Inputs:
        """The input cells of a plan on the device."""
        inputs: Inputs = self._cached(("inputs", id(plan)), lambda: inputs_on_device(plan))
        return inputs

    def _rules(self, plan: SearchPlan, p: Parameters) -> dict[str, Any]:
        """The arguments by which kernels compute expected numbers of false crystals."""
        inputs = self._inputs(plan)
        return {
            "radii": inputs.radii,
            "n_radii": inputs.radii.shape[1],
            "volumes": inputs.volumes,
            "orders": inputs.orders,
            "n_input": len(inputs.volumes),
            "max_spots": p.max_spots,
            "n_kept": p.n_output_cells,
            "fewest": p.min_new_spots,
        }

    def judge_cells(self, spots: SpotBatch, cells: Any, input_cell: Any, plan: SearchPlan, p: Parameters) -> Judgement:
        """See `Backend.judge_cells`."""
        n_frames, per_frame = cells.shape[:2]
        cells, input_cell, rules = contiguous(cells), _numbers(input_cell), self._rules(plan, p)
        counts = cp.empty((n_frames, per_frame, rules["n_radii"]), cp.int32)
        self._launch_warps(
            "count_within",
            n_frames * per_frame,
            **of_spots(spots),
            cells=cells,
            input_cell=input_cell,
            radii=rules["radii"],
            n_cells=n_frames * per_frame,
            per_frame=per_frame,
            n_radii=rules["n_radii"],
            counts=counts,
        )
        found = Judgement(
            slot=cp.empty(n_frames, cp.int64),
            cells=cp.empty((n_frames, 3, 3)),
            input_cell=cp.empty(n_frames, cp.int32),
            level=cp.empty(n_frames),
            radius=cp.empty(n_frames),
            lowest=cp.empty(n_frames),
        )
        self._launch_warps(
            "judge_cells",
            n_frames,
            **of_spots(spots),
            **rules,
            n_frames=n_frames,
            n_cells=per_frame,
            counts=counts,
            cells=cells,
            input_cell=input_cell,
            slot=found.slot,
            chosen=found.cells,
            source=found.input_cell,
            level=found.level,
            radius=found.radius,
            lowest=found.lowest,
        )
        return found

    def lowest_false(self, spots: SpotBatch, cells: Any, input_cell: Any, plan: SearchPlan, p: Parameters) -> Any:
        """See `Backend.lowest_false`."""
        lowest = cp.empty(spots.n_frames)
        self._launch(
            "lowest_false",
            (spots.n_frames,),
            128,
            **of_spots(spots),
            **self._rules(plan, p),
            cells=contiguous(cells),
            input_cell=_numbers(input_cell),
            distances=cp.empty(spots.xyz.shape[1], cp.float32),
            lowest=lowest,
        )
        return lowest

    def best_cells(
        self, spots: SpotBatch, pool: OrientedCells, limit: float, plan: SearchPlan, p: Parameters
    ) -> tuple[BestCells, OrientedCells]:
        """See `Backend.best_cells`."""
        judged, left = self.judge_cells(spots, pool.cells, pool.input_cell, plan, p), contiguous(pool.cells)
        false = self.lowest_false(spots, judged.cells, judged.input_cell, plan, p)
        passes, scores = cp.empty(len(left), cp.bool_), cp.empty(len(left))
        self._launch_warps(
            "pass_cells",
            len(left),
            n_frames=len(left),
            n_cells=left.shape[1],
            slot=judged.slot,
            false_hits=false,
            limit=limit,
            scores=contiguous(pool.scores),
            cells=left,
            chosen=judged.cells,
            passes=passes,
            chosen_scores=scores,
        )
        _, cells, input_cell, level, radius, lowest = judged
        return BestCells(passes, cells, input_cell, scores, level, radius, lowest, false), pool._replace(cells=left)

    def check_cells(
        self, best: BestCells, fitted: Any, false: Any, radius: Any, cutoff: Any, known: Any, limits: Limits
    ) -> CheckedCells:
        """See `Backend.check_cells`."""
        n, (length, angle) = len(fitted), limits.drift
        found = CheckedCells(cp.empty(n, cp.bool_), cp.empty((n, 3, 3)), cp.empty(n, cp.uint8), cp.empty(n))
        self._launch_each(
            "check_cells",
            n,
            passes=best.passes,
            cells=contiguous(fitted),
            input_cell=best.input_cell,
            false_hits=false,
            radius=contiguous(radius),
            cutoff=contiguous(cutoff),
            known=contiguous(known),
            n_known=known.shape[1],
            lost=limits.lost,
            length=length,
            angle=angle,
            merge=limits.merge,
            given=contiguous(limits.given),
            largest=contiguous(limits.largest),
            is_new=found.is_new,
            known_out=found.known,
            reason=found.reason,
            cutoff_out=found.cutoff,
        )
        return found

    def accept_by_count(
        self, spots: SpotBatch, cells: Any, scores: Any, threshold: float, min_spots: int, *, fractional: bool
    ) -> Any:
        """See `Backend.accept_by_count`."""
        accepted = cp.empty(scores.shape, cp.bool_)
        self._launch_warps(
            "accept_by_count",
            spots.n_frames,
            n_spots=spots.xyz.shape[1],
            offsets=spots.offsets,
            n_frames=spots.n_frames,
            n_cells=scores.shape[1],
            distances=self.distances(spots, cells, fractional=fractional),
            scores=contiguous(scores),
            threshold=threshold,
            min_spots=min_spots,
            order=cp.empty(scores.shape, cp.int32),
            taken=cp.empty(spots.xyz.shape[1], cp.bool_),
            accepted=accepted,
        )
        return accepted

    def without_spots(self, spots: SpotBatch, cells: Any, cutoff: Any) -> SpotBatch:
        """See `Backend.without_spots`."""
        n_frames = spots.n_frames
        counts, offsets = cp.empty(n_frames, cp.int64), cp.empty(n_frames + 1, cp.int64)
        common = of_spots(spots) | {"n_frames": n_frames, "cells": contiguous(cells), "cutoff": contiguous(cutoff)}
        self._launch_warps("count_without", n_frames, **common, counts=counts)
        self._launch("add_up", (1,), 1024, n=n_frames, counts=counts, offsets=offsets)
        # As many columns as before, because the host need not know how many spots are left.
        xyz = cp.empty_like(spots.xyz)
        self._launch_warps("copy_without", n_frames, **common, offsets_out=offsets, n_out=xyz.shape[1], out=xyz)
        return SpotBatch(xyz, offsets, cp)

    def in_canonical_setting(self, cells: Any, input_cell: Any, plan: SearchPlan) -> Any:
        """See `Backend.in_canonical_setting`."""
        settled, inputs = cp.empty(cells.shape), self._inputs(plan)
        self._launch_each(
            "set_canonically",
            len(cells),
            input_cell=_numbers(input_cell),
            given=inputs.given,
            operators=inputs.operators,
            first=inputs.first,
            start=contiguous(cells),
            cells=settled,
        )
        return settled

    def coverage(self, spots: SpotBatch, cells: Any, threshold: float, *, fractional: bool) -> Coverage:
        """See `Backend.coverage`."""
        shape = cells.shape[:2]
        found = Coverage(cp.empty(shape, cp.int32), cp.empty(shape, cp.float32), cp.empty(shape, cp.float32))
        self._launch_warps(
            "coverage",
            shape[0] * shape[1],
            **of_spots(spots),
            n_cells=shape[0] * shape[1],
            per_frame=shape[1],
            cells=contiguous(cells),
            threshold=threshold,
            fractional=fractional,
            **found._asdict(),
        )
        return found

    def drifted(self, cells: Any, input_cells: Any, limit: tuple[float, float]) -> Any:
        """See `Backend.drifted`."""
        out, (length, angle) = cp.empty(len(cells), cp.bool_), limit
        arrays = {"cells": contiguous(cells), "given": contiguous(input_cells), "out": out}
        self._launch_each("drifted", len(cells), length=length, angle=angle, **arrays)
        return out

    def better_cells(self, best: BestCells, refined: Any, again: Judgement, limits: Limits) -> tuple[Any, Any]:
        """See `Backend.better_cells`."""
        cells, radius, (length, angle) = cp.empty(refined.shape), cp.empty(len(refined)), limits.drift
        self._launch_each(
            "better_cells",
            len(refined),
            cells=best.cells,
            level=best.level,
            radius=best.radius,
            input_cell=best.input_cell,
            refined=contiguous(refined),
            refined_level=again.level,
            refined_radius=again.radius,
            given=contiguous(limits.given),
            length=length,
            angle=angle,
            cells_out=cells,
            radius_out=radius,
        )
        return cells, radius

    def flat_frames(self, spots: SpotBatch) -> Any:
        """See `Backend.flat_frames`."""
        flat = cp.empty(spots.n_frames, cp.bool_)
        self._launch_each("flat_frames", spots.n_frames, **of_spots(spots), flat=flat)
        return flat

    def distances(self, spots: SpotBatch, cells: Any, *, fractional: bool = False) -> Any:
        """See `Backend.distances`."""
        cells = contiguous(cells)
        out = cp.empty((cells.shape[1], spots.xyz.shape[1]), cp.float32)
        self._launch(
            "distances",
            (cells.shape[1], spots.n_frames),
            128,
            **of_spots(spots),
            cells=cells,
            fractional=fractional,
            out=out,
        )
        return out


def _numbers(input_cell: Any) -> Any:
    """Numbers of input cells, converted to int32 in C order, as kernels take them."""
    return as_kernels_take(input_cell, cp.int32)
