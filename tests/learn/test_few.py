"""The scale of the cell of a run with few frames."""

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.devices import OneDevice
from ffbidx_core.learn import are_few, learn_from_few
from ffbidx_core.learn.few import ROUGHLY
from ffbidx_core.model.cell import cell_from_parameters, cell_parameters
from ffbidx_core.model.lattice import Lattice
from ffbidx_core.parameters import Parameters
from ffbidx_core.simulate import Scenario, simulate
from tests.bench.claims.wrong import indexed

LYSOZYME = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0)
BEST = Parameters.preset("best", num_halfsphere_points=4096)
CPU = OneDevice(get_backend("cpu", threads=1))


@pytest.fixture(scope="module")
def frames():
    """Four frames of 40 to 60 spots, a tenth of them false."""
    return simulate(Scenario(cells=(LYSOZYME,), n_spots=(40, 60), false_share=(0.1, 0.1)), 4, seed=3)


def off_by(*errors):
    return cell_from_parameters(np.array(LYSOZYME) * np.array([*(1 + np.array(errors)), 1, 1, 1]))[None]


def lesson_of(frames, given, n=4, p=BEST):
    offsets = frames.offsets[: n + 1]
    assert are_few(offsets, p)
    return learn_from_few(CPU, frames.spots[: offsets[-1]], offsets, given, p)


def test_the_right_cell_stays(frames):
    given = off_by(0, 0, 0)
    lesson = lesson_of(frames, given)
    np.testing.assert_array_equal(lesson.cells, given)
    assert lesson.n_crystals.tolist() == [0]
    assert lesson.spread is None
    assert lesson.evidence.indexed.all()


@pytest.mark.parametrize(("errors", "scale"), [((0.018, 0.018, 0.022), 0.98), ((-0.012, -0.012, -0.008), 1.01)])
def test_a_cell_of_another_scale_is_corrected_in_whole_steps(frames, errors, scale):
    given = off_by(*errors)
    lesson = lesson_of(frames, given)
    np.testing.assert_allclose(lesson.cells, scale * given)
    assert lesson.n_crystals.tolist() == [4]
    assert lesson.spread == ROUGHLY


def test_a_scale_at_the_end_of_the_range_is_not_taken(frames):
    given = off_by(0.035, 0.035, 0.035)
    lesson = lesson_of(frames, given)
    np.testing.assert_array_equal(lesson.cells, given)
    # From a cell that is 1 % nearer, the scale is inside the range.
    assert lesson_of(frames, 0.99 * given).n_crystals.tolist() == [4]


def test_one_frame_alone_teaches_nothing(frames):
    given = off_by(0.02, 0.02, 0.02)
    np.testing.assert_array_equal(lesson_of(frames, given, n=1).cells, given)
    assert lesson_of(frames, given, n=2).n_crystals.tolist() == [2]


class Counting(OneDevice):
    """A device that counts its searches and keeps their limits."""

    def index_frames(self, spots, offsets, plan, p, **more):
        self.limits = [*getattr(self, "limits", []), p.max_false_rate]
        return super().index_frames(spots, offsets, plan, p, **more)


@pytest.mark.parametrize(("n", "searches"), [(1, 1), (2, 7)])
def test_one_frame_is_searched_at_no_other_scale_and_all_scales_claim_little(frames, n, searches):
    device, offsets = Counting(CPU.backend), frames.offsets[: n + 1]
    learn_from_few(device, frames.spots[: offsets[-1]], offsets, off_by(0.02, 0.02, 0.02), BEST)
    assert len(device.limits) == searches
    assert sum(device.limits[1:]) == pytest.approx((n > 1) * 0.1 * BEST.max_false_rate)


def test_counts_of_spots_teach_nothing(frames):
    given = off_by(0.02, 0.02, 0.02)
    np.testing.assert_array_equal(lesson_of(frames, given, p=BEST.replace(accept="count")).cells, given)


def test_random_spots_teach_nothing(frames):
    given, rng = off_by(0, 0, 0), np.random.default_rng(1)
    signs = rng.choice([-1.0, 1.0], size=frames.spots.shape).astype(np.float32)
    lesson = learn_from_few(CPU, signs * frames.spots, frames.offsets, given, BEST)
    np.testing.assert_array_equal(lesson.cells, given)


def test_a_cell_without_crystals_stays_beside_one_that_is_corrected(frames):
    given = np.concatenate([off_by(0.02, 0.02, 0.02), cell_from_parameters((33.0, 47.0, 91.0, 90.0, 90.0, 90.0))[None]])
    lesson = lesson_of(frames, given, p=BEST.replace(max_input_cells=2))
    np.testing.assert_array_equal(lesson.cells[1], given[1])
    assert lesson.n_crystals.tolist() == [4, 0]


def test_a_run_of_few_frames_indexes_them_with_the_corrected_cell(frames):
    (given,) = off_by(0.02, 0.02, 0.02)
    outcome = indexed(frames, given, Lattice(), BEST)
    (cell,) = outcome.summary.cells
    assert cell.learned_from == 4
    np.testing.assert_allclose(cell.learned, cell_parameters(0.98 * given), rtol=1e-6)
    assert (np.diff(outcome.results().crystal_offsets) > 0).all()
