"""`Indexer(preset="best")` and FFBIDX_PRESET: the command's method behind the published interface."""

import numpy as np
import pytest

import ffbidx
from ffbidx_core.backends import get_backend
from ffbidx_core.benchmark import LYSOZYME
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.cell import cell_from_parameters
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.parameters import Parameters
from ffbidx_core.published.arguments import other_than_published
from ffbidx_core.simulate import Scenario, simulate
from ffbidx_core.simulate.judge import Judge
from tests.helpers.frames import CELL, QUICK, cells_of_published, frame, frames_of, published_cells, published_spots
from tests.helpers.published.clients import AS_DIALS_CALLS, crystals_as_dials_finds_them

CUBIC = (96.4, 96.4, 96.4, 90.0, 90.0, 90.0)
HARD = Scenario(cells=(LYSOZYME,), n_spots=(14, 14), false_spots=(40, 40))
SEVERAL = Scenario(cells=(CUBIC,), lattices=(1, 5), n_spots=(70, 330), false_share=(0.05, 0.15))


def share_found(scenario, n_frames, run_options=AS_DIALS_CALLS):
    """Share of the frames whose first lattice a client finds, and the crystals that it finds."""
    sim, judge = simulate(scenario, n_frames, 3), Judge(scenario)
    cell = cell_from_parameters(scenario.cells[0])
    found, claimed = 0, 0
    for f in range(n_frames):
        spots = sim.spots[sim.offsets[f] : sim.offsets[f + 1]]
        crystals = crystals_as_dials_finds_them(spots, cell, run_options)
        truth = sim.cells[sim.cell_offsets[f]]
        found += any(judge.misorientation(crystal, truth, 0) < 1 for crystal in crystals)
        claimed += len(crystals)
    return found / n_frames, claimed


def test_clients_that_repeat_the_published_defaults_find_the_hard_frames(monkeypatch):
    """100 frames of 14 true and 40 false spots: 94 here, as by the command; 40 by the published method."""
    monkeypatch.setenv("FFBIDX_PRESET", "best")
    share, claimed = share_found(HARD, 40)
    assert share >= 0.85
    assert claimed <= 40


def test_psis_dist1_finds_hard_frames_that_the_published_one_does_not():
    """100 frames of 14 true and 40 false spots: 95 with 0.1, 40 with 0."""
    assert share_found(HARD, 40)[0] <= 0.6
    assert share_found(HARD, 40, run_options={"dist1": 0.1})[0] >= 0.85


def test_the_first_lattice_of_each_frame_is_among_the_crystals_of_clients(monkeypatch):
    """Cubic, 96.4 A, 70 to 330 spots of 1 to 5 lattices, as the CuNiR data has them."""
    monkeypatch.setenv("FFBIDX_PRESET", "best")
    share, claimed = share_found(SEVERAL, 5)
    assert share == 1
    assert claimed > 5


@pytest.mark.parametrize("preset", ["best", "fast"])
def test_run_returns_what_the_command_finds_crystals_first_each_once(preset):
    rows, offsets, pieces = frames_of(3)
    p = Parameters.preset(preset)
    expected = index_frames(get_backend("cpu"), rows, offsets, SearchPlan.make(CELL[None], p), p)
    indexer = ffbidx.Indexer(preset=preset, backend="cpu")
    whole = indexer.run_batch(rows, offsets, CELL[None])
    of_batch = indexer.crystals_batch(whole, rows, offsets)
    for f, piece in enumerate(pieces):
        wanted = expected.cells[expected.crystals[expected.crystal_offsets[f] : expected.crystal_offsets[f + 1]]]
        cells, scores = indexer.run(published_spots(piece), published_cells(CELL))
        crystals = indexer.crystals(cells, published_spots(piece), scores, threshold=1e-5, min_spots=300)
        assert crystals.tolist() == of_batch[f].tolist() == list(range(len(wanted)))
        assert len(wanted) == 1
        np.testing.assert_array_equal(cells_of_published(cells)[: len(wanted)], wanted)
        np.testing.assert_array_equal(whole.cells[f], cells_of_published(cells))
        assert np.isposinf(scores[len(wanted) :]).all()
        assert not cells[:, 3 * len(wanted) :].any()
        assert (whole.input_cell[f] >= 0).tolist() == np.isfinite(scores).tolist()


def test_frames_without_a_crystal_have_no_cell_and_bad_ones_are_no_error():
    indexer = ffbidx.Indexer(preset="best", backend="cpu")
    noise = np.random.default_rng(5).uniform(-0.4, 0.4, (3, 60)).astype(np.float32)
    bad = noise.copy()
    bad[0, 3] = np.nan
    for spots in (noise, bad, noise[:, :0].copy(), noise[:, :3].copy()):
        cells, scores = indexer.run(spots, published_cells(CELL))
        assert (cells.shape, scores.shape) == ((3, 96), (32,))
        assert not cells.any()
        assert np.isposinf(scores).all()
        assert indexer.crystals(cells, spots, scores) is None


def test_few_output_cells_are_the_best_crystals():
    sim = simulate(SEVERAL, 3, 3)
    cell = published_cells(cell_from_parameters(CUBIC))
    many, one = (ffbidx.Indexer(preset="best", backend="cpu", max_output_cells=n) for n in (32, 1))
    for f in range(3):
        spots = published_spots(sim.spots[sim.offsets[f] : sim.offsets[f + 1]])
        all_cells, all_scores = many.run(spots, cell)
        for cells, scores in (one.run(spots, cell), many.run(spots, cell, n_output_cells=1)):
            np.testing.assert_array_equal(cells, all_cells[:, :3])
            np.testing.assert_array_equal(scores, all_scores[:1])


def test_what_the_caller_names_wins_over_a_preset_that_the_caller_named():
    _, rows = frame()
    arrays = published_spots(rows), published_cells(CELL)
    results = {
        dist1: ffbidx.Indexer(preset="best", backend="cpu", max_spots=300)._engine._with({"dist1": dist1})
        for dist1 in (0.3, 0.0, 0.2)
    }
    assert {dist1: p.dist1 for dist1, p in results.items()} == {0.3: 0.3, 0.0: 0.0, 0.2: 0.2}
    assert {p.max_spots for p in results.values()} == {300}
    raw = ffbidx.Indexer(preset="best", backend="cpu").run(*arrays, method="raw", **QUICK)
    fitted = ffbidx.Indexer(preset="best", backend="cpu").run(*arrays, **QUICK)
    assert raw[1][0] != fitted[1][0]


def test_under_a_preset_of_the_environment_a_repeated_default_is_no_choice():
    assert other_than_published(AS_DIALS_CALLS) == {}
    assert other_than_published({"dist1": 0.1, "method": "raw", "max_spots": 200}) == {
        "dist1": 0.1,
        "method": "raw",
        "max_spots": 200,
    }
    assert other_than_published({"trimh": 0.4, "dist1": 0.3}) == {"trimh": 0.4, "dist1": 0.3}
    assert np.isnan(other_than_published({"dist3": np.nan})["dist3"])


def test_an_unknown_preset_is_an_error_that_says_where_it_was_given(monkeypatch):
    with pytest.raises(ValueError, match="preset = 'good' is out of range: one of best, fast, published"):
        ffbidx.Indexer(preset="good")
    monkeypatch.setenv("FFBIDX_PRESET", "good")
    with pytest.raises(ValueError, match="FFBIDX_PRESET = 'good' is out of range: one of best, fast, published"):
        ffbidx.Indexer()
    ffbidx.Indexer(preset="published", backend="cpu")
