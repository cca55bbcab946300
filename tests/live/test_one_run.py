"""A single run of a live server: its cells, its store and its end, without the server's sockets."""

import contextlib
import re

import numpy as np
import pytest

import ffbidx_core
from ffbidx_core.devices import open_devices
from ffbidx_core.errors import UsageError
from ffbidx_core.live.columns import columns_of
from ffbidx_core.live.door.waiting import PUSHED, Received
from ffbidx_core.live.frames import Placing
from ffbidx_core.live.messages import Control, Frame, MessageError
from ffbidx_core.live.request import ServeRequest
from ffbidx_core.live.runs.book import RunBook
from ffbidx_core.live.runs.job import job_of
from ffbidx_core.live.runs.one_run import OneRun
from ffbidx_core.model.records.doubt import Verdict
from ffbidx_core.simulate import Scenario, simulate
from ffbidx_core.write.parts.under_way import join_so_far
from tests.helpers.calls import MONO
from tests.helpers.live.server import QUICK, SPOTS

CENTRED = "60,70,90,90,90,90,I"


@pytest.fixture(scope="module")
def devices():
    with contextlib.closing(open_devices("cpu", threads=1)) as opened:
        yield opened


def job_for(cell: str, **parameters):
    return job_of(ServeRequest(cells=(cell,), stdin=True, save_every=0, parameters=QUICK | parameters), None)


def begun(job, devices, output) -> OneRun:
    return OneRun(job, devices, "a", output=str(output), overwrite=False, resume=True, learning_devices=None)


def index(run: OneRun, *spots: np.ndarray) -> None:
    received = [Received(Frame("a", k, f"f{k}", spots=each), PUSHED, 0.0) for k, each in enumerate(spots)]
    run.index(columns_of(received), Placing(None), 0)
    run.account_for_answered()


def die(run: OneRun) -> None:
    """End a run as if its process had ended: its part is saved, and the lock is released."""
    run._keeper.finish()
    run._store.close()


@pytest.fixture(scope="module")
def centred_frames():
    scenario = Scenario(cells=((60.0, 70.0, 90.0, 90.0, 90.0, 90.0),), centring="I", n_spots=(60, 60), lattices=(1, 1))
    found = simulate(scenario, 16, 1)
    return [found.spots[i:j].astype(np.float32) for i, j in zip(found.offsets, found.offsets[1:], strict=False)]


def test_frames_before_a_control_message_are_judged_with_the_lattice_of_their_cell(devices, centred_frames, tmp_path):
    job = job_for(MONO, judge_frames=16)
    run = begun(job, devices, tmp_path / "a.h5")
    index(run, np.full((9, 3), np.nan, np.float32))
    run.control(job.changed(Control((CENTRED,))), "a centred cell")
    index(run, *centred_frames)
    run.control(job, "the cell of the beginning")
    index(run, SPOTS[0])
    summary = run.finish(complete=True)
    assert summary.indexed == 17
    assert (summary.verdict, summary.doubt) == (Verdict.CONFIRMED, "")
    # The cell that only a bad frame had at first is numbered when it is searched for.
    assert ffbidx_core.read_results(tmp_path / "a.h5").header.lattices == "oI mPb"


def test_a_cell_that_was_set_before_the_run_was_resumed_keeps_its_lattice(devices, centred_frames, tmp_path):
    output, job = str(tmp_path / "a.h5"), job_for(MONO, judge_frames=16)
    died = begun(job, devices, output)
    died.control(job.changed(Control((CENTRED,))), "a centred cell")
    index(died, *centred_frames)
    die(died)
    # Other commands read the saved parts of a run that has not ended.
    assert join_so_far(output, str(tmp_path / "so_far.h5")) == 16
    assert ffbidx_core.read_results(tmp_path / "so_far.h5").header.lattices == "oI"
    run = begun(job, devices, output)
    index(run, SPOTS[0])
    summary = run.finish(complete=True)
    assert (summary.verdict, summary.doubt) == (Verdict.CONFIRMED, "")
    assert ffbidx_core.read_results(output).header.lattices == "oI mPb"


def test_a_resumed_run_that_gets_no_frames_ends_as_it_was(devices, tmp_path):
    run = begun(job_for(MONO), devices, tmp_path / "a.h5")
    index(run, SPOTS[0])
    run.finish(complete=False)
    assert begun(job_for(MONO), devices, tmp_path / "a.h5").finish(complete=False).frames == 1
    results = ffbidx_core.read_results(tmp_path / "a.h5")
    assert (results.n_frames, results.complete, results.header.lattices) == (1, False, "mPb")


def test_a_run_that_is_refused_leaves_its_saved_parts_to_the_next_one(devices, tmp_path):
    output = tmp_path / "a.h5"
    died = begun(job_for(MONO), devices, output)
    index(died, SPOTS[0])
    die(died)
    with pytest.raises(UsageError, match="min_spots was"):
        begun(job_for(MONO, min_spots=12), devices, output)
    run = begun(job_for(MONO), devices, output)
    index(run, SPOTS[1])
    assert run.finish(complete=True).frames == 2


def test_a_run_whose_name_has_braces_is_refused_again_and_again():
    book, why = RunBook(ServeRequest()), "the run {x} is over"
    book.close("{x}")
    for _ in range(2):
        with pytest.raises(MessageError, match=re.escape(why)):
            book.check("{x}")
        book.close("{x}", why)
