"""What accepts crystals, against loops over spots and radii."""

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.backends.generic.expected_false import expected_false
from ffbidx_core.backends.generic.judge import MOST_RADII
from ffbidx_core.benchmark import LYSOZYME, TRICLINIC
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.cell import cell_from_parameters
from ffbidx_core.model.chance import level as chance
from ffbidx_core.model.chance.false_hits import RESOLUTION_RANK, log10_expected
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.parameters import Parameters
from ffbidx_core.simulate import Scenario, simulate

P = Parameters.preset("best")
BACKEND = get_backend("cpu", threads=1)


def stills(n_spots=(20, 40), n_frames=6, cell=LYSOZYME):
    return simulate(Scenario(cells=(cell,), n_spots=n_spots, false_share=(0.3, 0.5)), n_frames, seed=4)


def found_on(frames, cells, p=P, plan=None):
    plan = plan or SearchPlan.make(frames.input_cells, p)
    batch = BACKEND.load(frames.spots, frames.offsets)
    return BACKEND.lowest_false(batch, cells, np.zeros(frames.n_frames, np.int32), plan, p)


def slowly(spots, cell, p=P):
    """The lowest number for one cell: all spots in turn give the radius."""
    spots = spots.astype(np.float64)
    distance = np.sort(np.linalg.norm(spots - np.rint(spots @ cell.T) @ np.linalg.inv(cell).T, axis=1))
    plan = SearchPlan.make(cell[None], p)
    length = np.sort(np.linalg.norm(spots, axis=1))[int(RESOLUTION_RANK * len(spots))]
    largest, numbers = chance.radii(plan.shortest_reciprocal)[0, -1], [np.inf]
    for k, radius in enumerate(distance, start=1):
        if radius <= largest and k >= p.min_new_spots:
            numbers.append(
                log10_expected(
                    k,
                    len(spots),
                    max(radius, chance.RADII[0]),
                    plan.volumes[0],
                    len(plan.operators[0]),
                    length,
                    p.max_spots,
                    p.n_output_cells,
                )
            )
    return min(numbers)


def test_every_spot_takes_a_turn_as_the_last_one():
    frames = stills()
    numbers = found_on(frames, frames.cells)
    for f, number in enumerate(numbers):
        spots = frames.spots[frames.offsets[f] : frames.offsets[f + 1]]
        assert number == pytest.approx(slowly(spots, frames.cells[f]), abs=2e-3)
    assert (numbers < -4).all()


def test_many_spots_take_turns_in_steps():
    frames = stills((200, 300))
    numbers = found_on(frames, frames.cells)
    for f, number in enumerate(numbers):
        spots = frames.spots[frames.offsets[f] : frames.offsets[f + 1]]
        best = slowly(spots, frames.cells[f])
        assert len(spots) > 2 * MOST_RADII
        assert best - 2e-3 <= number < 0.9 * best


def test_a_frame_is_judged_alone():
    frames = stills((5, 300), n_frames=8)
    together = found_on(frames, frames.cells)
    batch = BACKEND.load(frames.spots, frames.offsets)
    plan = SearchPlan.make(frames.input_cells, P)
    for f in range(8):
        one = batch.take(np.array([f]))
        alone = BACKEND.lowest_false(one, frames.cells[f : f + 1], np.zeros(1, np.int32), plan, P)
        assert alone[0] == together[f]


def test_too_few_spots_are_no_crystal():
    frames = stills()
    away = frames.cells * 1.37
    assert np.isinf(found_on(frames, np.zeros_like(away))).all()
    no_spots = BACKEND.load(np.zeros((0, 3), np.float32), np.array([0, 0]))
    plan = SearchPlan.make(frames.input_cells, P)
    assert np.isinf(BACKEND.lowest_false(no_spots, frames.cells[:1], np.zeros(1, np.int32), plan, P)).all()
    counts = np.array([[P.min_new_spots - 1, P.min_new_spots]])
    batch = BACKEND.load(frames.spots, frames.offsets).take(np.array([0]))
    numbers = expected_false(batch, counts, 0.001, np.zeros((1, 1), np.int64), plan.volumes, plan.orders, P)
    assert np.isinf(numbers).tolist() == [[True, False]]


def test_cells_that_compete_share_the_risk():
    frames = stills()
    cells = np.stack([cell_from_parameters(c) for c in (LYSOZYME, TRICLINIC)])
    alone, among = found_on(frames, frames.cells), found_on(frames, frames.cells, plan=SearchPlan.make(cells, P))
    assert among - alone == pytest.approx(np.log10(2))


def test_the_limit_decides():
    frames = stills((10, 14), n_frames=12)
    plan = SearchPlan.make(frames.input_cells, P)
    loose = index_frames(BACKEND, frames.spots, frames.offsets, plan, P.replace(max_false_rate=1.0))
    limit = float(np.median(loose.log10_false))
    strict = index_frames(BACKEND, frames.spots, frames.offsets, plan, P.replace(max_false_rate=10**limit))
    assert 0 < len(strict.crystals) < len(loose.crystals)
    assert (strict.log10_false <= limit + 1e-4).all()


def test_what_is_reported_of_a_crystal():
    frames = stills((60, 60))
    plan = SearchPlan.make(frames.input_cells, P)
    result = index_frames(BACKEND, frames.spots, frames.offsets, plan, P)
    by_chance = 60 * 4 / 3 * np.pi * P.crystals_threshold**3 * np.linalg.det(frames.input_cells[0])
    assert result.n_expected == pytest.approx(by_chance, rel=0.05)
    assert (result.n_indexed > 5 * result.n_expected).all()
    counted = index_frames(BACKEND, frames.spots, frames.offsets, plan, P.replace(accept="count", crystals_min_spots=8))
    assert np.isnan(counted.log10_false).all()
    assert np.isfinite(counted.n_expected).all()
