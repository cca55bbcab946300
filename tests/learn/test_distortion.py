"""A stretched and tilted detector, found on a run's first frames and corrected."""

import json
from dataclasses import astuple, replace

import h5py
import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.model.cell import cell_from_parameters
from ffbidx_core.model.detector.beam_shift import ShiftAlone
from ffbidx_core.model.detector.distortion import Distortion
from ffbidx_core.model.detector.dxtbx import model_of_beam, model_of_detector
from ffbidx_core.model.detector.geometry_file import geometry_text
from ffbidx_core.parameters import Parameters
from ffbidx_core.read import Source
from ffbidx_core.read.geometry.any import parse_geometry, parse_given
from ffbidx_core.read.results import read_run
from ffbidx_core.simulate import Scenario, simulate, write_frames
from tests.helpers.calls import write_spots
from tests.helpers.runs.faults import Died, dies_after, run

CELL = cell_from_parameters((79.0, 79.0, 38.0, 90.0, 90.0, 90.0))
SCENARIO = Scenario(cells=((79.0, 79.0, 38.0, 90.0, 90.0, 90.0),), n_spots=(40, 70), false_share=(0.1, 0.1))
QUICK = Parameters.preset("best", num_halfsphere_points=4096, learn_cell=24, judge_frames=0)
TRUE = Distortion(stretch=0.001, skew=0.0025, tilt_x=0.012, tilt_y=-0.004)
"""The detector is stretched by 0.27 % along 34 degrees and tilted by 0.72 degrees."""
ERRORS = (2e-4, 2e-4, 1e-3, 1e-3)


def index(sources, output, **changes):
    return run(sources, output, **({"parameters": QUICK, "cells": CELL[None], "batch_size": 30} | changes))


@pytest.fixture(scope="module")
def frames():
    return simulate(SCENARIO, 30, seed=1)


@pytest.fixture(scope="module")
def bare(frames, tmp_path_factory):
    """Spots without pixels, computed with a detector that is not distorted."""
    path, wave = tmp_path_factory.mktemp("bare") / "spots.h5", SCENARIO.wavelength
    ray = (frames.spots.astype(np.float64) * wave + (0, 0, 1)) @ np.linalg.inv(TRUE.matrix).T
    spots = ((ray / np.linalg.norm(ray, axis=1, keepdims=True) - (0, 0, 1)) / wave).astype(np.float32)
    write_spots(path, np.split(spots, frames.offsets[1:-1]))
    return [Source(str(path))]


@pytest.fixture(scope="module")
def corrected(bare, tmp_path_factory):
    """The results of a run with the correction, and its summary."""
    path = tmp_path_factory.mktemp("corrected") / "x.h5"
    return path, index(bare, path).summary


def test_the_distortion_is_found_and_the_spots_are_nearer_to_their_predictions(corrected, bare, tmp_path):
    path, summary = corrected
    np.testing.assert_allclose(np.subtract(astuple(summary.distortion), astuple(TRUE)) / ERRORS, 0, atol=1)
    left = index(bare, tmp_path / "left.h5", parameters=QUICK.replace(learn_distortion=False)).summary
    assert left.distortion is None
    assert np.median(read_results(path).rmsd) < 0.8 * np.median(read_results(tmp_path / "left.h5").rmsd)
    with h5py.File(path) as file:
        assert Distortion(**json.loads(file["run/distortion"].asstr()[()])) == summary.distortion
    with h5py.File(tmp_path / "left.h5") as file:
        assert "distortion" not in file["run"]


def test_it_is_named_with_its_directions_and_with_what_to_do(corrected):
    (note,) = corrected[1].problems
    assert "stretched by 0.2" in note
    assert "at 34° from x" in note
    assert "tilted by 0.7" in note
    assert "-18° from x" in note
    assert "--no-learn-distortion" in note
    assert "`ffbidx geometry`" in note


def test_the_results_are_those_with_the_correction_given_at_once(corrected, bare, tmp_path):
    learned = read_run(str(corrected[0]))[4][0]
    given = ShiftAlone(learned.beam_shift, learned.distortion)
    summary = index(bare, tmp_path / "there.h5", geometry=given).summary
    assert (summary.problems, summary.distortion) == ([], None)
    there, here = read_results(tmp_path / "there.h5"), read_results(corrected[0])
    assert here.header.geometry == there.header.geometry == given.text
    assert parse_given("x", given.text) == given
    for name in ("cells", "scores", "learned_cells", "rmsd"):
        np.testing.assert_array_equal(getattr(there, name), getattr(here, name))


def test_a_run_that_is_taken_up_goes_on_with_the_correction(corrected, bare, tmp_path):
    output = tmp_path / "x.h5"
    with pytest.raises(Died):
        index(bare, output, progress=dies_after(1), batch_size=10)
    assert index(bare, output, resume=True, batch_size=7).summary.distortion == corrected[1].distortion
    assert output.read_bytes() == corrected[0].read_bytes()


def test_a_detector_that_is_right_stays(frames, tmp_path):
    path = tmp_path / "right.h5"
    write_spots(path, np.split(frames.spots, frames.offsets[1:-1]))
    summary = index([Source(str(path))], tmp_path / "x.h5").summary
    assert (summary.problems, summary.distortion) == ([], None)


@pytest.fixture(scope="module")
def stills(frames, tmp_path_factory):
    """The frames with pixels."""
    path = str(tmp_path_factory.mktemp("pixels") / "stills.h5")
    write_frames(path, frames)
    return [Source(path)]


def described_without(distortion):
    """The true geometry and the one of a detector that lacks a distortion."""
    true = parse_geometry("x", SCENARIO.detector.as_text(1.0))
    matrix = np.linalg.inv(distortion.matrix)
    panels = [
        replace(p, **{name: tuple(matrix @ getattr(p, name)) for name in ("corner", "fast", "slow")})
        for p in true.detector.panels
    ]
    return true, replace(true, detector=replace(true.detector, panels=tuple(panels)))


def test_a_geometry_file_becomes_that_of_the_true_detector(stills, tmp_path):
    true, wrong = described_without(TRUE)
    given = parse_geometry("x", "; a comment\n" + geometry_text(wrong))
    index(stills, tmp_path / "x.h5", geometry=given)
    text = read_results(tmp_path / "x.h5").header.geometry
    assert text.startswith("; a comment\n")
    (found,), (wanted,) = (g.detector.panels for g in (parse_geometry("x", text), true))
    # The wrong corner, 225 mm from the beam, is 0.6 mm off across the beam and 1.2 mm along it.
    np.testing.assert_allclose(found.corner, wanted.corner, atol=0.1)
    np.testing.assert_allclose([found.fast, found.slow], [wanted.fast, wanted.slow], atol=5e-4 * 0.075)


def test_the_rigid_panels_of_an_experiment_list_stay(stills, tmp_path):
    _, wrong = described_without(Distortion(tilt_x=0.012, tilt_y=-0.004))
    detector, beam = model_of_detector(wrong.detector, SCENARIO.distance), model_of_beam(SCENARIO.wavelength)
    row = {"__id__": "Experiment", "identifier": "", "beam": 0, "detector": 0}
    models = {"__id__": "ExperimentList", "experiment": [row], "beam": [beam], "detector": [detector]}
    given = parse_geometry("x", json.dumps(models))
    summary = index(stills, tmp_path / "x.h5", geometry=given).summary
    (note,) = summary.problems
    assert "tilted by 0.7" in note
    assert "experiment list" in note
    assert summary.distortion is None
    assert read_results(tmp_path / "x.h5").header.geometry == given.text


def test_a_panel_with_skew_edges_is_a_rectangle_in_a_model_of_dials():
    _, skew = described_without(TRUE)
    (panel,) = skew.detector.panels
    (model,) = model_of_detector(skew.detector, SCENARIO.distance)["panels"]
    fast, slow, size = np.array(model["fast_axis"]), np.array(model["slow_axis"]), np.array(model["image_size"])
    assert abs(fast @ slow) < 1e-12
    edges = np.stack([fast, slow]) * np.array(model["pixel_size"])[:, None]
    middle = np.array(model["origin"]) + size @ edges / 2
    true = np.array(panel.corner) + size @ np.array([panel.fast, panel.slow]) / 2 + (0, 0, SCENARIO.distance)
    # The frame of imgCIF is turned by half a turn about y.
    np.testing.assert_allclose(middle * (-1, 1, -1), true, atol=1e-9)
