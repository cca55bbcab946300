"""A run that is replayed at 2000 frames a second on a GPU."""

import numpy as np
import pytest

import ffbidx_core
from ffbidx_core.backends.cuda.driver import why_no_cuda
from ffbidx_core.parameters import Parameters
from ffbidx_core.simulate import Scenario, simulate, write_frames

pytestmark = pytest.mark.skipif(bool(why_no_cuda()), reason=why_no_cuda() or "there is a GPU")

CELL = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0)
N = 3000


def test_a_run_replayed_at_2_khz_is_indexed_as_index_indexes_the_file(tmp_path):
    pytest.importorskip("zmq")
    pytest.importorskip("cbor2")
    from ffbidx_core.live.replay import replay
    from tests.helpers.live.server import serving

    path, output = str(tmp_path / "spots.h5"), str(tmp_path / "live.h5")
    write_frames(path, simulate(Scenario(cells=(CELL,), n_spots=(20, 180), lattices=(0, 2)), N, 3))
    cell = ",".join(map(str, CELL))
    parameters = {"num_halfsphere_points": Parameters().num_halfsphere_points, "learn_cell": 0, "judge_frames": 0}
    with serving(output=output, cells=(cell,), parameters=parameters, backend="cuda", threads=None) as server:
        done = replay(
            [path], server.door.bound["bind"], answers=server.door.bound["publish"], dialect="cbor", rate=2000.0
        )
    assert (done.sent, done.answered, done.dropped, done.errors) == (N, N, 0, 0)
    assert done.as_dict()["frames_per_second"] > 1900
    live = ffbidx_core.read_results(output)
    request = ffbidx_core.RunRequest(path, cell, parameters=parameters, backend="cuda")
    files = ffbidx_core.index(request).results
    assert live.complete
    for name in ("status", "n_spots", "crystal_offsets", "cells", "n_indexed", "rmsd"):
        np.testing.assert_array_equal(getattr(live, name), getattr(files, name))
    assert 0.5 < (live.status == 0).mean() < 1
