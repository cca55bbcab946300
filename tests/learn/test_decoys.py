"""Crystals against lattices that are not there."""

import dataclasses

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.benchmark import LYSOZYME
from ffbidx_core.devices import OneDevice
from ffbidx_core.learn.decoys import IndexedSpots, contest, decoy_cells, decoy_shifts
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.cell import cell_from_parameters, shortest_reciprocal
from ffbidx_core.model.orientation import equal_lattices
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.doubt import UNJUDGED, Contest, Verdict, at_least
from ffbidx_core.model.records.ragged import rows_of
from ffbidx_core.parameters import Parameters
from ffbidx_core.simulate import Scenario, simulate
from tests.bench.claims.runs import electrons

CELL = cell_from_parameters(LYSOZYME)
BACKEND = get_backend("cpu", threads=1)
SPOTS = {"n_spots": (40, 80), "false_share": (0.1, 0.1)}
RIGHT = {
    "clear": Scenario(cells=(LYSOZYME,), **SPOTS),
    "few spots": Scenario(cells=(LYSOZYME,), n_spots=(10, 15), false_share=(0.25, 0.25)),
    "half false": Scenario(cells=(LYSOZYME,), n_spots=(25, 60), false_share=(0.4, 0.6)),
    "three lattices": Scenario(cells=(LYSOZYME,), n_spots=(100, 150), lattices=(3, 3)),
}
ANOTHER = {"two shared lengths": (79.0, 79.0, 45.0, 90.0, 90.0, 90.0), "one": (38.0, 60.0, 70.0, 90.0, 90.0, 90.0)}


def contest_of(scenario, cell=CELL, n_frames=24):
    """The contest on those of some frames that are indexed with a cell."""
    frames, p = simulate(scenario, n_frames, seed=2), Parameters.preset("best", searches=1)
    found = index_frames(BACKEND, frames.spots, frames.offsets, SearchPlan.make(cell[None], p), p)
    rows, offsets = rows_of(frames.offsets, np.flatnonzero(np.diff(found.crystal_offsets)))
    return contest(OneDevice(BACKEND), IndexedSpots(frames.spots[rows], offsets, cell))


@pytest.mark.parametrize("kind", RIGHT)
def test_true_crystals_win(kind):
    found = contest_of(RIGHT[kind])
    assert found.n_frames >= 20
    assert found.is_won
    assert not found.is_lost


def test_several_lanes_find_the_same():
    frames = simulate(RIGHT["few spots"], 4, seed=2)
    indexed, several = IndexedSpots(frames.spots, frames.offsets, CELL), OneDevice(BACKEND)
    several.lanes = 3
    assert contest(several, indexed) == contest(OneDevice(BACKEND), indexed)


@pytest.mark.parametrize("kind", ANOTHER)
def test_crystals_of_a_cell_that_shares_lengths_with_the_true_one_lose(kind):
    found = contest_of(RIGHT["clear"], cell_from_parameters(ANOTHER[kind]))
    assert found.n_frames >= 5
    assert found.is_lost


def test_crystals_of_electron_diffraction_with_the_beam_elsewhere_lose():
    """A sphere that is nearly flat, on which planes of the lattice are seen, 6 pixels off."""
    found = contest_of(electrons(LYSOZYME, (4.0, 4.0), spot_radius=0.003, n_spots=(30, 60)), n_frames=100)
    assert found.n_frames >= 5
    assert found.is_lost


def test_a_beam_that_moves_from_frame_to_frame_loses():
    """To some frames a beam a little elsewhere does more than to others, whichever way."""
    pieces = [
        simulate(dataclasses.replace(RIGHT["clear"], beam_centre_error=(x, y)), 6, seed)
        for seed, (x, y) in enumerate(((8, 0), (-6, 6), (0, -9), (5, 5)))
    ]
    spots, offsets = np.concatenate([f.spots for f in pieces]), [0]
    for f in pieces:
        offsets += (f.offsets[1:] + offsets[-1]).tolist()
    assert contest(OneDevice(BACKEND), IndexedSpots(spots, np.array(offsets), CELL)).is_lost


def test_no_decoy_is_the_cell_or_another_decoy():
    cells = [CELL, *decoy_cells(CELL)]
    assert len(cells) == 9
    assert not any(equal_lattices(a, b, 0.05) for i, a in enumerate(cells) for b in cells[:i])


def test_far_shifts_leave_the_first_shell_and_near_ones_do_not():
    lengths = np.linalg.norm(decoy_shifts(CELL), axis=1) / shortest_reciprocal(CELL)
    assert (lengths[:6] > 1.5).all()
    assert (lengths[6:] < 0.5).all()


def test_contests_add_up_and_few_frames_say_nothing():
    assert Contest(3, 1, 2, n_searched=9) + Contest(4, 0, 1, "twice", 5) == Contest(7, 1, 3, "twice", 14)
    assert not Contest().is_lost
    assert not Contest(1, 1, 1).is_lost
    assert Contest(3, 0, 3).is_lost
    # Few crystals are doubted if half of them are beaten or close, where hardly any frame is indexed.
    assert Contest(1, 0, 1, n_searched=100).is_lost
    assert Contest(2, 0, 2, n_searched=100).is_lost
    assert not Contest(2, 0, 2, n_searched=12).is_lost
    assert Contest(2, 0, 1, n_searched=100).is_lost
    assert Contest(3, 1, 1, n_searched=100, n_unclear=2).is_lost
    assert not Contest(3, 1, 1, n_searched=100, n_unclear=1).is_lost
    assert not Contest(3, 1, 1, n_searched=20, n_unclear=2).is_lost
    assert not Contest(0, n_searched=100).is_lost
    # And if these lattices have much of the evidence of the crystals.
    assert Contest(2, 0, 2, n_searched=100, evidence=10.0, rivals=6.0).is_lost
    assert not Contest(2, 0, 2, n_searched=100, evidence=10.0, rivals=5.9).is_lost
    assert Contest(3, 0, 3, n_searched=100, evidence=10.0, rivals=5.9).is_lost
    assert Contest(48, 0, 16).doubt == ""
    assert "on 17 of 48 indexed frames" in Contest(48, 0, 17).doubt
    assert "on 17 of 48 indexed frames" in Contest(48, 8, 14, n_unclear=17).doubt
    assert Contest(48, 0, 0, "twice as large").doubt == "twice as large"


@pytest.mark.parametrize(
    ("contest", "verdict"),
    [
        (UNJUDGED, Verdict.NOT_JUDGED),
        # One frame that is far better than every wrong lattice is enough.
        (Contest(1, evidence=68.0, rivals=26.0), Verdict.CONFIRMED),
        (Contest(1, 0, 1, n_unclear=1, evidence=15.0, rivals=8.9), Verdict.CONFIRMED),
        (Contest(1, evidence=68.0, rivals=70.0, n_elsewhere=1), Verdict.NOT_CONFIRMED),
        # Near the limit of acceptance one frame says little.
        (Contest(1, evidence=5.4, rivals=2.3), Verdict.NOT_CONFIRMED),
        (Contest(1, 1, 1, n_unclear=1, evidence=8.9, rivals=10.4), Verdict.NOT_CONFIRMED),
        (Contest(1, 0, 1, n_unclear=1, evidence=8.9, rivals=8.4), Verdict.NOT_CONFIRMED),
        # Three frames of few spots, of which none is beaten, are enough, and so is much more evidence.
        (Contest(2, evidence=11.0, rivals=8.0), Verdict.NOT_CONFIRMED),
        (Contest(3, evidence=16.0, rivals=12.0), Verdict.CONFIRMED),
        (Contest(3, 1, evidence=15.9, rivals=12.0), Verdict.NOT_CONFIRMED),
        (Contest(2, evidence=40.0, rivals=32.0), Verdict.CONFIRMED),
        (Contest(3, 1, evidence=82.4, rivals=51.3), Verdict.CONFIRMED),
        (Contest(2, 1, evidence=50.0, rivals=37.0), Verdict.NOT_CONFIRMED),
        (Contest(15, 1, evidence=90.0, rivals=88.0), Verdict.NOT_CONFIRMED),
        (Contest(16, 1, evidence=90.0, rivals=88.0), Verdict.CONFIRMED),
        # Of many frames one has a crystal, and another distance fits better.
        (Contest(1, n_searched=100, evidence=68.0, rivals=26.0, fits_otherwise=True), Verdict.NOT_CONFIRMED),
        (Contest(1, 1, 1, "", 100, "", 1, 8.9, 10.4, 0, True), Verdict.NOT_BELIEVED),
        (Contest(3, 2, 2, n_unclear=2, evidence=9.0, rivals=12.0), Verdict.NOT_BELIEVED),
        # What the indices of a coincidence have in common says nothing about the cell.
        (Contest(1, 1, multiple="twice as large", evidence=8.9, rivals=10.4), Verdict.NOT_CONFIRMED),
        (Contest(1, multiple="twice as large", evidence=68.9, rivals=10.4), Verdict.NOT_BELIEVED),
        # Results of earlier versions have no evidence.
        (Contest(2, 1, 1), Verdict.CONFIRMED),
    ],
    ids=str,
)
def test_crystals_of_few_frames_are_confirmed_only_if_they_are_clearly_better(contest, verdict):
    assert contest.verdict == verdict
    assert contest.as_dict()["verdict"] == str(verdict)
    assert bool(contest.doubt) == (verdict in (Verdict.NOT_CONFIRMED, Verdict.NOT_BELIEVED))


def test_the_doubt_about_few_frames_names_the_evidence_and_what_to_check():
    doubt = Contest(1, 1, 1, n_unclear=1, evidence=8.9, rivals=10.4).doubt
    assert doubt.startswith("too few frames to confirm the crystals: on 1 indexed frame that")
    assert "(evidence 10.4, of the crystals 8.9)" in doubt
    assert "More frames would decide" in doubt


def test_the_evidence_of_a_further_try_counts_where_one_search_has_less():
    frames, known = simulate(RIGHT["few spots"], 2, seed=4), np.array([500.0, np.nan])
    plain, more = (
        contest(OneDevice(BACKEND), IndexedSpots(frames.spots, frames.offsets, CELL), known=k) for k in (None, known)
    )
    assert more.rivals == plain.rivals
    assert 500 < more.evidence < 500 + plain.evidence


@pytest.mark.parametrize("n", [1, 5, 48])
def test_the_tail_is_that_of_the_binomial_distribution(n):
    assert at_least(0, n, 0.2) == pytest.approx(1)
    assert at_least(1, n, 0.2) == pytest.approx(1 - 0.8**n)
    assert at_least(n, n, 0.2) == pytest.approx(0.2**n)
