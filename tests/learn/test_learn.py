"""The cell of a run, learned from its first frames."""

import itertools

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.devices import OneDevice
from ffbidx_core.learn import learn, learn_cells, learned_plan
from ffbidx_core.learn.cells import _BestCrystals, _Frames
from ffbidx_core.model.basis import as_primitive
from ffbidx_core.model.cell import cell_from_parameters, cell_parameters
from ffbidx_core.model.misfit.scatter import SMALLEST
from ffbidx_core.model.records.ragged import offsets_of
from ffbidx_core.parameters import Parameters
from ffbidx_core.simulate import Scenario, simulate
from tests.helpers.frames import random_rotation, still

LYSOZYME = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0)
BEST = Parameters.preset("best", num_halfsphere_points=8192)
CPU = OneDevice(get_backend("cpu"))


@pytest.fixture(scope="module")
def frames():
    """Sixty frames of 40 to 80 spots, a tenth of them false."""
    return simulate(Scenario(cells=(LYSOZYME,), n_spots=(40, 80), false_share=(0.1, 0.1)), 60, seed=3)


@pytest.mark.parametrize("error", [(0.02, 0.02, 0.02), (-0.02, -0.02, -0.02), (0.015, 0.015, -0.015), (0.0, 0.0, 0.0)])
def test_a_wrong_cell_is_mended(frames, error):
    wrong = np.array(LYSOZYME) * np.array([*(1 + np.array(error)), 1, 1, 1])
    (learned,), (n_crystals,) = learn_cells(CPU, frames.spots, frames.offsets, cell_from_parameters(wrong)[None], BEST)
    # Sixty crystals of this noise fix a length to some 1e-4; a tenth of the error given is left for what was unlucky.
    np.testing.assert_allclose(cell_parameters(learned)[:3], LYSOZYME[:3], rtol=2e-3)
    np.testing.assert_allclose(cell_parameters(learned)[3:], LYSOZYME[3:], atol=1e-6)
    assert n_crystals >= BEST.learn_min_crystals


def test_noise_teaches_nothing(frames):
    rng = np.random.default_rng(1)
    spots = np.einsum("nij,nj->ni", _rotations(rng, len(frames.spots)), frames.spots)
    given = cell_from_parameters(LYSOZYME)[None]
    learned, n_crystals = learn_cells(CPU, spots.astype(np.float32), frames.offsets, given, BEST)
    np.testing.assert_array_equal(learned, given)
    assert n_crystals.tolist() == [0]


@pytest.mark.parametrize("noise", [0.0, 1e-6])
def test_spots_with_hardly_any_error_teach_their_cell(noise):
    rng = np.random.default_rng(1)
    wanted = cell_from_parameters((40.0, 50.0, 60.0, 90.0, 90.0, 90.0))
    pieces = [still(wanted @ random_rotation(rng), rng, noise=noise) for _ in range(30)]
    lesson = learn(CPU, np.concatenate(pieces), offsets_of([len(piece) for piece in pieces]), wanted[None], BEST)
    np.testing.assert_allclose(cell_parameters(lesson.cells[0]), cell_parameters(wanted), rtol=1e-6)
    assert lesson.evidence.indexed.all()
    assert lesson.spread.across == SMALLEST


def test_a_cell_with_too_few_crystals_in_a_later_round_is_put_back(monkeypatch):
    given, numbers = (
        as_primitive(np.diag([50.0, 60.0, 70.0])[None]),
        itertools.chain([BEST.learn_min_crystals], itertools.repeat(1)),
    )

    def found(frames, start):
        n = next(numbers)
        crystals = as_primitive(np.repeat(1.01 * given, n, axis=0))
        return _BestCrystals(start, crystals, np.zeros(n, np.int32), (np.eye(3, dtype=np.int64)[None],), float(n))

    monkeypatch.setattr(_Frames, "index", found)
    offsets = np.arange(0, 60 * 40 + 1, 40)
    learned, n_crystals = learn_cells(CPU, np.zeros((60 * 40, 3), np.float32), offsets, given, BEST)
    np.testing.assert_array_equal(learned, given)
    assert n_crystals.tolist() == [0]


def test_a_handful_of_frames_teaches_nothing(frames):
    given = cell_from_parameters(LYSOZYME)[None]
    few = BEST.learn_min_crystals
    learned, n_crystals = learn_cells(CPU, frames.spots[: frames.offsets[few - 1]], frames.offsets[:few], given, BEST)
    np.testing.assert_array_equal(learned, given)
    assert n_crystals.tolist() == [0]


def test_the_cell_that_is_not_there_stays(frames):
    given = np.stack([cell_from_parameters(LYSOZYME), cell_from_parameters((33.0, 47.0, 91.0, 90.0, 90.0, 90.0))])
    two = BEST.replace(max_input_cells=2)
    learned, n_crystals = learn_cells(CPU, frames.spots, frames.offsets, given, two)
    np.testing.assert_array_equal(learned[1], given[1])
    assert n_crystals[0] > 40
    assert n_crystals[1] == 0


def _rotations(rng, n):
    q, r = np.linalg.qr(rng.normal(size=(n, 3, 3)))
    return q * np.sign(np.einsum("nii->ni", r))[:, None, :]


def misfit_of(seed=3, **settings):
    frames = simulate(Scenario(cells=(LYSOZYME,), n_spots=(40, 80), false_share=(0.1, 0.1), **settings), 40, seed)
    given = cell_from_parameters(LYSOZYME)[None]
    return learn(CPU, frames.spots, frames.offsets, given, BEST).misfit


def test_the_noise_is_learned():
    misfit = misfit_of()
    # 0.6 pixels of 0.375 mrad; lattice points are seen within 0.0015/A of the sphere.
    assert misfit.spread.across == pytest.approx(2.1e-4, rel=0.1)
    assert misfit.spread.along == pytest.approx(5.6e-4, rel=0.15)
    assert misfit.spread.scatter < 4e-4
    assert not misfit.is_shifted


def test_the_scatter_of_the_cells_is_learned():
    assert misfit_of(cell_spread=0.003).spread.scatter == pytest.approx(0.003 / np.sqrt(2), rel=0.2)


def test_a_wrong_beam_centre_is_noticed():
    misfit = misfit_of(beam_centre_error=(2.0, 0.0))
    assert misfit.is_shifted
    assert misfit.values[0] == pytest.approx(-2 * 0.075 / 200, rel=0.02)


def test_turned_spots_have_no_noise_to_learn(frames):
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    given = cell_from_parameters(LYSOZYME)[None]
    spots = (frames.spots @ rotation).astype(np.float32)
    lesson = learn(CPU, spots, frames.offsets, given, BEST)
    assert lesson.n_crystals[0] > 40
    assert lesson.misfit is None
    assert lesson.spread is None


def test_the_plan_has_what_was_learned(frames):
    given = cell_from_parameters(LYSOZYME)[None]
    plan = learned_plan(CPU, frames.spots, frames.offsets, given, BEST)
    assert plan.spread.across < plan.spread.along
    few = learned_plan(CPU, frames.spots[: frames.offsets[4]], frames.offsets[:5], given, BEST)
    assert few.spread is None
