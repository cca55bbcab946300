"""The oracle's search, against formulas written out in plain Python and against exact lattices."""

import itertools
import math

import numpy as np
import pytest

from ffbidx_core.backends import OrientedCells
from ffbidx_core.model.cell import symmetry_operators
from ffbidx_core.model.orientation import equal_lattices, misorientation, rotation_angle
from ffbidx_core.model.plan import SearchPlan, half_sphere
from ffbidx_core.parameters import Parameters
from tests.helpers.parity.lattice_stills import CELLS, one_frame, random_spots, small_rotation, still

SMALL = {
    "num_halfsphere_points": 4096,
    "num_candidate_vectors": 16,
    "num_angle_points": 240,
    "dist1": 0.15,
    "n_output_cells": 8,
}


def search(oracle, batch, plan, p):
    vectors = oracle.find_candidate_vectors(batch, plan, p, p.num_halfsphere_points)
    vectors = oracle.refine_vectors(batch, vectors, plan, p)
    return vectors, oracle.find_oriented_cells(batch, vectors, plan, p)


def naive_score(distances, near, p):
    product, count = 1.0, 0
    for d in distances:
        product *= min(max(d, p.triml), p.trimh) + p.delta
        count += d < near
    return product ** (1 / len(distances)) - p.delta - count - 1


@pytest.mark.parametrize("system", CELLS)
def test_a_perfect_lattice_is_found(oracle, rng, system):
    spots, truth = still(rng, CELLS[system], 60, false=0, noise=0)
    p = Parameters(**SMALL, method="ifssr")
    batch, plan = one_frame(oracle, spots), SearchPlan.make(CELLS[system][None], p)
    _, found = search(oracle, batch, plan, p)
    assert (np.diff(found.scores[0]) >= 0).all()
    # The sampling's steps are a few degrees; a rigid fit brings the best cell home.
    best = oracle.fit_rigid(batch, found.cells, p.replace(rigid_steps=7))[0, 0]
    assert equal_lattices(best, truth, 1e-4)
    assert misorientation(best, truth, symmetry_operators(CELLS[system], 1e-3)) < 0.005
    assert (oracle.count_within(batch, best[None, None], np.full((1, 1, 1), 1e-4)) == 60).all()


def test_scores_of_directions_follow_the_formula(oracle, rng):
    spots, _ = still(rng, CELLS["triclinic"], 12)
    p = Parameters(num_halfsphere_points=40, num_candidate_vectors=40, dist1=0.2)
    plan, batch = SearchPlan.make(CELLS["triclinic"][None], p), one_frame(oracle, spots)
    directions = half_sphere(40)
    found = oracle.find_candidate_vectors(batch, plan, p, 40)
    for g, length in enumerate(plan.lengths):
        scores = []
        for x, y, z in directions:
            projected = [float(length) * (x * float(a) + y * float(b) + z * float(c)) for a, b, c in spots]
            scores.append(naive_score([abs(v - round(v)) for v in projected], 0.2, p))
        wanted = sorted(range(40), key=lambda i, scores=scores: (round(scores[i], 12), i))
        np.testing.assert_allclose(found[0, g], length * directions[wanted], atol=1e-12 * length)


def test_scores_of_cells_follow_the_formula(oracle, rng):
    spots, _ = still(rng, CELLS["monoclinic"], 10)
    p = Parameters(num_halfsphere_points=50, num_candidate_vectors=2, num_angle_points=7, dist3=0.3)
    plan, batch = SearchPlan.make(CELLS["monoclinic"][None], p), one_frame(oracle, spots)
    _, found = search(oracle, batch, plan, p)
    for cell, score in zip(found.cells[0, :5], found.scores[0, :5], strict=True):
        distances = []
        for s in spots.tolist():
            squares = 0.0
            for row in cell.tolist():
                x = sum(r * c for r, c in zip(row, s, strict=True))
                squares += (x - round(x)) ** 2
            distances.append(math.sqrt(squares))
        assert score == pytest.approx(naive_score(distances, 0.3, p), abs=1e-12)


def test_every_way_to_lay_a_cell_on_a_candidate_competes(oracle, rng):
    """All slots kept: each cell is a copy of the input with one vector along a candidate, at equidistant angles."""
    cell = CELLS["triclinic"]
    spots, _ = still(rng, cell, 20)
    p = Parameters(
        num_halfsphere_points=20,
        num_candidate_vectors=2,
        num_angle_points=5,
        max_output_cells=60,
        n_output_cells=60,
        vr_min_spots=0,
    )
    plan, batch = SearchPlan.make(cell[None], p), one_frame(oracle, spots)
    vectors, found = search(oracle, batch, plan, p)
    assert np.isfinite(found.scores).all()
    np.testing.assert_allclose(found.cells[0] @ np.swapaxes(found.cells[0], 1, 2) - cell @ cell.T, 0, atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(found.cells[0]), np.linalg.det(cell))
    ways = set()
    for turned in found.cells[0]:
        for axis, sign in itertools.product(range(3), (1, -1)):
            group = np.argmin(np.abs(plan.lengths - np.linalg.norm(cell[axis])))
            for c, v in enumerate(vectors[0, group]):
                if np.allclose(sign * turned[axis], v, atol=1e-9):
                    ways.add((axis, sign, c))
    assert len(ways) == 12
    same_axis = [t for t in found.cells[0] if np.allclose(t[0], vectors[0, np.argmin(np.abs(plan.lengths - 31)), 0])]
    turns = sorted(rotation_angle(np.linalg.inv(same_axis[0]) @ np.array(same_axis)).round(6))
    assert turns == pytest.approx([0, 72, 72, 144, 144], abs=1e-5)


def test_candidates_keep_their_distance(oracle, rng):
    spots, _ = still(rng, CELLS["tetragonal"], 40)
    p = Parameters(**SMALL, candidate_separation=2.0, candidate_pool=100)
    plan, batch = SearchPlan.make(CELLS["tetragonal"][None], p), one_frame(oracle, spots)
    near = Parameters(**{**SMALL, "num_candidate_vectors": 100})
    kept = oracle.find_candidate_vectors(batch, plan, p, 4096)
    pool = oracle.find_candidate_vectors(batch, plan, near, 4096)
    limit = 2.0 * math.sqrt(2 * math.pi / 4096)
    for g, length in enumerate(plan.lengths):
        wanted = []
        for v in pool[0, g] / length:
            # Of the lines through the origin, not of the vectors.
            if all(min(math.acos(min(1, v @ w)), math.acos(min(1, -v @ w))) >= limit for w in wanted):
                wanted.append(v)
        wanted = np.array(wanted[:16])
        np.testing.assert_allclose(kept[0, g, : len(wanted)] / length, wanted, atol=1e-12)
        assert not kept[0, g, len(wanted) :].any()


def test_racing_lets_the_best_on_few_spots_go_on(oracle, rng):
    spots, _ = still(rng, CELLS["cubic"], 30)
    few = np.ascontiguousarray(one_frame(oracle, spots).xyz[:, :10].T)
    p = Parameters(num_halfsphere_points=512, num_candidate_vectors=50, race_spots=10, race_directions=50)
    plan = SearchPlan.make(CELLS["cubic"][None], p)
    raced = oracle.find_candidate_vectors(one_frame(oracle, spots), plan, p, 512)[0, 0]
    alone = oracle.find_candidate_vectors(one_frame(oracle, few), plan, p, 512)[0, 0]
    assert {tuple(v) for v in raced} == {tuple(v) for v in alone}
    without = oracle.find_candidate_vectors(one_frame(oracle, spots[:19]), plan, p.replace(race_spots=0), 512)
    too_few = oracle.find_candidate_vectors(one_frame(oracle, spots[:19]), plan, p, 512)
    np.testing.assert_array_equal(too_few, without)


def test_angle_peaks_are_the_local_minima(oracle, rng):
    spots, _ = still(rng, CELLS["monoclinic"], 40)
    p = Parameters(
        num_halfsphere_points=512,
        num_candidate_vectors=1,
        num_angle_points=100,
        max_output_cells=600,
        n_output_cells=600,
    )
    plan, batch = SearchPlan.make(CELLS["monoclinic"][None], p), one_frame(oracle, spots)
    vectors, everything = search(oracle, batch, plan, p)
    _, peaks = search(oracle, batch, plan, p.replace(angle_peaks=3))
    assert np.isfinite(peaks.scores).sum() == 3 * len(plan.group)
    wanted = []
    for seed, group in enumerate(plan.group):
        axis, sign = divmod(seed, 2)
        mine = [
            (s, c)
            for s, c in zip(everything.scores[0], everything.cells[0], strict=True)
            if _lies_along((-1) ** sign * c[axis], vectors[0, group, 0])
        ]
        assert len(mine) == 100
        first = mine[0][1]
        other = first[(axis + 1) % 3]
        z = first[axis] / np.linalg.norm(first[axis])
        x = other - (other @ z) * z
        y = np.cross(z, x)
        circle = sorted(mine, key=lambda m, a=axis, x=x, y=y: math.atan2(m[1][(a + 1) % 3] @ y, m[1][(a + 1) % 3] @ x))
        scores = [s for s, _ in circle]
        minima = [scores[k] for k in range(100) if scores[k - 1] >= scores[k] < scores[(k + 1) % 100]]
        wanted += sorted(minima)[:3]
    np.testing.assert_allclose(peaks.scores[0, : len(wanted)], sorted(wanted), atol=1e-12)


def _lies_along(a, v):
    return np.allclose(a / np.linalg.norm(a), v / np.linalg.norm(v), atol=1e-9)


def test_several_input_cells_are_told_apart(oracle, rng):
    cells = np.stack([CELLS["cubic"], CELLS["triclinic"]])
    p = Parameters(**SMALL, max_input_cells=2)
    plan = SearchPlan.make(cells, p)
    for m, cell in enumerate(cells):
        spots, _ = still(rng, cell, 50)
        _, found = search(oracle, one_frame(oracle, spots), plan, p)
        assert found.input_cell[0, 0] == m
        for kept, origin in zip(found.cells[0], found.input_cell[0], strict=True):
            np.testing.assert_allclose(kept @ kept.T, cells[origin] @ cells[origin].T, atol=1e-8)


def test_refined_vectors_are_lattice_vectors(oracle, rng):
    cell = CELLS["triclinic"]
    spots, truth = still(rng, cell, 60, false=0.2, noise=0)
    p = Parameters(vector_tolerance=0.03)
    plan, batch = SearchPlan.make(cell[None], p), one_frame(oracle, spots)
    group = int(np.argmin(np.abs(plan.lengths - 31)))
    vectors = np.zeros((1, 3, 3, 3))
    start = truth[0] @ small_rotation(rng, 0.2)
    # The same twice over, its negative, and one that is too long to be the vector: a multiple.
    vectors[0, group] = start, -start, 2 * truth[0]
    refined = oracle.refine_vectors(batch, vectors, plan, p)[0, group]
    np.testing.assert_allclose(refined[0], truth[0], atol=1e-3)
    np.testing.assert_array_equal(refined[1], 2 * truth[0])
    assert not refined[2].any()
    np.testing.assert_array_equal(oracle.refine_vectors(batch, vectors, plan, p.replace(vr_min_spots=0)), vectors)


def test_loading_sorts_by_resolution_whatever_the_order(oracle, rng):
    frames = [random_spots(rng, n).astype(np.float32) for n in (5, 0, 30)]
    frames[0][1] = -frames[0][0]
    offsets = [0, 5, 5, 35]
    batch = oracle.load(np.concatenate(frames), offsets)
    mixed = oracle.load(np.concatenate([rng.permutation(f) for f in frames]), offsets)
    np.testing.assert_array_equal(batch.xyz, mixed.xyz)
    assert batch.xyz.dtype == np.float32
    assert batch.xyz.flags.c_contiguous
    for first, last in itertools.pairwise(offsets):
        x, y, z = batch.xyz[:, first:last].astype(float)
        keys = list(zip(x * x + y * y + z * z, x, y, z, strict=True))
        assert keys == sorted(keys)


def test_the_fraction_of_a_score_is_the_geometric_mean(oracle):
    """Even where every distance is zero and delta cannot be held exactly: refinement starts from the fraction."""
    cell = np.diag([16.0, 16.0, 16.0])
    spots = (np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1]]) / 16).astype(np.float32)
    p = Parameters(triml=0, delta=0.3, num_halfsphere_points=2, num_candidate_vectors=1, num_angle_points=4)
    plan = SearchPlan.make(cell[None], p)
    vectors = np.zeros((1, 1, 1, 3))
    vectors[0, 0, 0, 2] = 16
    found = oracle.find_oriented_cells(one_frame(oracle, spots), vectors, plan, p)
    assert found.scores[0, 0] == -6.0


def test_empty_frames_and_slots(oracle, rng):
    p = Parameters(**SMALL)
    plan = SearchPlan.make(CELLS["cubic"][None], p)
    batch = oracle.load(np.zeros((0, 3), np.float32), [0, 0, 0])
    vectors, found = search(oracle, batch, plan, p)
    assert vectors.shape == (2, 1, 16, 3)
    assert not vectors.any()
    assert isinstance(found, OrientedCells)
    assert np.isinf(found.scores).all()
    assert not found.cells.any()
    assert (found.input_cell == -1).all()
    assert oracle.distances(batch, found.cells).shape == (8, 0)
