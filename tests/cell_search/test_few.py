"""The lattices of frames with few spots."""

import numpy as np
import pytest

from ffbidx_core.cell_search import few, find_cells, search
from ffbidx_core.cell_search.few import agreed_lattices, agreeing, frames_with_few_spots
from ffbidx_core.cell_search.frames import Frames
from ffbidx_core.model.unknown import threes
from ffbidx_core.model.unknown.selling import same_lattice
from tests.helpers.runs.unknown_cells import frames_of

CELL = np.diag([33.0, 51.0, 74.0])
FEW = {"n_spots": (12, 14), "spot_radius": 0.0005}


def test_vectors_are_whole_at_three_spots(rng):
    spots = rng.normal(0, 0.1, (12, 3))
    bases, certainties = threes.chosen_threes(spots, 100.0)
    assert 0 < len(bases) <= threes.THREES
    turns = np.einsum("tar,nr->tan", bases, spots)
    of_three = certainties == 0
    assert (of_three.sum(axis=1) == 3).all()
    off = np.abs(turns - np.rint(turns)).max(axis=1)
    assert off[of_three].max() < 1e-8
    # They are a basis of all such vectors: the three phases of each are a matrix of determinant 1.
    for t, three in enumerate(of_three):
        assert abs(abs(np.linalg.det(np.rint(turns[t][:, three]))) - 1) < 1e-9


def test_the_box_holds_all_vectors_up_to_the_reach(rng):
    bases, _ = threes.chosen_threes(rng.normal(0, 0.1, (10, 3)), 60.0)
    sizes, indices = threes.box(bases, 60.0), rng.integers(-40, 41, (3000, 3))
    for basis, size in zip(bases, sizes, strict=True):
        inside = indices[np.linalg.norm(indices @ basis, axis=1) <= 60.0]
        assert (np.abs(inside) <= size).all()


@pytest.mark.parametrize("spread", [0.06, 0.02])
def test_pairs_that_agree_are_those_of_a_comparison_of_all(rng, spread):
    lengths, frame = rng.uniform(3, 3 + spread, (400, 7)), rng.integers(0, 5, 400)
    one, other = agreeing(lengths, frame)
    apart = np.abs(lengths[:, None] - lengths[None]).max(axis=2)
    wanted = np.argwhere((apart < few.TOLERANCE) & (frame[:, None] != frame[None]))
    assert len(wanted) > 10
    assert sorted(zip(one.tolist(), other.tolist(), strict=True)) == sorted(map(tuple, wanted.tolist()))


def test_frames_with_few_spots_agree_on_the_true_lattice(devices, monkeypatch):
    monkeypatch.setattr(threes, "THREES", 8)
    low = frames_of("oP", 6, **FEW).low()
    clusters = agreed_lattices(devices.backend, low, np.arange(6), 100.0)
    assert clusters[0].support >= 4
    assert same_lattice(clusters[0].cell, CELL, 0.01)
    assert all(not same_lattice(clusters[0].cell, each.cell, 0.01) for each in clusters[1:])


def test_the_fullest_of_the_frames_with_few_spots_are_searched():
    counts = np.array([7, 12, 40, 14, 20, 21, 10])
    frames = Frames(np.zeros((counts.sum(), 3), np.float32), np.concatenate([[0], np.cumsum(counts)]))
    assert frames_with_few_spots(frames).tolist() == []
    many = frames.take(np.tile(np.arange(7), 10))
    assert frames.counts[frames_with_few_spots(many) % 7].tolist() == [20] * 10 + [14] * 10 + [12] * 10 + [10] * 10


def test_a_search_without_a_claim_goes_on_with_the_frames_with_few_spots(devices, monkeypatch):
    monkeypatch.setattr(threes, "THREES", 3)
    monkeypatch.setattr(search.VectorScan, "make", classmethod(lambda *given: None))
    monkeypatch.setattr(few, "CLUSTERS", 1)
    found = find_cells(frames_of("oP", few.FEWEST_FRAMES, **FEW), devices, longest=100.0, most_cells=1)
    assert [each.symmetry.lattice.code for each in found.cells] == ["oP"]
    assert same_lattice(found.cells[0].primitive, CELL, 5e-3)
