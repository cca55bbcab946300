"""Indexing whole frames, and comparing results."""

from collections.abc import Sequence

import numpy as np

from ffbidx_core.backends import Backend, get_backend
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.cell import symmetry_operators
from ffbidx_core.model.orientation import misorientation
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.batch import pack
from ffbidx_core.model.records.frame import BatchResult
from ffbidx_core.parameters import Parameters


def index(
    frames: Sequence[np.ndarray],
    cells: np.ndarray,
    preset: str = "best",
    *,
    threads: int | None = None,
    keep_all: bool = False,
    backend: Backend | None = None,
) -> BatchResult:
    """Index frames (spots (n, 3) each) with input cells (M, 3, 3), on the CPU unless a backend is given."""
    p = Parameters.preset(preset, max_input_cells=len(cells))
    backend = backend or get_backend("cpu", threads=threads)
    return index_frames(backend, *pack(frames), SearchPlan.make(cells, p), p, keep_all=keep_all)


def crystals_of(result: BatchResult, f: int) -> np.ndarray:
    """The cells (n, 3, 3) of the crystals of frame f, best first."""
    return result.cells[result.crystals[result.crystal_offsets[f] : result.crystal_offsets[f + 1]]]


def errors(found: np.ndarray, truth: Sequence[np.ndarray], cell: np.ndarray) -> list[float]:
    """The misorientation in degrees of the crystal nearest to each true cell; 180 if there is none."""
    operators = symmetry_operators(cell, 1e-3)
    return [min((misorientation(one, true, operators) for one in found), default=180.0) for true in truth]


def assert_same(result: BatchResult, other: BatchResult) -> None:
    """Assert that all arrays are equal to the last bit."""
    for name, values in vars(result).items():
        np.testing.assert_array_equal(values, getattr(other, name), err_msg=name)


def part(result: BatchResult, f: int) -> BatchResult:
    """Frame f of a result, in the form of the result of a batch of one frame."""
    return result[f : f + 1]
