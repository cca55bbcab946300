"""The pool of lattices of single frames, and the order in which frames are searched."""

import numpy as np

from ffbidx_core.cell_search.frames import Frames
from ffbidx_core.cell_search.pool import Pool
from ffbidx_core.model.unknown.scan import FEWEST_SPOTS, MOST_SPOTS, VectorScan
from ffbidx_core.model.unknown.selling import same_lattice
from tests.helpers.runs.unknown_cells import frames_of


def pool_of(frames, devices, reach, chosen):
    low = frames.low()
    lengths = np.split(np.linalg.norm(low.spots.astype(np.float64), axis=1), low.offsets[1:-1])
    pool = Pool(VectorScan.make(reach, lengths))
    for part in chosen:
        pool.add(devices.backend, low, part)
    return pool


def test_frames_agree_on_the_true_lattice(devices):
    clusters = pool_of(frames_of("oP", 12), devices, 100.0, [np.arange(12)]).clusters()
    assert clusters[0].support >= 10
    assert same_lattice(clusters[0].cell, np.diag([33.0, 51.0, 74.0]), 0.01)
    assert all(clusters[0].support >= each.support for each in clusters)


def test_frames_may_come_in_portions(devices):
    frames = frames_of("oP", 8)
    whole = pool_of(frames, devices, 100.0, [np.arange(8)]).clusters()
    parts = pool_of(frames, devices, 100.0, [np.arange(3), np.arange(3, 8)]).clusters()
    assert [each.support for each in whole] == [each.support for each in parts]
    np.testing.assert_array_equal(whole[0].cell, parts[0].cell)


def test_a_pool_without_a_scan_has_no_lattice(devices):
    frames = frames_of("oP", 3)
    assert pool_of(Frames(frames.spots * 0.1, frames.offsets), devices, 16.0, [np.arange(3)]).clusters() == []


def test_the_low_spots_of_a_frame_are_its_first_in_resolution(rng):
    spots = rng.normal(0, 0.3, (200, 3)).astype(np.float32)
    low = Frames(spots, np.array([0, 150, 200])).low()
    assert low.counts.tolist() == [MOST_SPOTS, 50]
    wanted = np.sort(np.linalg.norm(spots[:150], axis=1))[:MOST_SPOTS]
    np.testing.assert_allclose(np.linalg.norm(low.spots[:MOST_SPOTS], axis=1), wanted, rtol=1e-6)


def test_the_order_has_every_frame_once_and_the_fuller_half_first(rng):
    counts = rng.integers(FEWEST_SPOTS, 60, 41)
    frames = Frames(np.zeros((counts.sum(), 3), np.float32), np.concatenate([[0], np.cumsum(counts)]))
    order = frames.order()
    assert sorted(order.tolist()) == list(range(41))
    assert counts[order[:21]].min() >= counts[order[21:]].max()


def test_the_first_frames_of_the_order_are_spread_over_the_run():
    frames = Frames(np.zeros((800, 3), np.float32), np.arange(0, 801, 8))
    some = np.sort(frames.order()[:10])
    assert np.diff(np.concatenate([[0], some, [49]])).max() <= 14


def test_lattices_of_collapsed_vectors_are_left_out(devices, monkeypatch):
    join = devices.backend.join_vectors

    def with_a_collapsed_one(spots, vectors):
        cells, scores = (np.array(each) for each in join(spots, vectors))
        cells[:, -1] = [[15.0, 0, 0], [15.0, 1e-8, 0], [0, 0, 15.0]]
        scores[:, -1] = 1e6
        return cells, scores

    monkeypatch.setattr(devices.backend, "join_vectors", with_a_collapsed_one)
    clusters = pool_of(frames_of("oP", 6), devices, 100.0, [np.arange(6)]).clusters()
    assert same_lattice(clusters[0].cell, np.diag([33.0, 51.0, 74.0]), 0.01)
    assert all(np.linalg.norm(each.cell, axis=1).min() > 2 for each in clusters)
