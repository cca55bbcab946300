"""The search for lattices of unknown cells: each verb of each backend against the oracle, fed the oracle's input."""

import functools
from dataclasses import replace

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.backends.reference.lattices import best_scale, joint_fit, octave_maxima, vector_score, width_of
from ffbidx_core.model.records.batch import pack, to_host
from ffbidx_core.model.unknown.scan import FEWEST_LOW, SCALES, VectorScan
from ffbidx_core.model.unknown.selling import voronoi_lengths
from ffbidx_core.simulate import Scenario, simulate

REACH = 30.0
SCENARIO = Scenario(
    cells=((9, 13, 17, 85, 100, 95),), n_spots=(12, 30), false_share=(0.3, 0.3), d_min=1.5, spot_radius=0.004
)
MAXIMA = 40
"""Maxima of an octave that are kept."""
SOME = 18
"""Vectors of a frame whose triples the oracle scores."""
ROUNDING = 2e-3
"""Error of C in float32 by the recurrence over the lengths of an octave, per spot."""


@functools.cache
def setting():
    """Frames of a small cell, one of them with few spots, the scan, and the oracle's answers."""
    frames = simulate(SCENARIO, 3, seed=11)
    spots = [frames.spots[i:j] for i, j in zip(frames.offsets[:-1], frames.offsets[1:], strict=True)]
    packed = pack([*spots, spots[0][:9]])
    oracle = get_backend("reference")
    batch = oracle.load(*packed)
    lengths = np.split(np.linalg.norm(batch.xyz.astype(np.float64), axis=0), batch.offsets[1:-1])
    scan = VectorScan.make(REACH, lengths)
    assert scan is not None
    # The oracle takes milliseconds for a vector.
    scan = replace(scan, octaves=tuple(replace(octave, most=MAXIMA) for octave in scan.octaves))
    hits = oracle.scan_vectors(batch, scan)
    vectors = oracle.refine_scanned(batch, hits, scan)
    cells, scores = oracle.join_vectors(batch, vectors[:, :SOME])
    return packed, batch, scan, hits, vectors, cells, scores


def spots_of(batch, f):
    return batch.xyz[:, batch.offsets[f] : batch.offsets[f + 1]].T.astype(np.float64)


def test_the_scan_finds_the_highest_local_maxima(backend):
    packed, batch, scan, _, _, _, _ = setting()
    hits = to_host(backend.scan_vectors(backend.load(*packed), scan))
    low = scan.low_counts((batch.xyz.astype(np.float64) ** 2).sum(axis=0), batch.offsets)
    for f in range(batch.n_frames):
        s, slot = spots_of(batch, f)[: low[f]], 0
        for octave in scan.octaves:
            vectors, sums = octave_maxima(s, octave)
            mine = hits[f, slot : slot + octave.most]
            mine, slot = mine[mine.any(axis=1)].astype(np.float64), slot + octave.most
            n = min(octave.most, len(sums))
            assert abs(len(mine) - n) <= max(2, n // 50)
            if len(mine) == 0:
                continue
            found = np.cos(2 * np.pi * mine @ s.T).sum(axis=1)
            assert found.min() > sums[:n].min() - ROUNDING * len(s)
            apart = np.linalg.norm(vectors[:n, None] - mine[None], axis=2).min(axis=1)
            clear = sums[:n] > sums[n - 1] + 2 * ROUNDING * len(s)
            # Where two lengths have nearly the same sum, rounding chooses between them.
            assert np.mean(apart[clear] < 1.01 * octave.step) == 1


def test_frames_keep_some_low_spots_however_low_the_scan():
    _, batch, scan, *_ = setting()
    low = scan.low_counts(np.full(batch.xyz.shape[1], 1e6), batch.offsets)
    assert low.tolist() == np.minimum(np.diff(batch.offsets), FEWEST_LOW).tolist()


def test_refined_vectors_are_the_oracle_s(backend):
    packed, batch, scan, hits, vectors, _, _ = setting()
    found = to_host(backend.refine_scanned(backend.load(*packed), backend.xp.asarray(hits), scan))
    for f in range(batch.n_frames):
        wanted, mine = vectors[f][vectors[f].any(axis=1)], found[f][found[f].any(axis=1)]
        s = spots_of(batch, f)
        scores = [[vector_score(s, v) for v in some] for some in (wanted, mine)]
        np.testing.assert_allclose(scores[1], scores[0], rtol=1e-6, atol=1e-5)
        best = slice(0, 10)
        signs = np.sign((mine[best] * wanted[best]).sum(axis=1))[:, None]
        np.testing.assert_allclose(mine[best] * signs, wanted[best], atol=1e-5)


def test_joined_lattices_are_the_oracle_s(backend):
    packed, _, _, _, vectors, cells, scores = setting()
    found, values = (
        to_host(x) for x in backend.join_vectors(backend.load(*packed), backend.xp.asarray(vectors[:, :SOME]))
    )
    np.testing.assert_array_equal(np.isfinite(values), np.isfinite(scores))
    np.testing.assert_allclose(values[:, :5], scores[:, :5], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(
        voronoi_lengths(found[:, :3].reshape(-1, 3, 3)), voronoi_lengths(cells[:, :3].reshape(-1, 3, 3)), rtol=1e-5
    )


@pytest.mark.parametrize("scale", SCALES)
def test_a_vector_takes_the_width_of_its_spots(scale, rng):
    v = np.array([5.0, 60.0, 80.0])
    spots = rng.uniform(-0.3, 0.3, (400, 3))
    turns = spots @ v
    noise = rng.normal(0, scale * width_of(v), len(spots))
    spots += ((np.rint(turns) + noise - turns) / (v @ v))[:, None] * v
    assert best_scale(spots, v)[0] == scale


def test_the_joint_fit_brings_vectors_to_the_lattice(rng):
    frames = simulate(SCENARIO, 5, seed=5)
    before, after = [], []
    for f, truth in enumerate(frames.cells):
        spots = frames.spots[frames.offsets[f] : frames.offsets[f + 1]].astype(np.float64)
        start = truth + rng.normal(0, 0.15, (3, 3))
        before.append(np.abs(start - truth).mean())
        after.append(np.abs(joint_fit(spots, start)[0] - truth).mean())
    assert np.median(after) < 0.5 * np.median(before)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_frames_without_spots_enough_have_no_lattice(backend, n):
    _, _, scan, *_ = setting()
    batch = backend.load(*pack([np.full((n, 3), 0.1) * np.arange(1, n + 1)[:, None]]))
    vectors = backend.refine_scanned(batch, backend.scan_vectors(batch, scan), scan)
    cells, scores = backend.join_vectors(batch, vectors)
    assert np.isfinite(to_host(cells)).all()
    assert not np.isnan(to_host(scores)).any()
