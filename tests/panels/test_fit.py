import numpy as np
import pytest

from ffbidx_core.model.detector.placed import PlacedPanels
from ffbidx_core.model.detector.tree import PanelTree
from ffbidx_core.panels.equations import CrystalState, Pairs, residuals
from ffbidx_core.panels.fit import fit_panels
from ffbidx_core.panels.gate import held_out_gain, misfits
from tests.helpers.panels.bound import least_error
from tests.helpers.panels.stills import LYSOZYME, NOISE, gathered, off_by, stills


def fitted(frames, **options):
    data = gathered(frames, turned=0.03)
    tree = frames.scenario.panels.tree
    return fit_panels(data.peaks, data.panels, tree, **options), data, tree


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def test_disturbed_panels_are_found_with_right_errors():
    frames = stills(1.0, 100, seed=11)
    fit, data, _ = fitted(frames)
    off, errors = off_by(fit, data.panels, frames.scenario.panels.true)
    assert len(off) >= 16
    assert rms(off) < 0.15
    assert 0.6 < rms(off / errors) < 1.3
    assert abs(fit.noise - NOISE) < 0.03


def test_a_fit_comes_as_near_as_any_fit_can_on_average():
    ratios = []
    for seed in (41, 42, 43):
        frames = stills(1.0, 50, seed=seed, sensors=2)
        fit, data, _ = fitted(frames)
        off, _ = off_by(fit, data.panels, frames.scenario.panels.true)
        ratios.append(rms(off) / least_error(frames, gathered(frames), 1.0, fit.counts, 20, alone=False))
    # Runs scatter about the bound.
    assert 0.75 < rms(ratios) < 1.25, ratios


def test_a_panel_that_is_off_by_more_than_the_capture_is_found_by_votes():
    frames = stills(0.0, 60, seed=12)
    data = gathered(frames, turned=0.02)
    panel = int(np.argmax(np.bincount(data.peaks.pixels[:, 2].astype(int))))
    motion = np.zeros((data.panels.n_panels, 6))
    motion[panel, :2] = 8.0, -3.0
    moved = data.panels.moved(motion)
    found, missed = (
        fit_panels(data.peaks, moved, frames.scenario.panels.tree, vote=vote).motion[panel, :2]
        for vote in (True, False)
    )
    assert np.allclose(found, (-8.0, 3.0), atol=0.3)
    assert not np.allclose(missed, (-8.0, 3.0), atol=3)


def test_a_panel_without_peaks_moves_with_its_group():
    frames = stills(2.0, 60, seed=13)
    _, data, tree = fitted(frames)
    counts = np.bincount(data.peaks.pixels[:, 2].astype(int), minlength=32)
    group = next(m for m in tree.members if len(m) == 2 and counts[m].min() > 40)
    left, right = group.tolist()
    kept = data.peaks.pixels[:, 2] != right
    blind = fit_panels(without_peaks(data.peaks, kept), data.panels, tree)
    assert blind.counts[right] == 0
    # Its neighbour on the sensor says where it is, but for the turn of the sensor.
    off, errors = off_by(blind, data.panels, frames.scenario.panels.true, fewest=0)
    assert np.linalg.norm(blind.motion[right, :2]) > 1
    assert np.linalg.norm(off[right]) < 0.5 * np.linalg.norm(off[right] - blind.motion[right, :2])
    assert (np.abs(off[right]) < 4 * errors[right]).all()
    assert (errors[right] > errors[left]).all()


def without_peaks(peaks, kept):
    running = np.concatenate([[0], np.cumsum(kept)])
    return type(peaks)(
        peaks.pixels[kept], running[peaks.offsets], peaks.wavelength, peaks.farther, peaks.cells, peaks.crystal_offsets,
        peaks.input_cell, peaks.references, peaks.operators,
    )  # fmt: skip


def test_a_wrong_cell_does_not_move_panels():
    right, _, _ = fitted(stills(1.0, 80, seed=14))
    wrong, _, _ = fitted(stills(1.0, 80, seed=14, cell_error=(0.005, 0.005, 0.005)))
    seen = right.counts >= 20
    assert rms((right.motion - wrong.motion)[seen, :2]) < 0.03


def test_two_kinds_of_crystal_share_the_panels():
    frames = stills(1.0, 80, seed=15, cells=(LYSOZYME, (52.0, 61.0, 73.0, 90.0, 90.0, 90.0)), lattices=(1, 2))
    assert (np.bincount(frames.input_cell) > 20).all()
    fit, data, _ = fitted(frames)
    assert rms(off_by(fit, data.panels, frames.scenario.panels.true)[0]) < 0.2


def test_right_panels_pass_no_gate_and_wrong_ones_do():
    for off, is_sure in ((0.0, False), (1.0, True)):
        data = gathered(stills(off, 24, seed=16), turned=0.02)
        tree = PanelTree.of(data.panels, data.geometry.groups)
        assert held_out_gain(data.peaks, data.panels, tree).is_sure is is_sure


def test_the_common_turn_about_the_beam_is_not_moved():
    frames = stills(3.0, 60, seed=17)
    fit, data, _ = fitted(frames)
    centre = data.panels.centre
    turn = fit.counts * (centre[:, 0] * fit.motion[:, 1] - centre[:, 1] * fit.motion[:, 0])
    assert abs(turn.sum()) < 1e-6 * np.abs(turn).sum()


def test_the_misfit_of_true_panels_is_the_noise():
    frames = stills(1.0, 40, seed=18)
    data = gathered(frames)
    rms_true, rms_given = (np.nanmean(misfits(data.peaks, p)) for p in (frames.scenario.panels.true, data.panels))
    assert abs(rms_true - NOISE) < 0.08
    assert rms_given > rms_true + 0.2


@pytest.fixture
def linear():
    """Residuals of some true spots, and what makes them anew."""
    frames = stills(0.0, 3, seed=19, false_share=(0.0, 0.0))
    data = gathered(frames)
    rows, crystal = data.peaks.as_crystals(data.panels).pairs()
    frame = data.peaks.frame_of_peak[rows]
    pairs = Pairs(data.peaks.pixels[rows], data.peaks.wavelength[frame], data.peaks.farther[frame], rows, crystal)
    state = CrystalState(np.zeros((3, 6)), frames.cells, np.broadcast_to(np.eye(3), (3, 3, 3)))
    return data.panels, state, pairs


def test_derivatives_by_the_motion_of_panels_are_differences(linear):
    panels, state, pairs = linear
    capture = np.full(3, 0.004)
    base = residuals(panels, state, pairs, capture)
    for k in range(6):
        step = np.zeros((panels.n_panels, 6))
        step[:, k] = 1e-3
        moved = residuals(panels.moved(step), state, pairs, capture)
        assert len(moved.values) == len(base.values)
        # A residual is observed less predicted.
        difference = -(moved.values - base.values)[:, :2] / 1e-3
        assert np.allclose(difference, base.by_panel[:, :, k], atol=2e-5)


def test_pixels_and_spots_are_each_other_s_inverse(linear):
    panels, _, pairs = linear
    assert isinstance(panels, PlacedPanels)
    q = panels.spots(pairs.pixels, pairs.wavelength, 0.3)
    at, _, _ = panels.seen(q * pairs.wavelength[:, None] + (0, 0, 1), pairs.panel, 0.3)
    assert np.allclose(at, pairs.pixels[:, :2], atol=1e-7)
