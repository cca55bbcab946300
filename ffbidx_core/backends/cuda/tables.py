"""Arrays on the GPU that many batches share, in the layout of the kernels' structs."""

from __future__ import annotations

from typing import Any, NamedTuple

import cupy as cp
import numpy as np

from ...model.factors import Factors, factors
from ...model.plan import SearchPlan, half_sphere
from ...parameters import Parameters

SEED = np.dtype(
    [("base", "f8", 9), ("turn", "f8"), ("group", "i4"), ("n_angles", "i4"), ("axis", "i4"), ("input_cell", "i4")]
)
"""Layout of the struct `Seed` of the kernels."""
TRIMS = np.dtype([(name, "i4" if name == "every" else "f4") for name in Factors._fields])
"""Layout of the struct `Trims` of the kernels."""


def trims_on_device(p: Parameters) -> Any:
    """The constants of the factors on the device, as the struct `Trims` of the kernels."""
    return cp.asarray(np.array([factors(p)], TRIMS).view(np.uint8))


def directions_on_device(n_points: int) -> tuple[Any, Any]:
    """The search directions (3, P) on the device, in float64 and in float32."""
    points = np.ascontiguousarray(half_sphere(n_points).T)
    return cp.asarray(points), cp.asarray(points.astype(np.float32))


def plan_on_device(plan: SearchPlan) -> tuple[Any, ...]:
    """The parts of a plan on the device: lengths in float64 and float32, structs `Seed`, and angle tables (S, A, 4)."""
    seeds = np.zeros(len(plan.group), SEED)
    seeds["base"] = plan.base.reshape(-1, 9)
    seeds["turn"], seeds["group"], seeds["n_angles"] = plan.turn, plan.group, plan.n_angles
    seeds["axis"], seeds["input_cell"] = plan.axis, plan.input_cell
    turns = np.ascontiguousarray(np.swapaxes(plan.angle_tables, 1, 2))
    lengths = cp.asarray(plan.lengths)
    return lengths, lengths.astype(cp.float32), cp.asarray(seeds.view(np.uint8)), cp.asarray(turns)


class Inputs(NamedTuple):
    """Properties of the M input cells of a plan, on the device.

    Attributes
    ----------
    plan
        The plan, which is kept so that no other object gets its id.
    radii : (M, T);  volumes, orders : (M,)
        Radii of acceptance, volumes, and numbers of symmetry operators; see `SearchPlan`.
    given : (M, 3, 3)
        The input cells.
    operators : (n, 3, 3);  first : (M + 1,) int64
        Symmetry operators of all input cells; input cell m has operators first[m] to first[m + 1].
    """

    plan: SearchPlan
    radii: Any
    volumes: Any
    orders: Any
    given: Any
    operators: Any
    first: Any


def inputs_on_device(plan: SearchPlan) -> Inputs:
    """The input cells of a plan on the device."""
    operators = np.concatenate(plan.operators).astype(np.float64)
    first = np.cumsum([0, *map(len, plan.operators)], dtype=np.int64)
    arrays = plan.radii, plan.volumes, plan.orders, plan.cells, operators, first
    return Inputs(plan, *(cp.asarray(np.ascontiguousarray(array)) for array in arrays))
