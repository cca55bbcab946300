"""Artificial results files for reports."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from ffbidx_core.model.cell import cell_from_parameters, cell_parameters
from ffbidx_core.model.records.frame import FrameStatus
from ffbidx_core.model.records.results import Results, ResultsHeader
from ffbidx_core.write.results import results_file
from tests.helpers.frames import random_rotation

PARAMETERS = {"max_spots": 100, "max_drift": [0.05, 3.0], "max_false_rate": 0.0001}
HEADER = ResultsHeader("1.2.3", "ifssr", json.dumps(PARAMETERS), "cpu", "two <cores>")
CELL = cell_from_parameters((31, 42, 53, 90, 103, 90))


def results_of(n_crystals: list[int], seed: int = 0, **changes) -> Results:
    """Results of frames with these numbers of crystals: randomly oriented copies of CELL that scatter by 0.1 %."""
    rng = np.random.default_rng(seed)
    n_frames, k = len(n_crystals), sum(n_crystals)
    turned = [(CELL * (1 + 1e-3 * rng.normal(size=(3, 1)))) @ random_rotation(rng) for _ in range(k)]
    cells = np.array(turned).reshape(-1, 3, 3).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(n_crystals)]).astype(np.int64)
    found = np.array(n_crystals) > 0
    return replace(
        Results(
            header=HEADER,
            complete=True,
            input_cells=CELL[None],
            source=np.array(["a.h5"] * n_frames, object),
            index=np.arange(n_frames),
            id=np.array([""] * n_frames, object),
            n_spots=rng.integers(50, 150, n_frames).astype(np.int32),
            n_sampled=np.full(n_frames, 50, np.int32),
            status=np.where(found, FrameStatus.INDEXED, FrameStatus.NOT_INDEXED).astype(np.uint8),
            cell_offsets=offsets,
            cells=cells,
            scores=np.zeros(k, np.float32),
            input_cell=np.zeros(k, np.int32),
            crystal_offsets=offsets,
            crystals=np.arange(k),
            n_indexed=rng.integers(10, 50, k).astype(np.int32),
            rmsd=rng.uniform(4e-4, 8e-4, k).astype(np.float32),
            log10_chance=rng.uniform(-50, -11, k).astype(np.float32),
            log10_false=rng.uniform(-40, -4, k).astype(np.float32),
            n_expected=rng.uniform(0, 3, k).astype(np.float32),
            resolution=rng.uniform(2, 4, k).astype(np.float32),
            crystal_parameters=cell_parameters(cells).astype(np.float32),
        ),
        **changes,
    )


def write_results(path: Path, results: Results) -> str:
    """Write results to a file and return its name."""
    path.write_bytes(results_file(results))
    return str(path)
