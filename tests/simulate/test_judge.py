"""The judge of the benchmarks, on answers made from the truth."""

import numpy as np
import pytest

from ffbidx_core.model.cell import symmetry_operators
from ffbidx_core.model.records.frame import BatchResult
from ffbidx_core.simulate import Scenario, simulate
from ffbidx_core.simulate.judge import Tally
from tests.bench.quality import Outcome
from tests.bench.scenarios import CASES, CENTRED, LYSOZYME, PSEUDO
from tests.helpers.frames import rotation


def result(cells_of_frames):
    """A result in which the cells given for each frame are its crystals."""
    counts = [len(cells) for cells in cells_of_frames]
    offsets, n = np.concatenate([[0], np.cumsum(counts)]), sum(counts)
    cells = np.concatenate([np.reshape(cells, (-1, 3, 3)) for cells in cells_of_frames])
    return BatchResult(
        n_sampled=np.zeros(len(counts), np.int32),
        n_at_origin=np.zeros(len(counts), np.int32),
        cell_offsets=offsets,
        cells=cells.astype(np.float32),
        scores=np.zeros(n, np.float32),
        input_cell=np.zeros(n, np.int32),
        crystal_offsets=offsets,
        crystals=np.arange(n),
        n_indexed=np.zeros(n, np.int32),
        rmsd=np.zeros(n, np.float32),
        log10_chance=np.zeros(n, np.float32),
        log10_false=np.zeros(n, np.float32),
        n_expected=np.zeros(n, np.float32),
        resolution=np.full(n, 2, np.float32),
        reason=np.zeros(len(counts), np.uint8),
        rung=np.zeros(len(counts), np.uint8),
    )


def truth(frames):
    return [list(frames.cells[frames.cell_offsets[f] : frames.cell_offsets[f + 1]]) for f in range(frames.n_frames)]


def judged(scenario, change=lambda cell, f: [cell], n_frames=6):
    """The tally when every true cell of frame f is answered by `change` of it."""
    frames = simulate(scenario, n_frames)
    answers = [[answer for cell in cells for answer in change(cell, f)] for f, cells in enumerate(truth(frames))]
    tally = Tally()
    tally.add(result(answers), frames)
    return tally


def scenario(cell, **settings):
    return Scenario(cells=(cell,), **{"n_spots": (40, 60), **settings})


@pytest.mark.parametrize("cell", [LYSOZYME, PSEUDO])
def test_the_truth_is_right(cell):
    tally = judged(scenario(cell))
    assert (tally.frames_right, tally.claimed, tally.false, tally.other_setting, tally.repeated) == (6, 6, 0, 0, 0)
    assert tally.median_angle < 1e-3


def test_any_setting_that_symmetry_allows_is_right():
    operators = symmetry_operators(simulate(scenario(LYSOZYME), 1).cells[0], 1e-3)
    assert len(operators) == 8
    tally = judged(scenario(LYSOZYME), lambda cell, f: [operators[f % 8] @ cell], n_frames=8)
    assert (tally.frames_right, tally.false) == (8, 0)


@pytest.mark.parametrize(("degrees", "right"), [(0.5, 6), (0.95, 6), (1.05, 0), (2.0, 0)])
def test_a_crystal_turned_by_more_than_a_degree_is_false(degrees, right):
    tally = judged(scenario(LYSOZYME), lambda cell, f: [cell @ rotation(np.array([1.0, 2.0, f]), degrees)])
    assert tally.frames_right == right
    assert tally.false == 6 - right
    assert tally.other_setting == 0
    if right:
        assert tally.median_angle == pytest.approx(degrees, abs=1e-3)


def test_swapped_axes_of_a_pseudo_symmetric_cell_are_another_setting():
    swap = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])

    def swapped(cell, f):
        # The answer keeps the input cell's shape, as an indexer's does.
        a, b, c = swap @ cell
        return [np.array([a * 50 / 51.5, b * 51.5 / 50, c])]

    tally = judged(scenario(PSEUDO), swapped)
    assert (tally.frames_right, tally.other_setting, tally.false) == (0, 6, 0)


def test_another_conventional_cell_of_a_centred_lattice_is_another_setting():
    # With b = sqrt(3) a the lattice is hexagonal and has three orthogonal cells; 1 % off only one is right.
    near = (50.0, 50.5 * 3**0.5, 70.0, 90.0, 90.0, 90.0)
    turned = np.array([[0.5, 0.5, 0], [-1.5, 0.5, 0], [0, 0, 1]])
    tally = judged(scenario(near, centring="C"), lambda cell, f: [turned @ cell])
    assert (tally.frames_right, tally.other_setting, tally.false) == (0, 6, 0)


def test_a_cell_of_half_the_lattice_is_false():
    tally = judged(scenario(CENTRED, centring="C"), lambda cell, f: [np.diag([1, 0.5, 2]) @ cell])
    assert (tally.frames_right, tally.other_setting, tally.false) == (0, 0, 6)


def test_a_lattice_claimed_twice_counts_once():
    tally = judged(scenario(LYSOZYME), lambda cell, f: [cell, cell @ rotation(np.array([1.0, 0, 0]), 0.4)])
    assert (tally.frames_right, tally.claimed, tally.repeated, tally.false, len(tally.angles)) == (6, 12, 6, 0, 6)


def test_recall_counts_lattices_with_enough_spots():
    frames = simulate(scenario(LYSOZYME, lattices=(1, 3), n_spots=(60, 60), lattice_scale=(0.1, 1.0)), 30)
    n_spots = np.bincount(frames.lattice[frames.lattice >= 0], minlength=len(frames.cells))
    tally = Tally()
    tally.add(result([cells[:1] for cells in truth(frames)]), frames)
    assert 30 < tally.lattices == (n_spots >= 20).sum() < len(n_spots)
    assert tally.lattices_found == (n_spots[frames.cell_offsets[:-1]] >= 20).sum()


def test_crystals_on_blank_frames_are_false():
    blank = simulate(scenario(LYSOZYME, lattices=(0, 0)), 4)
    tally = Tally()
    tally.add(result([[np.diag([79.0, 79, 38])], [], [np.diag([79.0, 79, 38])] * 2, []]), blank)
    assert (tally.frames_claimed, tally.claimed, tally.false, tally.frames_right) == (2, 3, 3, 0)


def test_batches_are_joined_in_order():
    frames = simulate(scenario(LYSOZYME, lattices=(0, 2)), 9)
    answers, tally = truth(frames), Tally()
    tally.add(BatchResult.joined([result(answers[:4]), result(answers[4:5]), result(answers[5:])]), frames)
    assert tally.claimed == len(frames.cells)
    assert tally.false == 0


def test_a_case_fails_by_each_thing_that_is_asked():
    asked = {case.name: case for case in CASES}
    good = {"frames": 100, "frames_right": 100, "claimed": 100, "angles": [0.1] * 100}

    def failures(name, **tally):
        return Outcome(asked[name], Tally(**{**good, **tally}), 1.0).failures

    assert failures("few spots") == []
    assert failures("few spots", frames_right=96) == ["rate"]
    assert failures("few spots", angles=[0.2] * 100) == ["misorientation"]
    assert failures("few spots", false=1) == ["false crystals"]
    assert failures("pseudo", other_setting=1) == []
    assert failures("pseudo", other_setting=2) == ["other setting"]
    assert failures("1-3 lattices", lattices=100, lattices_found=96) == ["rate"]
    assert failures("blank", frames_claimed=0, claimed=0, angles=[]) == []
    assert failures("blank", frames_claimed=1, frames=200, claimed=1, false=1) == ["rate"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_can_be_simulated(case):
    for one in case.scenarios[:2]:
        assert simulate(one, 2).n_frames == 2
