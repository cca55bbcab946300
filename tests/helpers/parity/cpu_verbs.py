"""The results of every verb of the CPU backend for a few frames, written to a file for another process."""

import numpy as np

from ffbidx_core.backends import get_backend
from ffbidx_core.backends.cpu.plain import PLAIN
from ffbidx_core.method.last_fit import TYPICAL
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.batch import pack
from ffbidx_core.parameters import Parameters
from ffbidx_core.published_parameters import METHODS
from tests.helpers.frames import CELL, frame

POINTS = 2048
"""Number of directions of the half sphere."""


def results() -> dict[str, np.ndarray]:
    """The arrays of all verbs, keyed by name, and `plain`: whether the formulas were compiled in plain mode."""
    backend = get_backend("cpu", threads=1)
    spots = backend.load(*pack([frame(number)[1] for number in range(4)]))
    out = {"plain": np.array(PLAIN)}
    for preset, angle_peaks in (("best", 4), ("published", 0)):
        p = Parameters.preset(preset, angle_peaks=angle_peaks, num_halfsphere_points=POINTS)
        plan = SearchPlan.make(CELL[None], p)
        out[f"{preset} candidates"] = vectors = backend.find_candidate_vectors(spots, plan, p, POINTS)
        out[f"{preset} vectors"] = vectors = backend.refine_vectors(spots, vectors, plan, p)
        found = backend.find_oriented_cells(spots, vectors, plan, p)
        out |= {f"{preset} {name}": array for name, array in found._asdict().items()}
        for method in METHODS:
            refined = backend.refine_cells(spots, found.cells, found.scores, p.replace(method=method))
            out[f"{preset} {method}"], out[f"{preset} scores of {method}"] = refined
    out["rigid"] = cells = backend.fit_rigid(spots, found.cells, p.replace(rigid_steps=7))
    out["counts"] = backend.count_within(spots, cells, np.full((*cells.shape[:2], 3), [0.001, 0.003, 0.01]))
    fitted, cutoff = backend.fit_constrained(spots, cells[:, 0], cells[:, 0], np.full(4, 0.003), 0.002)
    out |= {"constrained": fitted, "cutoff": cutoff}
    out["whitened"] = backend.fit_whitened(spots, fitted, cells[:, 0], cutoff, TYPICAL, 0.002)
    for fractional in (False, True):
        out[f"distances, fractional {fractional}"] = backend.distances(spots, cells, fractional=fractional)
    return out


def keep(path: str) -> None:
    """Write the results to a NumPy file."""
    np.savez(path, **results())
