"""A short soak: memory and open files of a run do not grow with its frames. `make soak` is the long one."""

import json
import subprocess
import sys

import numpy as np

from tests.bench.soak import share_of_the_rest
from tests.helpers.paths import ROOT

SCRIPT = """
import json, sys
from pathlib import Path
from tests.bench.soak import soak
from ffbidx_core.run import collector
from ffbidx_core.write import join
# Many saved parts and a join in a child, as in a long run.
collector.PART_FRAMES, join.IN_MEMORY = 2048, 2**16
found = soak(Path(sys.argv[1]), 60_000, 6, batch_size=512)
watch = found.watch
print(json.dumps([found.frames, watch.frames, watch.resident, sorted(watch.files)]))
"""


def test_memory_and_open_files_do_not_grow(tmp_path):
    # A process of its own: its memory is not what other tests have left of the heap.
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    n_frames, frames, resident, files = json.loads(done.stdout)
    assert n_frames == 60_000
    frames, resident = np.array(frames), np.array(resident)
    # The last look comes after the contest and the join; all others come after a batch.
    steady, end, frames = resident[:-1], resident[-1], frames[:-1]
    # 60,000 frames have 6 MB of results, and 4 MB of spots.
    assert steady[frames > 40_000].max() - steady[(frames > 20_000) & (frames < 40_000)].max() < 2e6
    # The contest reads 48 frames again whatever the run has, and is the first to load machine code of the backend.
    assert end - steady[-1] < 6e6
    # Two of them are the pipes to the child that joins the parts.
    assert max(files) - min(files) <= 5
    assert not (tmp_path / "out.h5.parts").exists()


def test_the_share_of_all_but_the_computation_is_measured(tmp_path):
    """Of a short run, in which its start counts; `make soak` holds the share of a long one."""
    assert 0 < share_of_the_rest(tmp_path, 24, repeats=4) < 0.8
