"""A beam that is off, found on a run's first frames and moved."""

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.model.cell import cell_from_parameters, symmetry_operators
from ffbidx_core.model.detector.beam_shift import BeamShift, ShiftAlone
from ffbidx_core.model.orientation import rotation_angle, rotation_between
from ffbidx_core.parameters import Parameters
from ffbidx_core.read import Source
from ffbidx_core.read.geometry.any import parse_geometry, read_geometry
from ffbidx_core.read.geometry.choose import beam_option
from ffbidx_core.read.growing.follow import Follower
from ffbidx_core.read.results import read_run
from ffbidx_core.run import pipeline
from ffbidx_core.run.job import Job
from ffbidx_core.simulate import Scenario, simulate, write_frames
from ffbidx_core.write import Output, PartsStore
from ffbidx_core.write.merge import merge
from tests.helpers.calls import write_spots
from tests.helpers.growing import Writer
from tests.helpers.runs.faults import Died, dies_after, run

LYSOZYME = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0)
CELL = cell_from_parameters(LYSOZYME)
OPERATORS = symmetry_operators(CELL, 1e-3)
OFF = (3.0, -2.0)
"""Pixels of 0.375 mrad."""
SHIFT = (-3.0 * 0.375, 2.0 * 0.375)
QUICK = Parameters.preset("best", num_halfsphere_points=4096, learn_cell=20)
SCENARIO = Scenario(cells=(LYSOZYME,), n_spots=(40, 70), false_share=(0.1, 0.1), beam_centre_error=OFF)
WORDS = "the beam centre is off by"


@pytest.fixture(scope="module")
def frames():
    return simulate(SCENARIO, 30, seed=1)


@pytest.fixture(scope="module")
def sources(frames, tmp_path_factory):
    """Spots without pixels in three files."""
    folder = tmp_path_factory.mktemp("bare")
    pieces = [frames.spots[begin:end] for begin, end in zip(frames.offsets[:-1], frames.offsets[1:], strict=True)]
    return [Source(str(write_spots(folder / f"{k}.h5", pieces[10 * k : 10 * k + 10]))) for k in range(3)]


@pytest.fixture(scope="module")
def stills(frames, tmp_path_factory):
    """The same in one file with pixels and a geometry."""
    path = str(tmp_path_factory.mktemp("pixels") / "stills.h5")
    write_frames(path, frames)
    return [Source(path)]


def index(sources, output, **changes):
    return run(sources, output, **({"parameters": QUICK, "cells": CELL[None], "batch_size": 4} | changes))


@pytest.fixture(scope="module")
def moved(sources, tmp_path_factory):
    """The results of the first three files."""
    path = tmp_path_factory.mktemp("moved") / "x.h5"
    index(sources, path)
    return path


def shift_of(path):
    """What a run learned of the beam."""
    learned = read_run(str(path))[4]
    assert len({group.beam_shift for group in learned}) == 1
    return learned[0].beam_shift.mrad


def off(path, frames):
    """How far the crystals are turned from the truth, degrees, but for what the lattice's symmetry leaves open."""
    results = read_results(path)
    assert results.n_frames == len(results.crystals) == 30
    cells = results.cells.astype(float)
    turned = [rotation_angle(rotation_between(operator @ cells, frames.cells)) for operator in OPERATORS]
    return np.min(turned, axis=0)


def test_the_shift_is_found_and_the_crystals_are_better(moved, sources, frames, tmp_path):
    # Twenty crystals of fifty spots of 0.6 pixels: 0.02 pixels; the cell's strain is not wholly distinguished from it.
    assert shift_of(moved) == pytest.approx(SHIFT, abs=0.04)
    outcome = index(sources, tmp_path / "left.h5", parameters=QUICK.replace(learn_beam=False))
    assert shift_of(tmp_path / "left.h5") == (0.0, 0.0)
    assert [WORDS in problem and "diagnose" in problem for problem in outcome.summary.problems] == [True]
    assert np.median(off(moved, frames)) < 0.8 * np.median(off(tmp_path / "left.h5", frames))
    before, after = (read_results(path) for path in (tmp_path / "left.h5", moved))
    assert np.median(after.rmsd) < 0.8 * np.median(before.rmsd)
    assert np.median(after.log10_chance) < 1.2 * np.median(before.log10_chance)


def test_the_results_are_those_with_the_beam_there_at_once(moved, sources, tmp_path):
    x, y = shift_of(moved)
    outcome = index(sources, tmp_path / "there.h5", geometry=ShiftAlone(BeamShift(mrad=(x, y))))
    assert outcome.summary.problems == []
    there, here = read_results(tmp_path / "there.h5"), read_results(moved)
    assert there.header == here.header
    assert here.header.geometry == ShiftAlone(BeamShift(mrad=(x, y))).text
    for name in ("cells", "scores", "n_spots", "learned_cells", "rmsd"):
        np.testing.assert_array_equal(getattr(there, name), getattr(here, name))


def test_it_is_said_how_to_do_it_by_hand(sources, stills, tmp_path):
    (said,) = index(sources, tmp_path / "x.h5").summary.problems
    assert f"--beam-shift {shift_of(tmp_path / 'x.h5')[0]:.3f}" in said
    assert "--no-learn-beam" in said
    (said,) = index(stills, tmp_path / "y.h5").summary.problems
    assert "--beam-shift" in said


def test_a_given_geometry_is_moved(stills, tmp_path):
    (tmp_path / "given.geom").write_text(SCENARIO.assumed_detector.as_text(1.0))
    geometry = read_geometry(str(tmp_path / "given.geom"))
    (said,) = index(stills, tmp_path / "x.h5", geometry=geometry).summary.problems
    recorded = parse_geometry("x", read_results(tmp_path / "x.h5").header.geometry)
    assert beam_option(recorded) in said
    fs, ss = map(float, beam_option(recorded).split()[1:])
    assert (fs, ss) == pytest.approx(SCENARIO.detector.beam_centre, abs=0.1)
    again = index(stills, tmp_path / "again.h5", geometry=recorded)
    assert again.summary.problems == []
    np.testing.assert_array_equal(read_results(tmp_path / "again.h5").cells, read_results(tmp_path / "x.h5").cells)


def test_with_pixels_or_without_the_crystals_are_the_same(moved, stills, tmp_path):
    index(stills, tmp_path / "x.h5")
    # With pixels the wavelength is the true one, without them that of the sphere that the shifted spots lie on best.
    assert shift_of(tmp_path / "x.h5") == pytest.approx(shift_of(moved), abs=0.01)
    a, b = read_results(tmp_path / "x.h5"), read_results(moved)
    assert (rotation_angle(rotation_between(a.cells.astype(float), b.cells.astype(float))) < 0.01).all()


@pytest.mark.parametrize("at", [1, 3, 6])
def test_a_run_that_is_taken_up_has_the_beam_there_too(moved, sources, tmp_path, at):
    output = tmp_path / "x.h5"
    with pytest.raises(Died):
        index(sources, output, progress=dies_after(at))
    index(sources, output, resume=True, batch_size=7)
    assert output.read_bytes() == moved.read_bytes()


def test_shares_joined_are_the_run(moved, sources, tmp_path):
    paths = [str(tmp_path / f"{k}.h5") for k in (1, 2, 3)]
    for k, path in enumerate(paths, start=1):
        job = Job(sources, QUICK, CELL[None], backend="cpu", threads=1).share(k, 3)
        pipeline.index(job, store=PartsStore([Output(path)]))
    merge(paths, str(tmp_path / "x.h5"), overwrite=False)
    joined, whole = read_results(tmp_path / "x.h5"), read_results(moved)
    assert joined.header.geometry == whole.header.geometry
    np.testing.assert_array_equal(joined.cells, whole.cells)
    assert shift_of(tmp_path / "x.h5") == shift_of(moved)


def test_a_run_that_follows_its_input(moved, sources, tmp_path):
    folder = tmp_path / "inputs"
    folder.mkdir()
    for source in sources:
        (folder / Path(source.path).name).write_bytes(Path(source.path).read_bytes())
    output = tmp_path / "x.h5"
    follower = Follower([str(folder)], stop_after=1.0)
    index(follower.sources, output, follow=follower)
    followed, whole = read_results(output), read_results(moved)
    np.testing.assert_array_equal(followed.cells, whole.cells)
    assert followed.header.geometry == whole.header.geometry


def test_a_file_that_grows_meanwhile(frames, tmp_path):
    """The frames that were read with the beam elsewhere come once more, from the same place."""
    folder = tmp_path / "inputs"
    folder.mkdir()
    pieces = [frames.spots[begin:end] for begin, end in zip(frames.offsets[:-1], frames.offsets[1:], strict=True)]
    writer = Writer(folder / "a.h5").native()
    writer.add(*pieces[:15])

    def write():
        for piece in pieces[15:]:
            time.sleep(0.05)
            writer.add(piece)
        writer.close()
        (tmp_path / "stop").touch()

    thread = threading.Thread(target=write)
    thread.start()
    follower = Follower([str(folder)], stop_file=str(tmp_path / "stop"))
    follower.wait(None, lambda text: None)
    summary = index(follower.sources, tmp_path / "x.h5", follow=follower).summary
    thread.join()
    assert (summary.frames, summary.indexed) == (30, 30)
    index([Source(str(folder / "a.h5"))], tmp_path / "y.h5")
    followed, whole = (read_results(tmp_path / name) for name in ("x.h5", "y.h5"))
    np.testing.assert_array_equal(followed.cells, whole.cells)
    assert followed.header.geometry == whole.header.geometry != ""


def test_cells_of_the_inputs_themselves(sources, tmp_path):
    """Groups of frames with cells of their own have one beam."""
    own = []
    for number, source in enumerate(sources):
        path = tmp_path / f"own{number}.h5"
        path.write_bytes(Path(source.path).read_bytes())
        with h5py.File(path, "a") as file:
            file["cells"] = CELL[None] * (1 + 0.002 * number)
        own.append(Source(str(path)))
    index(own, tmp_path / "x.h5", cells=None)
    with h5py.File(tmp_path / "x.h5") as file:
        assert len(json.loads(file["run/learned"].asstr()[()])) == 2
    assert shift_of(tmp_path / "x.h5") == pytest.approx(SHIFT, abs=0.06)


NEAR_DETECTOR = {
    "cells": ((79.1, 79.1, 37.9, 90.0, 90.0, 90.0),),
    "distance": 90.0,
    "pixel_size": 110.0,
    "detector_size": (1756, 1756),
    "wavelength": 1.305,
    "n_spots": (10, 90),
}
"""A pixel is 1.2 mrad, the shortest reciprocal vector 16.5 mrad."""


@pytest.mark.parametrize(
    ("off", "n", "settings"),
    [
        ((12.0, 9.0), 30, {}),
        ((0.0, 8.0), 40, {"cells": ((281.0, 281.0, 165.0, 90.0, 90.0, 120.0),), "n_spots": (100, 200)}),
        ((12.0, 9.0), 40, NEAR_DETECTOR),
        ((13.0, 9.0), 40, NEAR_DETECTOR),
        ((-12.0, -9.0), 40, NEAR_DETECTOR),
    ],
    ids=["15 pixels", "281 A", "18 mrad", "19 mrad", "18 mrad the other way"],
)
def test_a_shift_that_hides_most_crystals(tmp_path, off, n, settings):
    scenario = replace(SCENARIO, beam_centre_error=off, **settings)
    path = str(tmp_path / "stills.h5")
    write_frames(path, simulate(scenario, n, 5))
    rates = []
    for moves in (False, True):
        p = QUICK.replace(learn_cell=n, learn_beam=moves, num_halfsphere_points=16384)
        outcome = index(
            [Source(path)], tmp_path / f"{moves}.h5", parameters=p, cells=scenario.input_cells, batch_size=n
        )
        rates.append(outcome.summary.indexed / n)
    assert rates[0] < 0.4
    assert rates[1] > 0.95
    mrad = scenario.pixel_size / scenario.distance
    assert shift_of(tmp_path / "True.h5") == pytest.approx((-mrad * off[0], -mrad * off[1]), abs=0.08 * mrad)


@pytest.mark.parametrize(
    "settings",
    [
        {"beam_centre_error": (0.0, 0.0)},
        {"beam_centre_error": (0.05, 0.0)},
        {"blank_share": 1.0},
        {"beam_centre_error": (0.0, 0.0), "blank_share": 0.8},
        {"beam_centre_error": (0.0, 0.0), "cell_spread": 0.004},
        {"beam_centre_error": (0.0, 0.0), "n_spots": (8, 12)},
    ],
    ids=str,
)
def test_a_beam_that_is_where_it_should_be_stays(settings, tmp_path):
    for seed in range(3):
        path, output = str(tmp_path / f"{seed}.h5"), tmp_path / f"x{seed}.h5"
        write_frames(path, simulate(replace(SCENARIO, **settings), 24, seed))
        outcome = index([Source(path)], output, batch_size=24)
        assert outcome.summary.problems == []
        assert read_results(output).header.geometry == ""


def test_nothing_is_learned_of_the_beam_where_no_cell_is_learned(stills, tmp_path):
    outcome = index(stills, tmp_path / "x.h5", parameters=QUICK.replace(learn_cell=0))
    assert outcome.summary.problems == []
    assert read_results(tmp_path / "x.h5").header.geometry == ""
