"""`--learn-geometry N`: a run puts the panels where its first frames have them, before its first batch."""

import functools
import json

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.devices.workers import DeviceWorkers
from ffbidx_core.errors import UsageError
from ffbidx_core.model.detector.placed import PlacedPanels
from ffbidx_core.parameters import Parameters
from ffbidx_core.read import Source
from ffbidx_core.read.geometry.any import parse_geometry, read_geometry
from ffbidx_core.read.growing.follow import Follower
from ffbidx_core.read.results import read_results
from ffbidx_core.run import pipeline
from ffbidx_core.run.job import Job
from ffbidx_core.simulate import simulate, write_frames
from ffbidx_core.write import Output, PartsStore
from ffbidx_core.write.merge import merge
from tests.helpers.panels.stills import stills
from tests.helpers.runs.faults import Died, assert_same, dies_after
from tests.helpers.script import Clock

QUICK = Parameters.preset("best", num_halfsphere_points=4096, learn_cell=12, learn_geometry=24)
QUADRANTS = QUICK.replace(learn_cell=8, learn_geometry=8, geometry_level="quadrants")
OFF = 2.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("panels")
    for name, off in (("wrong", OFF), ("right", 0.0)):
        frames = stills(off, 36, seed=21, sensors=2)
        write_frames(str(folder / f"{name}.h5"), frames)
        (folder / "det.geom").write_text(frames.scenario.panels.geometry.text)
        (folder / f"{name}.true.geom").write_text(frames.scenario.panels.true_text(frames.scenario.wavelength))
    return folder


def index(folder, output, name="wrong", *, given=True, p=QUICK, resume=False, share=None, sources=None, **changes):
    progress = changes.pop("progress", lambda event: None)
    job = Job(
        sources or [Source(str(folder / f"{name}.h5"))],
        p,
        stills(0.0, 0).input_cells,
        geometry=read_geometry(str(folder / "det.geom")) if given else None,
        backend="cpu",
        threads=1,
        **{"batch_size": 8, "save_seconds": 0, **changes},
    )
    job = job if share is None else job.share(*share)
    return pipeline.index(job, store=PartsStore([Output(str(output))], resume=resume), progress=progress)


@pytest.fixture(scope="module")
def moved(folder):
    index(folder, folder / "moved.h5")
    return folder / "moved.h5"


def placed(text):
    geometry = parse_geometry("x", text)
    return PlacedPanels.of(geometry.detector, 93.0)


def test_panels_are_moved_and_the_file_s_other_lines_stay(folder, moved):
    header = read_results(moved).header
    given, found, true = (
        placed(text)
        for text in ((folder / "det.geom").read_text(), header.geometry, (folder / "wrong.true.geom").read_text())
    )
    before, after = (np.median(np.abs(true.shifts_seen(each))) for each in (given, found))
    assert after < 0.5 * before
    assert header.geometry.startswith("; made by code\n")
    assert "rigid_group_collection_quadrants" in header.geometry


def test_the_results_are_those_of_the_moved_geometry_given_at_once(folder, moved, tmp_path):
    (tmp_path / "moved.geom").write_text(read_results(moved).header.geometry)
    job_folder = tmp_path
    (job_folder / "wrong.h5").write_bytes((folder / "wrong.h5").read_bytes())
    (job_folder / "det.geom").write_text(read_results(moved).header.geometry)
    index(job_folder, tmp_path / "x.h5", p=QUICK.replace(learn_geometry=0, learn_beam=False))
    np.testing.assert_array_equal(read_results(tmp_path / "x.h5").cells, read_results(moved).cells)


def test_the_input_s_own_geometry_is_moved_alike(folder, moved, tmp_path):
    index(folder, tmp_path / "x.h5", given=False)
    a, b = read_results(tmp_path / "x.h5"), read_results(moved)
    assert np.count_nonzero(a.status == 0) == np.count_nonzero(b.status == 0)
    assert np.abs(placed(a.header.geometry).corner - placed(b.header.geometry).corner).max() < 0.1


def test_right_panels_stay_and_nothing_else_changes(folder, tmp_path):
    notes = index(folder, tmp_path / "x.h5", "right").summary.problems
    assert any("panels stay" in note for note in notes)
    index(folder, tmp_path / "y.h5", "right", p=QUICK.replace(learn_geometry=0))
    a, b = (read_results(tmp_path / name) for name in ("x.h5", "y.h5"))
    assert a.header.geometry == b.header.geometry
    np.testing.assert_array_equal(a.cells, b.cells)


@pytest.fixture(scope="module")
def by_quadrants(folder):
    """The results of a run whose first 8 frames move whole quadrants."""
    write_frames(str(folder / "few.h5"), stills(OFF, 8, seed=21, sensors=2))
    index(folder, folder / "quadrants.h5", "few", p=QUADRANTS)
    return read_results(folder / "quadrants.h5")


def test_only_the_parts_of_the_level_move_and_the_level_is_recorded(folder, by_quadrants):
    header = by_quadrants.header
    assert json.loads(header.parameters)["geometry_level"] == "quadrants"
    texts = ((folder / "det.geom").read_text(), header.geometry)
    given, found = (placed(text).corner.reshape(4, -1, 3) for text in texts)
    assert np.abs(found - given).max() > 0.05
    # The panels of a quadrant keep their places in it, but for second-order terms of its turn of some 0.02 radian.
    within = [np.linalg.norm(each - each[:, :1], axis=2) for each in (given, found)]
    between = [np.linalg.norm(each - each[:1], axis=2) for each in (given, found)]
    assert np.allclose(*within, rtol=5e-4, atol=0.0)
    assert np.abs(between[0] - between[1]).max() > 0.2


def test_a_share_that_died_and_is_resumed_moves_the_parts_of_the_level_as_the_run_does(folder, by_quadrants, tmp_path):
    output = tmp_path / "x.h5"
    few = {"p": QUADRANTS, "share": (2, 2), "batch_size": 2}
    with pytest.raises(Died):
        index(folder, output, "few", progress=dies_after(1), **few)
    index(folder, output, "few", resume=True, **few)
    found = read_results(output)
    assert found.header.geometry == by_quadrants.header.geometry
    np.testing.assert_array_equal(found.cells, by_quadrants[4:].cells)


def test_a_level_that_the_geometry_has_not_ends_the_run(growing, tmp_path):
    inputs, _ = growing
    p = QUICK.replace(learn_cell=2, learn_geometry=2, geometry_level="asics")
    with pytest.raises(UsageError, match=r"level asics: .* it has detector, group, panel, quadrants"):
        index(tmp_path, tmp_path / "x.h5", p=p, sources=[Source(str(inputs / "a.h5"))])
    assert not (tmp_path / "x.h5").exists()


def test_a_detector_that_is_off_as_a_whole_is_moved_as_a_whole(tmp_path):
    frames = stills(0.0, 20, seed=32, sensors=2, beam_centre_error=(1.0, -0.7))
    write_frames(str(tmp_path / "x.h5"), frames)
    (tmp_path / "det.geom").write_text(frames.scenario.panels.geometry.text)
    p = QUICK.replace(learn_cell=20, learn_geometry=20, learn_beam=False)
    notes = index(tmp_path, tmp_path / "run.h5", "x", p=p).summary.problems
    assert any("the first 20 frames show that the detector as a whole is off" in note for note in notes)
    found, true = placed(read_results(tmp_path / "run.h5").header.geometry), frames.scenario.panels.true
    assert np.allclose((found.centre - true.centre)[:, :2], 0.0, atol=0.2 * true.pixel)


@pytest.mark.parametrize("at", [1, 4])
def test_a_run_that_is_taken_up_has_the_panels_there_too(folder, moved, tmp_path, at):
    output = tmp_path / "x.h5"
    with pytest.raises(Died):
        index(folder, output, progress=dies_after(at))
    index(folder, output, resume=True, batch_size=7)
    assert output.read_bytes() == moved.read_bytes()


def test_shares_joined_are_the_run(folder, moved, tmp_path):
    paths = [str(tmp_path / f"{k}.h5") for k in (1, 2)]
    for k, path in enumerate(paths, start=1):
        index(folder, path, share=(k, 2))
    merge(paths, str(tmp_path / "x.h5"), overwrite=False)
    joined, whole = read_results(tmp_path / "x.h5"), read_results(moved)
    assert joined.header.geometry == whole.header.geometry
    np.testing.assert_array_equal(joined.cells, whole.cells)


def test_several_devices_give_what_one_gives(folder, moved, tmp_path, monkeypatch):
    # Two CPU backends in processes of their own stand for the GPUs of `--devices`.
    two = [functools.partial(get_backend, "cpu", None, 1)] * 2
    monkeypatch.setattr(pipeline, "open_devices", lambda *choice: DeviceWorkers(two))
    index(folder, tmp_path / "x.h5")
    assert_same(read_results(tmp_path / "x.h5"), read_results(moved), device=False)


@pytest.fixture
def growing(tmp_path, monkeypatch):
    """A directory with 8 stills, to which 12 more come later, and what follows it."""
    clock, inputs = Clock.install(monkeypatch), tmp_path / "inputs"
    inputs.mkdir()
    first = stills(OFF, 8, seed=21, sensors=2)
    (tmp_path / "det.geom").write_text(first.scenario.panels.geometry.text)
    write_frames(str(inputs / "a.h5"), first)
    write_frames(str(tmp_path / "later.h5"), simulate(first.scenario, 12, 99))
    clock.at(10, lambda: (tmp_path / "later.h5").rename(inputs / "b.h5"))
    return inputs, Follower([str(inputs)], stop_after=30)


def test_a_run_that_follows_its_input_waits_for_the_first_frames(growing, tmp_path):
    inputs, follower = growing
    p = QUICK.replace(learn_cell=12, learn_geometry=12)
    index(tmp_path, tmp_path / "x.h5", p=p, sources=follower.sources, follow=follower)
    index(tmp_path, tmp_path / "y.h5", p=p, sources=[Source(str(inputs / name)) for name in ("a.h5", "b.h5")])
    followed, whole = (read_results(tmp_path / name) for name in ("x.h5", "y.h5"))
    assert followed.header.geometry == whole.header.geometry
    assert followed.header.geometry != (tmp_path / "det.geom").read_text()
    assert len(followed.status) == 20
    np.testing.assert_array_equal(followed.cells, whole.cells)


def test_a_run_that_follows_its_input_needs_a_geometry_for_all(growing, tmp_path):
    _, follower = growing
    quick = QUICK.replace(learn_cell=4, learn_geometry=4)
    done = index(tmp_path, tmp_path / "x.h5", given=False, p=quick, sources=follower.sources, follow=follower)
    assert any("inputs have geometries of their own" in note for note in done.summary.problems)


def test_spots_without_pixels_are_noted_and_indexed(tmp_path):
    spots = tmp_path / "spots.txt"
    spots.write_text("79 0 0 0 79 0 0 0 38\n" + "".join(f"0.0{i} 0.01 -0.001\n" for i in range(1, 10)))
    store = PartsStore([Output(str(tmp_path / "x.h5"))])
    notes = pipeline.index(Job([Source(str(spots))], QUICK, backend="cpu", threads=1), store=store).summary.problems
    assert any("give one for all with -g FILE" in note for note in notes)
