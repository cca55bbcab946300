"""Each step of the search of each backend against the oracle, fed the oracle's input.

Selections may differ only among entries whose oracle score lies within float32's error of the cut (`score_bounds`);
fitted vectors agree within float32's epsilon times the magnitudes at hand (`oracle_checks`).
"""

import functools
import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.backends.reference.search import score, turned_cells
from ffbidx_core.model.plan import SearchPlan, half_sphere
from ffbidx_core.model.records.batch import pack
from ffbidx_core.parameters import Parameters
from tests.helpers.parity.lattice_stills import CELLS, one_frame, still
from tests.helpers.parity.oracle_checks import check_numbers, spread, to_host
from tests.helpers.parity.score_bounds import (
    EPS,
    ROUNDINGS,
    Bounds,
    among_best,
    cell_bounds,
    cell_distances,
    check_selection,
    check_separation,
    direction_bounds,
    peaks,
)

SIZES = (60, 0, 3, 5, 110, 400)
N_POINTS = 1900
BASE = {"num_candidate_vectors": 8, "num_angle_points": 60, "n_output_cells": 8, "max_input_cells": 2}
LEVERS = {
    "dist1": 0.15,
    "max_spots": 100,
    "race_spots": 32,
    "race_directions": 256,
    "candidate_separation": 1.2,
    "candidate_pool": 64,
    "vector_tolerance": 0.03,
    "symmetry_tolerance": 1e-3,
    "angle_peaks": 4,
}
CASES = {
    "published": ("tetragonal", {}),
    "not redundant": ("triclinic", {"redundant_calculations": False}),
    "race": ("cubic", {"race_spots": 12, "race_directions": 200}),
    "race of few": ("monoclinic", {"race_spots": 4, "race_directions": 5}),
    "race of all": ("cubic", {"race_spots": 12, "race_directions": 5000}),
    "separation": ("monoclinic", {"candidate_separation": 1.2, "candidate_pool": 64}),
    "pool smaller than the candidates": ("orthorhombic", {"candidate_separation": 0.5, "candidate_pool": 5}),
    "merging": ("trigonal", {"vector_tolerance": 0.03, "num_candidate_vectors": 32}),
    "no vector fit": ("trigonal", {"vector_tolerance": 0.5, "vr_min_spots": 0}),
    "symmetry": ("hexagonal", {"symmetry_tolerance": 1e-3}),
    "peaks": ("trigonal", {"angle_peaks": 3}),
    "one angle": ("monoclinic", {"num_angle_points": 1, "angle_peaks": 2}),
    "two angles": ("monoclinic", {"num_angle_points": 2, "angle_peaks": 2, "n_output_cells": 32}),
    "levers": ("orthorhombic", LEVERS),
    "levers, not redundant": ("hexagonal", {**LEVERS, "redundant_calculations": False}),
    "two cells": ("tetragonal triclinic", {}),
    "two cells, levers": ("tetragonal triclinic", LEVERS),
    "two cells of the same lengths": ("cubic cubic", {"length_threshold": 0.1}),
    "wide length groups": ("tetragonal hexagonal", {"length_threshold": 15.0}),
    "few sampled": ("tetragonal", {"max_spots": 21}),
    "more slots than cells": ("cubic", {"num_candidate_vectors": 1, "num_angle_points": 3, "n_output_cells": 32}),
    "untrimmed": ("cubic", {"triml": 0.0, "trimh": 0.5, "delta": 1e-6, "dist1": 0.25, "dist3": 0.25}),
    "negative delta": ("hexagonal", {"triml": 0.01, "delta": -0.009}),
    "large delta": ("monoclinic", {"delta": 1000.0, "dist1": 0.1}),
    "equal trims": ("monoclinic", {"triml": 0.2, "trimh": 0.2, "dist1": 0.1}),
    "no trims": ("monoclinic", {"triml": 0.0, "trimh": 0.0}),
    "no trims, a threshold": ("monoclinic", {"triml": 0.0, "trimh": 0.0, "dist1": 0.1}),
    "every spot is near": ("triclinic", {"dist1": 0.6, "dist3": 0.9}),
}


@functools.cache
def oracle_search(name):
    """A case's frames, with the oracle's results of the three steps of the search."""
    systems, changes = CASES[name]
    cells = np.stack([CELLS[system] for system in systems.split()])
    rng = np.random.default_rng(list(CASES).index(name))
    p = Parameters(**BASE).replace(**changes)
    frames = [still(rng, cells[i % len(cells)], n)[0] for i, n in enumerate(SIZES)]
    oracle, plan = get_backend("reference"), SearchPlan.make(cells, p)
    spots, offsets = pack(frames)
    batch = oracle.load(spots, offsets)
    vectors = oracle.find_candidate_vectors(batch, plan, p, N_POINTS)
    refined = oracle.refine_vectors(batch, vectors, plan, p)
    sampled = [batch.xyz[:, i:j].T.astype(float)[: p.max_spots] for i, j in itertools.pairwise(offsets)]
    return SimpleNamespace(
        p=p, plan=plan, spots=spots, offsets=offsets, batch=batch, sampled=sampled, vectors=vectors, refined=refined
    )


@pytest.mark.parametrize("name", CASES)
def test_spots_are_sorted(backend, name):
    case = oracle_search(name)
    batch = backend.load(case.spots, case.offsets)
    xyz = to_host(batch.xyz)
    np.testing.assert_array_equal(xyz, case.batch.xyz)
    np.testing.assert_array_equal(to_host(batch.offsets), case.offsets)
    assert xyz.dtype == np.float32
    assert xyz.flags.c_contiguous


@pytest.mark.parametrize("name", CASES)
def test_candidate_vectors(backend, name):
    case = oracle_search(name)
    p = case.p
    found = to_host(backend.find_candidate_vectors(backend.load(case.spots, case.offsets), case.plan, p, N_POINTS))
    assert found.shape == case.vectors.shape
    assert found.dtype == np.float64
    directions = half_sphere(N_POINTS)
    for f, spots in enumerate(case.sampled):
        for g, length in enumerate(case.plan.lengths):
            filled = found[f, g].any(axis=1)
            assert (np.diff(filled.astype(int)) <= 0).all(), "an empty slot lies before a filled one"
            selected = (found[f, g][filled] @ directions.T).argmax(axis=1)
            np.testing.assert_allclose(found[f, g][filled], length * directions[selected], atol=4 * EPS * length)
            if len(spots) == 0:
                assert not filled.any()
                continue
            check_candidates(selected, spots, directions, float(length), p)


def check_candidates(selected, spots, directions, length, p):
    b = direction_bounds(spots, directions, length, p)
    may = must = np.ones(len(directions), bool)
    if p.race_spots and len(spots) >= 2 * p.race_spots:
        may, must = among_best(direction_bounds(spots[: p.race_spots], directions, length, p), p.race_directions)
    if p.candidate_separation == 0:
        check_selection(selected, b, p.num_candidate_vectors, may, must)
        return
    # In the pool: against each entry compete those certain to have got here, and those that may have.
    surely_better = np.searchsorted(np.sort(b.upper[must]), b.lower, side="left")
    perhaps_better = np.searchsorted(np.sort(b.lower[may]), b.upper, side="right") - may
    may, must = may & (surely_better < p.candidate_pool), must & (perhaps_better < p.candidate_pool)
    largest_cosine = np.cos(p.candidate_separation * np.sqrt(2 * np.pi / len(directions)))
    check_separation(selected, b, p.num_candidate_vectors, may, must, directions, largest_cosine)


@pytest.mark.parametrize("name", CASES)
def test_refined_vectors(backend, name):
    case = oracle_search(name)
    batch = backend.load(case.spots, case.offsets)
    given = case.vectors.copy()
    found = to_host(backend.refine_vectors(batch, backend.xp.asarray(given), case.plan, case.p))
    np.testing.assert_array_equal(given, case.vectors)
    assert found.dtype == np.float64
    # An index is off by its roundings, a vector by that over the spots' extent along the worst direction.
    lengths = ROUNDINGS * EPS * case.plan.lengths
    tolerance = np.array([lengths * spread(spots) for spots in case.sampled])[..., None] * np.ones(found.shape[2])
    oracle = get_backend("reference")
    check_numbers(
        found, case.refined, tolerance, lambda b: oracle.refine_vectors(b, case.vectors, case.plan, case.p), case.batch
    )


@pytest.mark.parametrize("name", CASES)
def test_oriented_cells(backend, name):
    case = oracle_search(name)
    batch = backend.load(case.spots, case.offsets)
    found = backend.find_oriented_cells(batch, backend.xp.asarray(case.refined), case.plan, case.p)
    cells, scores, origin = (to_host(array) for array in found)
    assert (cells.dtype, scores.dtype, origin.dtype) == (np.float64, np.float64, np.int32)
    assert cells.shape == (len(SIZES), case.p.n_output_cells, 3, 3)
    for f, spots in enumerate(case.sampled):
        filled = np.isfinite(scores[f])
        assert (np.diff(filled.astype(int)) <= 0).all(), "an empty slot lies before a filled one"
        assert not cells[f][~filled].any()
        assert (origin[f][~filled] == -1).all()
        if len(spots) == 0:
            assert not filled.any()
            continue
        check_cells(cells[f][filled], scores[f][filled], origin[f][filled], spots, case.refined[f], case.plan, case.p)


def check_cells(cells, scores, origin, spots, vectors, plan, p):
    assert (np.diff(scores) >= 0).all()
    # Scores are those of the cells returned, in float64: nothing but a distance's last digits is uncertain.
    if len(cells):
        d, off = cell_distances(spots, cells), 1e-12
        assert (score(d - off, p.distance3, p) - 1e-9 <= scores).all()
        assert (score(d + off, p.distance3, p) + 1e-9 >= scores).all()
    entries = [
        (turned_cells(plan, seed, v), plan.input_cell[seed])
        for seed, group in enumerate(plan.group)
        for v in vectors[group]
        if v.any()
    ]
    if not entries:
        assert len(cells) == 0
        return
    of_entry = [cell_bounds(spots, turned, p) for turned, _ in entries]
    everything = np.concatenate([turned for turned, _ in entries])
    input_cell = np.concatenate([np.full(len(turned), m) for turned, m in entries])
    b = Bounds(*(np.concatenate(column) for column in zip(*of_entry, strict=True)))
    may = must = np.ones(len(everything), bool)
    if p.angle_peaks:
        may, must = (np.concatenate(c) for c in zip(*(peaks(e, p.angle_peaks) for e in of_entry), strict=True))
    longest = np.linalg.norm(plan.cells, axis=2).max()
    selected = []
    for cell, m in zip(cells, origin, strict=True):
        same = np.abs(everything - cell).max(axis=(1, 2)) <= ROUNDINGS * EPS * longest
        same &= input_cell == m
        same[selected] = False
        assert same.any(), "a cell that no input cell can be turned into, or the same one twice"
        selected.append(int(np.flatnonzero(same)[0]))
    check_selection(selected, b, p.n_output_cells, may, must)


@pytest.mark.parametrize("changes", [{"dist1": 0.1, "dist3": 0.2}, {}], ids=["counts alone", "directions all alike"])
def test_ties_go_to_the_first(backend, oracle, rng, changes):
    """With equal trims every geometric mean is the same: scores tie exactly wherever the counts do."""
    p = Parameters(**BASE, triml=0.0, trimh=0.0, delta=0.25, **changes)
    plan = SearchPlan.make(CELLS["orthorhombic"][None], p)
    spots, _ = still(rng, CELLS["orthorhombic"], 21)
    given, batch = one_frame(oracle, spots), one_frame(backend, spots)
    wanted = oracle.find_candidate_vectors(given, plan, p, N_POINTS)
    found = to_host(backend.find_candidate_vectors(batch, plan, p, N_POINTS))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    cells = to_host(backend.find_oriented_cells(batch, backend.xp.asarray(wanted), plan, p).cells)
    np.testing.assert_allclose(cells, oracle.find_oriented_cells(given, wanted, plan, p).cells, atol=1e-4)


@pytest.mark.parametrize("name", ["published", "two cells, levers"])
def test_no_frame_depends_on_the_others(backend, name):
    case = oracle_search(name)
    p = case.p.replace(rigid_steps=5, method="ifssr")

    def whole_way(spots, offsets):
        batch = backend.load(spots, offsets)
        vectors = backend.find_candidate_vectors(batch, case.plan, p, N_POINTS)
        refined = backend.refine_vectors(batch, vectors, case.plan, p)
        found = backend.find_oriented_cells(batch, refined, case.plan, p)
        rigid = backend.fit_rigid(batch, found.cells, p)
        final = backend.refine_cells(batch, rigid, found.scores, p)
        return [to_host(a) for a in (vectors, refined, *found, rigid, *final)]

    together = whole_way(case.spots, case.offsets)
    for f, (first, last) in enumerate(itertools.pairwise(case.offsets)):
        alone = whole_way(case.spots[first:last], np.array([0, last - first]))
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_array_equal(a[0], b[f])


def test_the_checks_notice_a_wrong_selection():
    """The judge of selections refuses a worse direction, a wrong order and one that is too close."""
    case = oracle_search("separation")
    directions, length = half_sphere(N_POINTS), float(case.plan.lengths[0])
    spots = case.sampled[0]
    right = list((case.vectors[0, 0] @ directions.T).argmax(axis=1))
    check_candidates(right, spots, directions, length, case.p)
    ranked = np.argsort(direction_bounds(spots, directions, length, case.p).lower)
    next_to_best = np.argsort(-np.abs(directions @ directions[right[0]]))[1]
    for wrong in (right[1:], right[::-1], [*right[1:], int(ranked[60])], [right[0], int(next_to_best), *right[1:7]]):
        with pytest.raises(AssertionError):
            check_candidates(wrong, spots, directions, length, case.p)
    plain = case.p.replace(candidate_separation=0)
    best = list(ranked[:8])
    check_candidates(best, spots, directions, length, plain)
    with pytest.raises(AssertionError):
        check_candidates([*best[:-1], int(ranked[40])], spots, directions, length, plain)
