"""Runs on the workers of a dask cluster have the results of one process."""

import os

import h5py
import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.errors import InputError, NothingProcessed
from ffbidx_core.model.records.frame import FrameStatus
from ffbidx_core.parameters import Parameters
from ffbidx_core.read import Source
from ffbidx_core.read.geometry.any import read_geometry
from ffbidx_core.run.job import Job
from ffbidx_core.simulate import Scenario, simulate, write_frames
from tests.helpers.frames import CELL, frame
from tests.helpers.panels.stills import stills
from tests.helpers.runs.dask import FRAMES, check, run_on
from tests.helpers.runs.faults import QUICK, make_inputs, run, with_record


def test_results_are_those_of_one_process(cluster, sources, wanted, tmp_path, small_tasks):
    events = []
    summary = run_on(cluster, sources, tmp_path / "x.h5", progress=events.append)
    assert (tmp_path / "x.h5").read_bytes() == wanted.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]
    one = run(sources, tmp_path / "one.h5").summary.as_dict()
    here = summary.as_dict()
    for name in ("seconds", "frames_per_second", "output"):
        del one[name], here[name]
    assert here == one
    assert [event.frames for event in events] == sorted(event.frames for event in events)
    assert events[-1].frames == FRAMES + 1


def test_a_table_and_its_record(cluster, sources, tmp_path, small_tasks):
    run_on(cluster, sources, tmp_path / "x.tsv")
    run(sources, tmp_path / "one.tsv")
    for path, one in zip(with_record(tmp_path / "x.tsv"), with_record(tmp_path / "one.tsv"), strict=True):
        assert path.read_bytes() == one.read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"every": 3, "max_frames": 11},
        {"keep_all": True, "max_frames": 9},
        {"parameters": QUICK.replace(learn_cell=0)},
        {"parameters": QUICK.replace(retry=not QUICK.retry)},
    ],
)
def test_parts_of_the_frames_and_other_settings(cluster, sources, tmp_path, small_tasks, changes):
    check(cluster, sources, tmp_path, **changes)


def test_files_with_cells_of_their_own(cluster, tmp_path, small_tasks):
    sources = make_inputs(tmp_path, 12)
    for number, source in enumerate(source for source in sources if os.path.exists(source.path)):
        with h5py.File(source.path, "a") as file:
            file["cells"] = CELL[None] * (1 + 0.001 * number)
    check(cluster, sources, tmp_path, cells=None)


def test_a_beam_that_is_moved(cluster, tmp_path, small_tasks):
    p = Parameters.preset("best", num_halfsphere_points=4096, learn_cell=20)
    scenario = Scenario(cells=((79.0, 79.0, 38.0, 90.0, 90.0, 90.0),), n_spots=(40, 70), beam_centre_error=(3.0, -2.0))
    path = str(tmp_path / "stills.h5")
    write_frames(path, simulate(scenario, 30, 1))
    check(cluster, [Source(path)], tmp_path, cells=scenario.input_cells, parameters=p)
    assert read_results(tmp_path / "x.h5").header.geometry.startswith("; beam shift")


def test_panels_that_are_moved(cluster, tmp_path, small_tasks):
    p = Parameters.preset("best", num_halfsphere_points=4096, learn_cell=12, learn_geometry=12)
    frames = stills(2.0, 20, seed=21, sensors=2)
    path, given = str(tmp_path / "stills.h5"), tmp_path / "det.geom"
    write_frames(path, frames)
    given.write_text(frames.scenario.panels.geometry.text)
    geometry = read_geometry(str(given))
    check(cluster, [Source(path)], tmp_path, cells=frames.input_cells, parameters=p, geometry=geometry)
    assert read_results(tmp_path / "x.h5").header.geometry != geometry.text


def test_a_share_of_the_frames(cluster, sources, tmp_path, small_tasks):
    """Job arrays may have clusters of their own."""
    for number in (1, 2):
        job = Job(sources, QUICK, CELL[None], backend="cpu").share(number, 2)
        check(cluster, sources, tmp_path, span=job.span)
        for path in tmp_path.iterdir():
            path.unlink()


@pytest.mark.parametrize("most", [None, 20])
def test_a_file_that_breaks_off(cluster, tmp_path, small_tasks, most):
    """Tasks that were planned behind the break are given up, and planned anew."""
    pieces = [frame(seed, 50)[1] for seed in range(20)]
    for name in "abc":
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            spots = file.create_dataset("spots", data=np.concatenate(pieces), chunks=(50, 3), fletcher32=True)
            spots.attrs["units"] = "1/angstrom"
            file["offsets"] = np.arange(21) * 50
            at = spots.id.get_chunk_info(5).byte_offset
        if name != "c":
            image = bytearray((tmp_path / f"{name}.h5").read_bytes())
            image[at] ^= 4
            (tmp_path / f"{name}.h5").write_bytes(image)
    sources = [Source(str(tmp_path / f"{name}.h5")) for name in "abc"]
    check(cluster, sources, tmp_path, max_frames=most)
    results = read_results(tmp_path / "x.h5")
    # The frames behind a damaged chunk are read all the same.
    unreadable = np.flatnonzero(results.status == FrameStatus.UNREADABLE)
    assert results.index[unreadable].tolist() == ([5, 5] if most is None else [5])
    assert results.n_frames == (60 if most is None else most)


def test_the_only_file_cannot_be_used(cluster, tmp_path):
    path = tmp_path / "x.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n no more")
    with pytest.raises(InputError, match=r"x\.h5: "):
        run_on(cluster, [Source(str(path))], tmp_path / "out.h5")
    with pytest.raises(NothingProcessed):
        run_on(cluster, [Source(str(path)), Source(str(tmp_path / "none.h5"))], tmp_path / "out.h5")
