"""The fits and distances of each backend against the oracle, fed the oracle's input.

Fitted numbers agree within a tolerance made of float32's epsilon and the magnitudes at hand; an entry that does not
must be one where the oracle itself moves as far when the spots move by 1e-6 of their length, and such are rare.
"""

import functools
from types import SimpleNamespace

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.model.records.batch import pack
from ffbidx_core.parameters import Parameters
from tests.helpers.parity.lattice_stills import CELLS, random_rotation, small_rotation, still
from tests.helpers.parity.oracle_checks import check_numbers, spread, to_host
from tests.helpers.parity.score_bounds import EPS, ROUNDINGS, index_error

FIT_SIZES = ((60,) * 8) + (0, 3, 5, 12, 400)
SLOTS = ("near", "strained", "turned", "random", "empty")


@functools.cache
def fit_frames():
    """Frames of all systems and several sizes; for each a cell near the truth, strained, far off, at random, none."""
    rng = np.random.default_rng(7)
    systems = [*CELLS, "triclinic", *list(CELLS)[:5]]
    frames, cells, scores = [], [], []
    for i, (system, n) in enumerate(zip(systems, FIT_SIZES, strict=True)):
        # The second triclinic frame has low resolution only: a fit reaches it from far off, by the largest of turns.
        spots, truth = still(rng, CELLS[system], n, **({"d_min": 6, "width": 0.02, "false": 0} if i == 7 else {}))
        frames.append(spots)
        strained = truth @ small_rotation(rng, 0.2) @ (np.eye(3) + 2e-3 * rng.normal(size=(3, 3)))
        at_random = CELLS[system] @ random_rotation(rng)
        turned = truth @ small_rotation(rng, 2.5)
        cells.append([truth @ small_rotation(rng, 0.1), strained, turned, at_random, np.zeros((3, 3))])
        scores.append([-0.8 * n // 1 - 0.93, -0.7 * n // 1 - 0.85, -0.4 * n // 1 - 0.8, -0.2 * n // 1 - 0.75, np.inf])
    oracle = get_backend("reference")
    spots, offsets = pack(frames)
    return SimpleNamespace(
        spots=spots,
        offsets=offsets,
        batch=oracle.load(spots, offsets),
        cells=np.array(cells),
        oracle=oracle,
        scores=np.array(scores),
        reference=np.array([CELLS[system] for system in systems]),
        frames=frames,
    )


def cell_tolerance(case):
    """(F, Q) angstrom: as for vectors, for the longest of the cell's."""
    lengths = np.linalg.norm(case.reference, axis=2).max(axis=1)
    of_frame = ROUNDINGS * EPS * lengths * np.array([spread(spots.astype(float)) for spots in case.frames])
    return np.repeat(of_frame[:, None], len(SLOTS), axis=1)


def residual_error(case):
    """(F,) 1/angstrom: error of a predicted spot, the index's error times the reciprocal cell."""
    largest = np.array([np.linalg.norm(spots, axis=1).max(initial=0) for spots in case.frames])
    norms = np.linalg.norm(case.reference, axis=(1, 2))
    return index_error(norms * largest) * np.linalg.norm(np.linalg.inv(case.reference), axis=(1, 2))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"max_dist": 1e-5, "n_iter": 60},
        {"contraction": 0.5, "max_dist": 1e-5},
        {"min_spots": 4},
        {"n_iter": 0},
        {"min_spots": 20, "n_iter": 3},
        {"max_dist": 10.0},
    ],
    ids=["published", "long", "fast", "min_spots 4", "no fit", "min_spots 20", "too far"],
)
@pytest.mark.parametrize("method", ["raw", "ifss", "ifse", "ifssr"])
def test_refined_cells(backend, method, changes):
    case, p = fit_frames(), Parameters(method=method, **changes)
    batch, xp = backend.load(case.spots, case.offsets), backend.xp
    found = backend.refine_cells(batch, xp.asarray(case.cells), xp.asarray(case.scores), p)
    cells, scores = (to_host(a) for a in found)
    wanted_cells, wanted_scores = case.oracle.refine_cells(case.batch, case.cells, case.scores, p)
    tolerance = cell_tolerance(case)
    largest = np.array([np.linalg.norm(spots, axis=1).max(initial=0) for spots in case.frames])[:, None]
    score_tolerance = 3 * tolerance * largest + index_error(0)
    if method == "ifssr":
        score_tolerance = score_tolerance * np.linalg.norm(np.linalg.inv(case.reference), axis=(1, 2))[:, None]
    again = functools.partial(case.oracle.refine_cells, cells=case.cells, scores=case.scores, p=p)
    check_numbers(cells, wanted_cells, tolerance, lambda b: again(b)[0], case.batch)
    check_numbers(scores, wanted_scores, score_tolerance, lambda b: again(b)[1], case.batch)
    assert (scores.dtype, cells.dtype) == (np.float64, np.float64)


@pytest.mark.parametrize("steps", [0, 1, 5, 7])
def test_rigid_fit(backend, steps):
    case, p = fit_frames(), Parameters(rigid_steps=steps)
    batch = backend.load(case.spots, case.offsets)
    found = to_host(backend.fit_rigid(batch, backend.xp.asarray(case.cells), p))
    # A turn is off by the residuals' error over the spots' distance, as badly as the spots determine it.
    extent = np.array([np.sqrt((spots.astype(float) ** 2).mean()) if len(spots) else 1 for spots in case.frames])
    tolerance = cell_tolerance(case) + (residual_error(case) / extent)[:, None] * np.linalg.norm(
        case.cells, axis=(2, 3)
    )
    check_numbers(
        found,
        case.oracle.fit_rigid(case.batch, case.cells, p),
        tolerance,
        lambda b: case.oracle.fit_rigid(b, case.cells, p),
        case.batch,
    )
    metric = case.cells @ np.swapaxes(case.cells, 2, 3)
    np.testing.assert_allclose(found @ np.swapaxes(found, 2, 3), metric, atol=1e-9 * metric.max())


@pytest.mark.parametrize("prior", [0.002, 0.012, 1e-4])
@pytest.mark.parametrize("radius", [0.0005, 0.0018])
@pytest.mark.parametrize("slot", SLOTS)
def test_constrained_fit(backend, slot, radius, prior):
    case = fit_frames()
    start = np.ascontiguousarray(case.cells[:, SLOTS.index(slot)])
    radii, xp = np.full(len(start), radius), backend.xp
    batch = backend.load(case.spots, case.offsets)
    cells, cutoff = (
        to_host(a)
        for a in backend.fit_constrained(batch, *(xp.asarray(a) for a in (start, case.reference, radii)), prior)
    )
    wanted_cells, wanted_cutoff = case.oracle.fit_constrained(case.batch, start, case.reference, radii, prior)
    again = functools.partial(
        case.oracle.fit_constrained, cells=start, reference=case.reference, radius=radii, prior=prior
    )
    check_numbers(cells, wanted_cells, cell_tolerance(case)[:, 0], lambda b: again(b)[0], case.batch, rare=0.1)
    # The cut-off is 3.1 / sqrt(3) times an rms residual.
    check_numbers(cutoff, wanted_cutoff, 2 * residual_error(case) + EPS, lambda b: again(b)[1], case.batch, rare=0.1)


@pytest.mark.parametrize("fractional", [False, True])
def test_distances(backend, fractional):
    case = fit_frames()
    batch = backend.load(case.spots, case.offsets)
    found = to_host(backend.distances(batch, backend.xp.asarray(case.cells), fractional=fractional))
    wanted = case.oracle.distances(case.batch, case.cells, fractional=fractional)
    assert found.dtype == np.float32
    assert found.shape == wanted.shape
    tolerance = 2 * residual_error(case) if not fractional else 2 * np.sqrt(3) * index_sizes(case)
    tolerance = np.repeat(tolerance, case.batch.counts)
    with np.errstate(invalid="ignore"):
        agree = (found == wanted) | (np.abs(found - wanted) <= tolerance)
    # Half-way between two lattice points either may be the predicted one, at different distances.
    half_way = near_half_way(case)
    assert (agree | half_way).all()
    assert half_way.mean() < 0.001


def index_sizes(case):
    largest = np.array([np.linalg.norm(spots, axis=1).max(initial=0) for spots in case.frames])
    return index_error(np.linalg.norm(case.reference, axis=2).max(axis=1) * largest)


def near_half_way(case):
    """(Q, N): spots with an index that float32 may round either way."""
    frame = case.batch.frame_of_spot
    x = np.einsum("nqrk,kn->qnr", case.cells[frame], case.batch.xyz)
    return (np.abs(np.abs(x - np.rint(x)) - 0.5) < index_sizes(case)[frame][:, None]).any(axis=2)


def test_counts_within_radii(backend):
    case = fit_frames()
    batch = backend.load(case.spots, case.offsets)
    radii = np.array([0.0, 0.0005, 0.0008, 0.0012, 0.0018, 0.0026, 0.01, 1.0])
    radii = np.ascontiguousarray(np.broadcast_to(radii, (*case.cells.shape[:2], len(radii))))
    radii = radii * np.linspace(0.9, 1.1, case.cells.shape[1])[:, None]
    found = to_host(backend.count_within(batch, backend.xp.asarray(case.cells), backend.xp.asarray(radii)))
    assert found.dtype == np.int32
    off = 2 * residual_error(case)[:, None, None] + EPS * radii
    half_way = case.batch.sum_per_frame(near_half_way(case)).T[:, :, None]
    assert half_way.sum() <= 2
    assert (found >= case.oracle.count_within(case.batch, case.cells, radii - off) - half_way).all()
    assert (found <= case.oracle.count_within(case.batch, case.cells, radii + off) + half_way).all()
    # The frames hold crystals: the first slot explains most of each.
    assert found[FIT_SIZES.index(400), 0, 4] > 200
    assert (found[:7, 0, 6] > 30).all()
