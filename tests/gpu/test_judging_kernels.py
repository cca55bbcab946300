"""The kernels that judge cells, against the plain array code on the same arrays, distances and counts of the GPU.

Whatever is decided is equal; numbers in float64 agree but for the order of sums and the contraction of products.
"""

import itertools

import numpy as np
import pytest

from ffbidx_core.backends import BestCells, Limits, OrientedCells
from ffbidx_core.backends.cells import Judgement
from ffbidx_core.backends.generic import accept, crystals, judge
from ffbidx_core.benchmark import LYSOZYME, TRICLINIC
from ffbidx_core.method.last_fit import TYPICAL
from ffbidx_core.model import orientation
from ffbidx_core.model.cell import cell_from_parameters
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.batch import SpotBatch, pack
from ffbidx_core.model.records.reason import FrameReason
from ffbidx_core.parameters import Parameters
from tests.helpers.parity.oracle_checks import to_host

EPS = np.finfo(np.float64).eps
SIZES = (0, 3, 5, 8, 9, 30, 33, 64, 100, 300, 900)
P = Parameters.preset("best", max_input_cells=2)
PLAN = SearchPlan.make(np.stack([cell_from_parameters(c) for c in (LYSOZYME, TRICLINIC)]), P, TYPICAL)


@pytest.fixture
def case(gpu, rng):
    """Frames of several sizes with five cells each, the third an empty slot, and the numbers of their input cells."""
    offsets = np.concatenate([[0], np.cumsum(SIZES)])
    source = rng.integers(0, 2, (len(SIZES), 5)).astype(np.int32)
    turns = np.linalg.qr(rng.normal(size=(*source.shape, 3, 3)))[0]
    cells = PLAN.cells[source] @ turns
    spots = rng.uniform(-0.3, 0.3, (offsets[-1], 3))
    for f, (begin, end) in enumerate(itertools.pairwise(offsets.tolist())):
        # Half of the spots belong to the second cell.
        own = spots[begin : (begin + end + 1) // 2]
        indices = np.rint(own @ cells[f, 1].T)
        own[:] = indices @ np.linalg.inv(cells[f, 1]).T + rng.normal(scale=6e-4, size=own.shape)
    cells[:, 2], source[:, 2] = 0, -1
    batch = gpu.load(spots.astype(np.float32), offsets)
    return batch, gpu.xp.asarray(cells), gpu.xp.asarray(source)


@pytest.fixture
def rng():
    return np.random.default_rng(20261126)


def check_same(found, wanted, exact):
    """Check that some of the fields of two named tuples are equal and the others agree in float64."""
    for name, mine, other in zip(found._fields, map(to_host, found), map(to_host, wanted), strict=True):
        if name in exact:
            np.testing.assert_array_equal(mine, other, err_msg=name)
        elif name != "radius":
            np.testing.assert_allclose(mine, other, rtol=64 * EPS, atol=64 * EPS * len(SIZES), err_msg=name)
    if "radius" in found._fields:
        stands_out = to_host(wanted.level) < 0
        np.testing.assert_array_equal(to_host(found.radius)[stands_out], to_host(wanted.radius)[stands_out])


@pytest.mark.parametrize("fewest", [P.min_new_spots, 30])
def test_the_same_cell_is_chosen(gpu, case, fewest):
    p = P.replace(min_new_spots=fewest)
    wanted = judge.judge_cells(gpu, *case, PLAN, p)
    check_same(gpu.judge_cells(*case, PLAN, p), wanted, ("slot", "cells", "input_cell"))
    assert (to_host(wanted.slot) == 1).sum() >= 3
    assert (to_host(wanted.slot) == -1).any()


def test_the_same_cells_pass(gpu, case, rng):
    batch, cells, source = case
    pool = OrientedCells(cells, gpu.xp.asarray(rng.normal(size=source.shape)), source)
    limit = float(np.median(to_host(gpu.lowest_false(batch, cells[:, 1], source[:, 1], PLAN, P))))
    found, left = gpu.best_cells(batch, pool._replace(cells=cells.copy()), limit, PLAN, P)
    wanted, wanted_left = judge.best_cells(gpu, batch, pool, limit, PLAN, P)
    check_same(found, wanted, ("passes", "cells", "input_cell", "scores"))
    check_same(left, wanted_left, left._fields)
    assert 3 <= to_host(wanted.passes).sum() <= len(SIZES) - 3


@pytest.mark.parametrize("n_known", [0, 2])
@pytest.mark.parametrize("merge", [0.0, 0.03])
def test_the_same_cells_become_crystals(gpu, rng, n_known, merge):
    n, xp = 400, gpu.xp
    source = rng.integers(0, 2, n).astype(np.int32)
    cells = PLAN.cells[source] * (1 + rng.normal(scale=0.02, size=(n, 3, 1)))
    bases = np.array([np.eye(3), [[1, 1, 0], [0, 1, 0], [0, 0, 1]], [[2, 0, 0], [0, 1, 0], [0, 0, 1]], -np.eye(3)])
    known = bases[rng.integers(0, 4, (n, n_known))] @ cells[:, None]
    known = known @ (np.eye(3) + rng.normal(scale=0.01, size=known.shape))
    known[:3], cells[5] = 1e-3 * np.eye(3), 0
    passes, nothing = rng.random(n) < 0.8, np.zeros(n)
    best = BestCells(passes, cells, source, *[nothing] * 5)
    rest = cells, rng.normal(size=n), rng.uniform(1e-3, 2e-3, n), rng.uniform(1e-3, 2e-2, n), known
    limits = Limits(0.8, (0.05, 3.0), merge, PLAN.cells, PLAN.largest_cutoffs)
    wanted = judge.check_cells(best, *rest, limits)
    tables = limits._replace(given=gpu.constant(PLAN.cells), largest=gpu.constant(PLAN.largest_cutoffs))
    found = gpu.check_cells(BestCells(*map(xp.asarray, best)), *map(xp.asarray, rest), tables)
    check_same(found, wanted, wanted._fields)
    assert {FrameReason(code) for code in wanted.reason.tolist()} == {
        FrameReason.NONE,
        FrameReason.LOST_IN_REFINEMENT,
        FrameReason.DRIFTED,
    }
    merged = (wanted.cutoff > 0) & ~wanted.is_new
    assert (merged.sum() > 50) == (n_known > 0 and merge > 0)
    assert wanted.is_new.sum() > 50


def test_the_lowest_number_of_false_crystals_is_the_same(gpu, case):
    batch, cells, source = case
    for q in range(cells.shape[1]):
        arguments = batch, cells[:, q], source[:, q], PLAN, P
        found, wanted = to_host(gpu.lowest_false(*arguments)), to_host(judge.lowest_false(gpu, *arguments))
        np.testing.assert_allclose(found, wanted, rtol=64 * EPS, atol=64 * EPS * len(SIZES))
        assert np.isinf(wanted).all() == (q == 2)
        if q == 1:
            assert wanted.min() < -100


def test_the_same_spots_are_left(gpu, case, rng):
    batch, cells, _ = case
    for q in range(cells.shape[1]):
        cutoff = gpu.xp.asarray(rng.choice([0.0, 5e-4, 2e-3], len(SIZES)))
        found = gpu.without_spots(batch, cells[:, q], cutoff)
        wanted = crystals.without_spots(gpu, batch, cells[:, q], cutoff)
        np.testing.assert_array_equal(to_host(found.offsets), to_host(wanted.offsets))
        n_left = int(found.offsets[-1])
        np.testing.assert_array_equal(to_host(found.xyz[:, :n_left]), to_host(wanted.xyz))
        assert (n_left == sum(SIZES)) == (q == 2)


@pytest.mark.parametrize("fractional", [False, True])
def test_the_same_spots_are_indexed(gpu, case, fractional):
    batch, cells, _ = case
    threshold = 0.1 if fractional else 0.002
    found = gpu.coverage(batch, cells, threshold, fractional=fractional)
    wanted = crystals.coverage(gpu, batch, cells, threshold, fractional=fractional)
    np.testing.assert_array_equal(to_host(found.n_indexed), to_host(wanted.n_indexed))
    np.testing.assert_array_equal(to_host(found.resolution), to_host(wanted.resolution))
    np.testing.assert_allclose(to_host(found.rmsd), to_host(wanted.rmsd), rtol=3e-7)
    assert np.isnan(to_host(wanted.resolution)).any()
    assert to_host(wanted.n_indexed).max() > 400


@pytest.mark.parametrize("min_spots", [1, 6, 40])
def test_the_same_cells_are_accepted(gpu, case, rng, min_spots):
    batch, cells, _ = case
    scores = rng.normal(size=(len(SIZES), 5)).round(1)
    scores[:, 2], scores[4, 3], scores[5] = np.inf, np.nan, 0.5
    arguments = batch, cells, gpu.xp.asarray(scores), 0.004, min_spots
    found = to_host(gpu.accept_by_count(*arguments, fractional=False))
    np.testing.assert_array_equal(found, to_host(accept.accept_by_count(gpu, *arguments, fractional=False)))
    assert found.any()
    assert not found.all()


def test_cells_that_have_drifted_are_the_same(gpu, rng):
    given = PLAN.cells[rng.integers(0, 2, 400)]
    cells = given * (1 + rng.normal(scale=0.02, size=(400, 3, 1))) + rng.normal(scale=1.0, size=given.shape)
    cells[7] = 0
    found = to_host(gpu.drifted(gpu.xp.asarray(cells), gpu.xp.asarray(given), (0.05, 3.0)))
    wanted = orientation.drifted(cells, given, (0.05, 3.0))
    np.testing.assert_array_equal(found, wanted)
    assert 50 < wanted.sum() < 350


def test_the_better_cells_are_the_same(gpu, rng):
    source = rng.integers(0, 2, 400).astype(np.int32)
    given = PLAN.cells[source]
    refined = given * (1 + rng.normal(scale=0.02, size=(400, 3, 1))) + rng.normal(scale=1.0, size=given.shape)
    levels, radii = rng.normal(-9, 3, (2, 400)), rng.uniform(0.001, 0.01, (2, 400))
    refined[7], levels[:, 8] = 0, -9.0

    def chosen(backend, on):
        nothing = on(np.zeros(400))
        best = BestCells(nothing, on(given + 0.5), on(source), nothing, on(levels[0]), on(radii[0]), nothing, nothing)
        again = Judgement(nothing, nothing, nothing, on(levels[1]), on(radii[1]), nothing)
        limits = Limits(0.0, (0.05, 3.0), 0.03, on(PLAN.cells), nothing)
        return [to_host(each) for each in backend.better_cells(best, on(refined), again, limits)]

    found, wanted = chosen(gpu, gpu.xp.asarray), chosen(judge, np.asarray)
    np.testing.assert_array_equal(found[0], wanted[0])
    np.testing.assert_array_equal(found[1], wanted[1])
    assert 20 < (wanted[1] == radii[1]).sum() < 200


def test_flat_ewald_spheres_are_the_same(gpu, rng):
    frames = [
        rng.uniform(-1, 1, (n, 3)) * (1, 1, h) for n, h in ((40, 0.002), (40, 1.0), (0, 1.0), (1, 0.02), (30, 0.05))
    ]
    spots, offsets = pack(frames)
    batch = gpu.load(spots, offsets)
    host = SpotBatch(to_host(batch.xyz), offsets)
    wanted = judge.flat_frames(host)
    np.testing.assert_array_equal(to_host(gpu.flat_frames(batch)), wanted)
    assert wanted.any()
    assert not wanted.all()
    assert not judge.flat_frames(SpotBatch(np.zeros((3, 0), np.float32), np.zeros(3, np.int64))).any()


def test_arrays_of_any_size_come_to_the_device_together(gpu, rng):
    sizes = (0, 5, 3_000_001, 1, 700_000)
    arrays = [rng.uniform(size=n).astype(dtype) for n, dtype in zip(sizes, ("f4", "f8", "f4", "i8", "f8"), strict=True)]
    arrays.append(rng.uniform(size=(7, 3)).astype(np.float32)[::2])
    with gpu.lane():
        for found, wanted in zip(gpu.on_device(*arrays), arrays, strict=True):
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(to_host(found), wanted)


def test_canonical_settings_are_the_same(gpu, rng):
    source = rng.integers(-1, 2, 300).astype(np.int32)
    turns = np.linalg.qr(rng.normal(size=(300, 3, 3)))[0]
    cells = PLAN.cells[source] @ (turns * np.linalg.det(turns)[:, None, None])
    cells += rng.normal(scale=0.05, size=cells.shape)
    found = to_host(gpu.in_canonical_setting(gpu.xp.asarray(cells), gpu.xp.asarray(source), PLAN))
    wanted = crystals.in_canonical_setting(cells, source, PLAN)
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    np.testing.assert_array_equal(found[source == -1], cells[source == -1])
    assert (np.abs(wanted - cells).max(axis=(1, 2)) > 1).sum() > 100
