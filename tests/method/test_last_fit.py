"""The last fit in a run: what it reckons with."""

import json

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.method.last_fit import SCATTER_LIMITS, strain_prior
from ffbidx_core.model.cell import cell_from_parameters, cell_parameters, symmetry_operators
from ffbidx_core.model.misfit.equations import Spread
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.run import Learned
from ffbidx_core.model.strain import strains, symmetric
from ffbidx_core.parameters import Parameters
from ffbidx_core.simulate import Scenario, simulate
from ffbidx_core.simulate.judge import Tally
from tests.bench.claims.runs import electrons

CELL = cell_from_parameters((79.0, 79.0, 38.0, 90.0, 90.0, 90.0))
BEST = Parameters.preset("best", num_halfsphere_points=8192)
LEARNED = Spread(across=2.1e-4, along=5.6e-4, scatter=1.4e-3)
CPU = get_backend("cpu", threads=1)


@pytest.fixture(scope="module")
def frames():
    return simulate(Scenario(cells=((79.0, 79.0, 38.0, 90.0, 90.0, 90.0),), n_spots=(40, 80), cell_spread=0.002), 40)


def indexed(frames, p=BEST, spread=LEARNED):
    return index_frames(CPU, frames.spots, frames.offsets, SearchPlan.make(CELL[None], p, spread), p)


def test_the_prior_is_the_given_the_learned_or_the_typical_one():
    def prior(scatter=None, **changes):
        p = BEST.replace(**changes)
        spread = None if scatter is None else Spread(2e-4, 5e-4, scatter)
        return strain_prior(SearchPlan.make(CELL[None], p, spread), p)

    assert prior() == 0.002
    assert prior(1e-3) == 1e-3
    assert prior(1e-5) == SCATTER_LIMITS[0]
    assert prior(0.1) == SCATTER_LIMITS[1]
    assert prior(1e-3, strain_prior=0.004) == 0.004


def test_what_was_learned_makes_orientations_better(frames):
    tallies = []
    for p, spread in ((BEST, LEARNED), (BEST, None), (BEST.replace(weigh_residuals=False), LEARNED)):
        tallies.append(Tally())
        tallies[-1].add(indexed(frames, p, spread), frames)
    weighed, nothing, switched_off = (tally.median_angle for tally in tallies)
    assert all(tally.frames_right == 40 for tally in tallies)
    assert weighed < 0.8 * nothing
    assert weighed < 0.8 * switched_off


@pytest.mark.parametrize("spread", [LEARNED, None])
def test_symmetric_strains_on_request(frames, spread):
    result = indexed(frames, BEST.replace(symmetric_strain=True, strain_prior=0.002), spread)
    found = strains(result.cells.astype(float), CELL)
    # Crystals are written in float32.
    np.testing.assert_allclose(found, symmetric(found, CELL, symmetry_operators(CELL, 1e-3)), atol=3e-6)
    parameters = cell_parameters(result.cells)
    np.testing.assert_allclose(parameters[:, 0], parameters[:, 1], rtol=1e-5)
    np.testing.assert_allclose(parameters[:, 3:], 90, atol=1e-3)
    assert parameters[:, 0].std() > 0.02


def test_batches_make_no_difference(frames):
    whole = indexed(frames)
    for first in range(0, 40, 7):
        begin, end = frames.offsets[first], frames.offsets[min(first + 7, 40)]
        plan = SearchPlan.make(CELL[None], BEST, LEARNED)
        part = index_frames(CPU, frames.spots[begin:end], frames.offsets[first : first + 8] - begin, plan, BEST)
        rows = slice(*whole.cell_offsets[[first, min(first + 7, 40)]])
        assert (part.cells == whole.cells[rows]).all()


def test_what_was_learned_is_kept_with_the_run():
    learned = Learned(CELL[None], CELL[None] * 1.01, np.array([9]), LEARNED)
    again = Learned.from_dict(json.loads(json.dumps(learned.as_dict())))
    assert again.spread == LEARNED
    # A run of an earlier version has none.
    values = learned.as_dict()
    del values["spread"]
    assert Learned.from_dict(values).spread is None


def test_a_crystal_of_electron_diffraction_is_not_fitted_from_a_cell_that_the_method_stretched():
    """With the beam a pixel off, spots of a flat sphere are explained best by a cell stretched along the beam."""
    beam_off = electrons((79.0, 79.0, 38.0, 90.0, 90.0, 90.0), (1.0, 0.0), n_spots=(20, 40))
    frames, tally, p = simulate(beam_off, 12, seed=1), Tally(), Parameters.preset("best")
    tally.add(index_frames(CPU, frames.spots, frames.offsets, SearchPlan.make(CELL[None], p), p), frames)
    assert tally.frames_right == 12
    assert tally.false == 0
