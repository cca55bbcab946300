"""Further tries for frames without a crystal: what they gain, what they leave alone, what they must not depend on."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.benchmark import LYSOZYME
from ffbidx_core.errors import ParameterError
from ffbidx_core.learn import learn_cells
from ffbidx_core.method import retry
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.batch import pack
from ffbidx_core.model.records.frame import BatchResult
from ffbidx_core.model.records.reason import FrameReason, Rung
from ffbidx_core.parameters import Parameters
from ffbidx_core.run.job import Job
from ffbidx_core.simulate import Scenario, simulate
from ffbidx_core.simulate.judge import Tally
from tests.bench.retry import by_intensity
from tests.helpers.finding import assert_same, part
from tests.helpers.frames import CELL, false_spots, frame

HARD = Scenario(cells=(LYSOZYME,), n_spots=(12, 14), false_spots=(40, 60))
P = Parameters.preset("best", retry=True)
ONCE = P.replace(retry=False)


@pytest.fixture(scope="module")
def hard():
    """Simulated frames of which the first try indexes a part, weak false spots among their spots."""
    frames = simulate(HARD, 60)
    return replace(frames, spots=by_intensity(frames, 0.5))


def indexed(frames, p=P, ranked=None, chosen=None, backend=None, keep_all=False) -> BatchResult:
    """Index simulated frames, the `chosen` ones in their order; `ranked` says whose spots are by intensity."""
    chosen = range(frames.n_frames) if chosen is None else chosen
    pieces = [frames.spots[frames.offsets[f] : frames.offsets[f + 1]] for f in chosen]
    ranked = None if ranked is None else np.asarray(ranked)[list(chosen)]
    return index_frames(
        backend or get_backend("cpu", threads=1),
        *pack(pieces),
        SearchPlan.make(frames.input_cells, p),
        p,
        by_intensity=ranked,
        keep_all=keep_all,
    )


def right(result, frames) -> int:
    tally = Tally()
    tally.add(result, frames)
    assert tally.false == 0
    return tally.frames_right


def test_more_frames_are_indexed_and_the_others_stay_as_they_were(hard):
    once, again = indexed(hard, ONCE), indexed(hard)
    assert (once.rung == Rung.FIRST_TRY).all()
    assert right(again, hard) >= right(once, hard) + 8
    first = np.flatnonzero(np.diff(once.crystal_offsets))
    for f in first:
        assert_same(part(again, f), part(once, f))
    rungs = again.rung[again.reason == FrameReason.NONE]
    assert (rungs == Rung.FIRST_TRY).sum() == len(first)
    assert (again.rung[again.reason != FrameReason.NONE] == Rung.FIRST_TRY).all()


def test_the_strongest_spots_are_tried_where_intensities_are_known(hard):
    ranked = np.arange(hard.n_frames) % 2 == 0
    some = indexed(hard, ranked=ranked)
    assert (some.rung[ranked] == Rung.STRONGEST_SPOTS).any()
    assert not (some.rung[~ranked] == Rung.STRONGEST_SPOTS).any()
    everywhere, nowhere = indexed(hard, ranked=np.ones(hard.n_frames, bool)), indexed(hard)
    for f in range(hard.n_frames):
        assert_same(part(some, f), part(everywhere if ranked[f] else nowhere, f))


def test_crystals_of_any_try_are_measured_on_all_spots(hard):
    """The scores are those of the cells as they are written, and so are the spots that a crystal explains."""
    result = indexed(hard, ranked=np.ones(hard.n_frames, bool))
    tried = np.flatnonzero(result.rung == Rung.STRONGEST_SPOTS)
    assert len(tried)
    for f in tried:
        crystal = result.crystal_offsets[f]
        cell = result.cells[result.crystals[crystal]].astype(np.float64)
        spots = hard.spots[hard.offsets[f] : hard.offsets[f + 1]].astype(np.float64)
        distance = np.sort(np.linalg.norm(np.rint(spots @ cell.T) @ np.linalg.inv(cell).T - spots, axis=1))
        assert result.n_indexed[crystal] == (distance < P.crystals_threshold).sum()
        assert result.scores[result.crystals[crystal]] == pytest.approx(distance[P.min_spots - 1], rel=1e-3)


def test_results_do_not_depend_on_the_batch_or_on_threads(hard):
    ranked = np.arange(hard.n_frames) % 3 > 0
    chosen = list(range(24))
    whole = indexed(hard, ranked=ranked, chosen=chosen)
    assert len(set(whole.rung.tolist())) > 2
    assert_same(indexed(hard, ranked=ranked, chosen=chosen, backend=get_backend("cpu", threads=3)), whole)
    order = np.random.default_rng(0).permutation(chosen).tolist()
    shuffled = indexed(hard, ranked=ranked, chosen=order)
    for position, f in enumerate(order):
        assert_same(part(shuffled, position), part(whole, f))
    for f in chosen[:8]:
        assert_same(indexed(hard, ranked=ranked, chosen=[f]), part(whole, f))


def test_a_batch_that_is_halved_for_memory_is_the_same(hard):
    ranked, chosen = np.arange(hard.n_frames) % 2 == 0, range(10)
    small = get_backend("cpu", threads=1)
    small.most_frames = 3
    assert_same(indexed(hard, ranked=ranked, chosen=chosen, backend=small), indexed(hard, ranked=ranked, chosen=chosen))


def test_every_cell_of_every_try_can_be_kept(hard):
    some, every = indexed(hard), indexed(hard, keep_all=True)
    for name in ("rung", "reason", "n_indexed", "rmsd"):
        np.testing.assert_array_equal(getattr(some, name), getattr(every, name))
    np.testing.assert_array_equal(some.cells[some.crystals], every.cells[every.crystals])


def test_the_limit_is_stricter_by_the_number_of_tries(hard, monkeypatch):
    limits = []

    def watched(backend, spots, plan, p, given):
        limits.append(p.max_false_rate)
        return find(backend, spots, plan, p, given)

    find = retry.find_by_chance
    monkeypatch.setattr(retry, "find_by_chance", watched)
    indexed(hard)
    assert limits == [P.max_false_rate / (1 + len(retry.LADDER))] * 2


def test_blank_frames_stay_blank():
    blank = simulate(Scenario(cells=(LYSOZYME,), lattices=(0, 0), n_spots=(10, 150)), 150)
    result = indexed(blank, ranked=np.ones(150, bool))
    assert len(result.crystals) <= 1


def test_tries_that_find_nothing_leave_the_reason(hard):
    """Only what comes further than the acceptance changes it."""
    once, again = indexed(hard, ONCE), indexed(hard)
    failed = again.reason != FrameReason.NONE
    changed = failed & (again.reason != once.reason)
    assert (again.reason[changed] >= FrameReason.LOST_IN_REFINEMENT).all()


def test_frames_that_need_no_further_try_cost_none(monkeypatch):
    monkeypatch.setattr(retry, "find_by_chance", None)
    few = [frame(seed, 60)[1] for seed in range(2)] + [frame(0)[1][:3]]
    p = P.replace(num_halfsphere_points=4096)
    result = index_frames(get_backend("cpu"), *pack(few), SearchPlan.make(CELL[None], p), p)
    assert result.reason.tolist() == [FrameReason.NONE, FrameReason.NONE, FrameReason.TOO_FEW_SPOTS]


def test_no_rung_changes_what_the_plan_is_made_of():
    for step in retry.LADDER:
        plan, other = (SearchPlan.make(CELL[None], p) for p in (P, P.replace(**step.changes)))
        for field in dataclasses.fields(SearchPlan):
            np.testing.assert_equal(getattr(plan, field.name), getattr(other, field.name))
    assert [step.rung for step in retry.LADDER] == list(Rung)[1:]


def test_the_strongest_spots_of_frames():
    counts = [100, 10, 15, 16, 0, 40]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    spots = np.arange(offsets[-1], dtype=np.float32)[:, None] * np.ones(3, np.float32)
    ranked = np.array([True, True, True, True, True, False])
    frames, rows, bounds = retry.HostSpots(spots, offsets, ranked).strongest(np.arange(6), 0.4)
    assert frames.tolist() == [0, 3]
    assert np.diff(bounds).tolist() == [40, retry.FEWEST_STRONGEST]
    assert rows[:, 0].tolist() == [*range(40), *range(offsets[3], offsets[3] + 15)]
    frames, rows, bounds = retry.HostSpots(spots, offsets, ranked).strongest(np.array([1, 5]), 0.4)
    assert (len(frames), len(rows), bounds.tolist()) == (0, 0, [0])


def test_cells_are_learned_without_further_tries():
    seen = []

    class Devices:
        def index_frames(self, spots, offsets, plan, p, **keywords):
            seen.append(p.retry)
            return BatchResult.empty(len(offsets) - 1)

    noise = pack([false_spots(np.random.default_rng(seed), 20) for seed in range(20)])
    learn_cells(Devices(), *noise, CELL[None], P)
    assert seen
    assert not any(seen)


def test_the_count_of_spots_knows_no_stricter_limit():
    with pytest.raises(ParameterError, match="off with --accept count"):
        Job([], Parameters.preset("published", retry=True))
    Job([], Parameters.preset("published", retry=True, accept="chance"))
