"""The resolution up to which a crystal indexes spots, against loops over its spots and the simulated limit."""

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.benchmark import LYSOZYME
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.cell import cell_from_parameters
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.batch import pack
from ffbidx_core.model.records.frame import BatchResult
from ffbidx_core.parameters import Parameters
from ffbidx_core.simulate import Scenario, simulate

BEST = Parameters.preset("best")
CELL = cell_from_parameters(LYSOZYME)


def stills(d_min: float = 2.5, n_spots: tuple[int, int] = (30, 80), n_frames: int = 8) -> list[np.ndarray]:
    scenario = Scenario(cells=(LYSOZYME,), d_min=d_min, n_spots=n_spots, false_share=(0.0, 0.1))
    frames = simulate(scenario, n_frames, seed=3)
    return np.split(frames.spots, frames.offsets[1:-1])


def found_on(spots: list[np.ndarray], p: Parameters = BEST) -> BatchResult:
    return index_frames(get_backend("cpu", threads=1), *pack(spots), SearchPlan.make(CELL[None], p), p)


def slowly(spots: np.ndarray, cell: np.ndarray, p: Parameters) -> float:
    """CrystFEL's rule: the 2 % farthest out, and at least two, do not count."""
    threshold, fractional = p.coverage
    indices = spots.astype(float) @ cell.T
    off = np.rint(indices) - indices
    distance = np.linalg.norm(off if fractional else off @ np.linalg.inv(cell).T, axis=1)
    lengths = sorted(np.linalg.norm(spots[distance < threshold].astype(float), axis=1))
    left_out = max(2, len(lengths) // 50)
    return 1 / lengths[-1 - left_out] if len(lengths) > left_out else np.nan


@pytest.mark.parametrize("changes", [{}, {"accept": "count"}, {"accept": "count", "method": "ifss"}])
def test_the_farthest_spots_of_each_crystal_do_not_count(changes: dict) -> None:
    p = BEST.replace(**changes)
    # Frames of few spots and of many, one without a crystal and one without spots.
    spots = [*stills(), *stills(n_spots=(150, 260), n_frames=2), stills()[0][:9], np.zeros((0, 3), np.float32)]
    result = found_on(spots, p)
    assert len(result.crystals) >= 8
    frame = np.repeat(np.arange(len(spots)), np.diff(result.crystal_offsets))
    cells = result.cells[result.crystals].astype(float)
    wanted = [slowly(spots[f], cell, p) for f, cell in zip(frame, cells, strict=True)]
    np.testing.assert_allclose(result.resolution, wanted, rtol=1e-6)


@pytest.mark.parametrize("d_min", [2.0, 2.5, 4.0])
def test_the_simulated_limit_is_found(d_min: float) -> None:
    resolution = found_on(stills(d_min, n_frames=12)).resolution
    assert (resolution > d_min * 0.999).all()
    assert np.median(resolution) < 1.06 * d_min


def test_a_stray_spot_far_out_does_not_move_it() -> None:
    spots = stills()
    result = found_on(spots)
    cells = result.cells[result.crystals[result.crystal_offsets[:-1]]].astype(float)
    assert len(cells) == len(spots)
    # A lattice point twice as far out as any spot, which the crystal indexes.
    farthest = [each[np.argmax(np.linalg.norm(each, axis=1))] for each in spots]
    strays = [np.rint(2 * spot @ cell.T) @ np.linalg.inv(cell).T for spot, cell in zip(farthest, cells, strict=True)]
    moved = found_on([np.vstack([s, stray]).astype(np.float32) for s, stray in zip(spots, strays, strict=True)])
    assert (moved.n_indexed[moved.crystal_offsets[:-1]] == result.n_indexed[result.crystal_offsets[:-1]] + 1).sum() >= 6
    ratio = moved.resolution[moved.crystal_offsets[:-1]] / result.resolution[result.crystal_offsets[:-1]]
    assert (ratio > 0.93).all()
    assert np.median(ratio) > 0.98


def test_without_three_spots_there_is_no_limit() -> None:
    result = found_on([np.zeros((0, 3), np.float32)] * 2)
    assert (result.resolution.shape, result.resolution.dtype) == ((0,), np.float32)
