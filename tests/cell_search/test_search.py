"""The search for unknown cells, end to end: all Bravais types, two cells in one run, and runs without any."""

import functools

import numpy as np
import pytest

from ffbidx_core.cell_search import Frames, find_cells
from ffbidx_core.cell_search.found import Candidate, CellSearch
from ffbidx_core.cell_search.pool import Cluster
from ffbidx_core.cell_search.search import _Claim, _Climb, _is_credible
from ffbidx_core.cell_search.verdict import Judge, Verdict
from ffbidx_core.cell_search.words import none_in_words, option_of, sentences
from ffbidx_core.model.basis import centring_basis
from ffbidx_core.model.cell import cell_from_parameters
from ffbidx_core.model.unknown.selling import reduced_cell, same_lattice
from ffbidx_core.read.cells.input_cell import read_input_cell
from ffbidx_core.simulate.still import random_rotation
from tests.helpers.runs.unknown_cells import LATTICES, frames_of


def primitive(code):
    parameters, centring = LATTICES[code]
    return reduced_cell(centring_basis(centring) @ cell_from_parameters(parameters))


@pytest.fixture(scope="module")
def search_of(devices):
    """Searches for the cell of twenty frames of a lattice, once."""
    return functools.cache(lambda code: find_cells(frames_of(code, 20), devices, most_cells=1))


@pytest.mark.parametrize("code", LATTICES)
def test_a_cell_of_each_bravais_type_is_found(code, search_of):
    search = search_of(code)
    assert [each.symmetry.lattice.code for each in search.cells] == [code]
    found = search.cells[0]
    assert same_lattice(found.primitive, primitive(code), 5e-3)
    np.testing.assert_allclose(np.sort(found.lengths), np.sort(found.symmetry.lattice.parameters[:3]), rtol=3e-5)
    given = read_input_cell(option_of(found))
    assert given.lattice == found.input_cell.lattice
    assert all(each.gain < 0 for each in found.multiples)


@pytest.mark.parametrize("crystals", [2, 8])
def test_a_cell_with_crystals_on_few_of_25_frames_is_judged_on_more(crystals, devices, monkeypatch):
    judged = []

    def verdict(cell, chosen):
        judged.append(len(chosen))
        found = (np.arange(len(chosen)) < (2 if len(judged) == 1 else crystals)).astype(np.int64)
        nothing = np.zeros((0, 3))
        return Verdict(cell, 11.0 * found.sum(), chosen, found, nothing.reshape(-1, 3, 3), nothing, None)

    climb = _Climb(frames_of("cP", 60), devices.backend, devices, 16.0, lambda text: None)
    monkeypatch.setattr(climb, "judge", verdict)
    climb._judge_cluster(16.0, 20, Cluster(20, np.arange(20), primitive("cP")))
    assert judged == [25, 40]
    assert [each.is_claim for each in climb.candidates] == [crystals >= 3]


@pytest.mark.parametrize(("rival", "reaches"), [(40.0, [16.0]), (60.0, [16.0, 40.0])])
def test_longer_vectors_are_tried_while_another_lattice_comes_near_a_strong_claim(rival, reaches, devices, monkeypatch):
    climb, tried = _Climb(frames_of("cP", 20), devices.backend, devices, 40.0, lambda text: None), []
    nothing = np.zeros((0, 3, 3))

    def judged(reach, pool):
        tried.append(reach)
        for code, evidence in (("cP", 100.0), ("aP", rival)):
            candidate = Candidate(reach, 20, 20, primitive(code), evidence, 1.0, 20, True)
            climb.candidates.append(candidate)
            verdict = Verdict(primitive(code), evidence, np.arange(20), np.ones(20, int), nothing, nothing, None)
            climb.claims.append(_Claim(candidate, verdict))

    monkeypatch.setattr(climb, "_judge", judged)
    assert climb.climb(with_threes=False).verdict.evidence == 100.0
    assert tried == reaches


@pytest.mark.parametrize(
    ("cell", "credible"), [((36.0, 47.0, 58.0, 90, 103, 90), True), ((130.0, 150.0, 190.0, 90, 90, 90), False)]
)
def test_crystals_of_a_known_cell_count_if_they_beat_decoys(cell, credible, devices):
    frames = frames_of("mP", 20, n_spots=(60, 60))
    known = cell_from_parameters(cell)
    verdict = Judge(devices, frames)(known, np.arange(20))
    assert verdict.hits >= 5
    assert _is_credible(verdict, frames, devices) is credible


def test_known_cells_that_explain_all_frames_are_named():
    search = CellSearch([], [], 40, 90.0, 0, np.arange(3))
    wanted = "no further cell: 37 of 40 frames have a crystal of a known cell, and the other 3 are too few"
    assert none_in_words(search) == wanted


def blank(rng, n_frames, spots, q_max):
    """Spots of no lattice, on the Ewald sphere of 1 A."""
    frames = []
    for _ in range(n_frames):
        n = rng.integers(*spots, endpoint=True)
        angle, q = rng.uniform(0, 2 * np.pi, n), q_max * np.sqrt(rng.uniform(0.01, 1, n))
        across = q * np.sqrt(1 - q * q / 4)
        frames.append(np.column_stack([across * np.cos(angle), across * np.sin(angle), -q * q / 2]))
    counts = [len(frame) for frame in frames]
    return Frames(np.concatenate(frames).astype(np.float32), np.concatenate([[0], np.cumsum(counts)]))


@pytest.mark.parametrize(("spots", "d_min"), [((8, 14), 3.0), ((20, 30), 1.5)])
def test_spots_of_no_lattice_give_no_cell(spots, d_min, devices, rng):
    search = find_cells(blank(rng, 30, spots, 1 / d_min), devices, longest=60)
    assert search.cells == []
    assert search.largest_support < 3
    assert "try `ffbidx cell --frames 100`" in none_in_words(search)
    assert "try with more files" in none_in_words(search, 200)
    assert list(sentences(search)) == [none_in_words(search)]


def test_frames_without_spots_enough_say_so(devices):
    search = find_cells(Frames(np.zeros((0, 3), np.float32), np.zeros(1, np.int64)), devices)
    assert search.cells == []
    assert "no frame has the required 7 spots" in none_in_words(search)


def test_two_cells_of_one_run_are_found_one_after_another(devices):
    first, second = frames_of("mP", 30, seed=5), frames_of("tP", 14, seed=6)
    both = Frames(
        np.concatenate([first.spots, second.spots]),
        np.concatenate([first.offsets, first.offsets[-1] + second.offsets[1:]]),
    )
    search = find_cells(both, devices, most_cells=2, longest=100)
    assert [each.symmetry.lattice.code for each in search.cells] == ["mP", "tP"]
    assert len(search.left) <= 2
    alone = find_cells(both, devices, known=[primitive("mP")], most_cells=1, longest=100)
    assert [each.symmetry.lattice.code for each in alone.cells] == ["tP"]


def test_turning_all_spots_about_the_beam_changes_nothing(devices, search_of):
    frames = frames_of("aP", 20)
    angle = 0.7
    turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    turned = Frames((frames.spots @ turn).astype(np.float32), frames.offsets)
    searches = search_of("aP"), find_cells(turned, devices, most_cells=1)
    assert same_lattice(*(search.cells[0].primitive for search in searches), 1e-3)


def test_the_order_of_the_frames_and_of_their_spots_changes_nothing(devices, search_of, rng):
    frames = frames_of("aP", 20)
    shuffled = frames.take(rng.permutation(20))
    rows = np.concatenate(
        [i + rng.permutation(j - i) for i, j in zip(shuffled.offsets[:-1], shuffled.offsets[1:], strict=True)]
    )
    shuffled = Frames(shuffled.spots[rows], shuffled.offsets)
    searches = search_of("aP"), find_cells(shuffled, devices, most_cells=1)
    assert same_lattice(*(search.cells[0].primitive for search in searches), 1e-3)


def test_frames_turned_each_by_itself_have_the_same_cell(devices, rng):
    # Excitation errors are along the beam: turned frames are no stills, the lattice is the same still.
    frames = frames_of("tP", 20)
    parts = [
        frames.spots[i:j] @ random_rotation(rng) for i, j in zip(frames.offsets[:-1], frames.offsets[1:], strict=True)
    ]
    turned = Frames(np.concatenate(parts).astype(np.float32), frames.offsets)
    assert same_lattice(find_cells(turned, devices, most_cells=1).cells[0].primitive, primitive("tP"), 8e-3)
