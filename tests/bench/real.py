"""Real frames with known answers, where the data lie beside the project in ../shared/data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from ffbidx_core.backends import Backend
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.cell import Array, symmetry_operators
from ffbidx_core.model.orientation import misorientation
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.batch import pack
from ffbidx_core.model.records.frame import BatchResult
from ffbidx_core.parameters import METHODS, Parameters
from tests.helpers.paths import SHARED

DATA = SHARED / "data"
PSI = DATA / "psi_simple"
PSI_TRUTH = np.array([[-29.10, 20.50, 9.90], [39.43, 25.27, 63.59], [28.51, 60.64, -41.79]])
"""Orientation of all PSI images as their README gives it, up to 1 degree off; rows c, a, b as in the files."""
PSI_TOLERANCE, TOLERANCE = 1.5, 1.0
"""Degrees."""


def psi_frames() -> list[tuple[str, Array, Array]]:
    """Name, cell (rows a, b, c) and spots of each real PSI file."""
    frames = []
    for path in sorted(PSI.glob("image*.txt")):
        lines = [line.split() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
        cell, spots = np.array(lines[0], float).reshape(3, 3), np.array([row[:3] for row in lines[1:]], float)
        frames.append((path.name, cell, spots))
    return frames


def psi_found(backend: Backend, p: Parameters) -> list[bool]:
    """Whether a crystal in the known orientation is claimed on each PSI file."""
    found = []
    for _, cell, spots in psi_frames():
        result = index_frames(backend, *pack([spots]), SearchPlan.make(cell[None], p), p)
        found.append(_closest(result, 0, PSI_TRUTH, cell) < PSI_TOLERANCE)
    return found


def solved_found(backend: Backend, path: Path, p: Parameters) -> tuple[int, int, int]:
    """Lattices found, lattices known and crystals claimed on the frames of a file that another program solved."""
    with h5py.File(path) as file:
        spots, offsets, cells = file["spots"][()], file["offsets"][()], file["cells"][()]
    with h5py.File(path.with_suffix(".truth.h5")) as file:
        truth, truth_offsets = file["truth/cells"][()], file["truth/cell_offsets"][()]
    result = index_frames(backend, spots, offsets, SearchPlan.make(cells, p), p)
    frames = np.repeat(np.arange(len(truth_offsets) - 1), np.diff(truth_offsets))
    found = sum(_closest(result, f, cell, cells[0]) < TOLERANCE for f, cell in zip(frames.tolist(), truth, strict=True))
    return found, len(truth), len(result.crystals)


def _closest(result: BatchResult, frame: int, truth: Array, input_cell: Array) -> float:
    """Misorientation in degrees of the crystal of a frame that is closest to a true lattice; infinite without one."""
    operators = symmetry_operators(input_cell, 0.02)
    rows = result.crystals[result.crystal_offsets[frame] : result.crystal_offsets[frame + 1]]
    return min((misorientation(cell.astype(float), truth, operators) for cell in result.cells[rows]), default=np.inf)


def report(backend: Backend) -> Iterator[tuple[str, bool]]:
    """Lines of the table of real frames, and whether each is as it must be; none where the data is not there."""
    for preset in ("best", "published") if PSI.is_dir() else ():
        for method in METHODS:
            files = psi_found(backend, Parameters.preset(preset, method=method))
            text = f"psi_simple, {preset}, {method:6} {sum(files):3} of {len(files)} files in the known orientation"
            yield text, all(files) or method == "raw"
    for path in sorted((DATA / "real").glob("*.truth.h5")):
        name = path.name.removesuffix(".truth.h5")
        found, known, claimed = solved_found(backend, path.with_name(name + ".h5"), Parameters.preset("best"))
        yield f"{name}: {found} of {known} known lattices among {claimed} claimed crystals", True
