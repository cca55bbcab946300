"""A short soak: memory and open files of a run do not grow with its frames. `make soak` is the long one."""

import numpy as np

from bench.soak import soak


def test_memory_and_open_files_do_not_grow(tmp_path, monkeypatch):
    # Many shards and a join in a child, as in a long run.
    monkeypatch.setattr("ffbidx_core.pipeline.SHARD_FRAMES", 2048)
    monkeypatch.setattr("ffbidx_core.write.join.IN_MEMORY", 2**16)
    found = soak(tmp_path, 60_000, 6, batch_size=512)
    assert found.frames == 60_000
    frames, resident = np.array(found.watch.frames), np.array(found.watch.resident)
    # 60,000 frames have 6 MB of results, and 4 MB of spots.
    assert resident[frames > 40_000].max() - resident[(frames > 20_000) & (frames < 40_000)].max() < 2e6
    assert max(found.watch.files) - min(found.watch.files) <= 3
    assert not (tmp_path / "out.h5.parts").exists()
