"""A run whose disk is slow for a while."""

import threading

import numpy as np

from ffbidx_core.parameters import Parameters
from ffbidx_core.read import Source
from ffbidx_core.run.job import Job
from ffbidx_core.run.pipeline import index
from ffbidx_core.write.stores import MemoryStore
from tests.helpers.calls import write_spots
from tests.helpers.frames import CELL, frame

N = 12
QUICK = Parameters.preset("best", num_halfsphere_points=4096, learn_cell=0, judge_frames=0)


def test_the_computation_goes_on_some_batches_ahead_of_the_disk(tmp_path):
    path = write_spots(tmp_path / "x.h5", [frame(seed, 70, CELL)[1] for seed in range(N)])
    go_on, counts = threading.Event(), []

    class Slow(MemoryStore):
        keeps_all = False

        def save(self, results, mark, complete=None):
            assert go_on.wait(20), "no further batch was computed"
            super().save(results, mark, complete)

    def seen(progress):
        counts.append(progress.frames)
        if len(counts) == 8:
            go_on.set()

    job = Job([Source(str(path))], QUICK, cells=CELL[None], backend="cpu", batch_size=1, save_seconds=0)
    outcome = index(job, store=Slow(), progress=seen)
    assert counts == list(range(1, N + 1))
    assert np.concatenate([piece.index for piece in outcome.pieces()]).tolist() == list(range(N))
