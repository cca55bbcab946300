"""The doctor finds the GPU in order."""

import pytest

from ffbidx_core.backends.cuda.driver import gpu_count
from ffbidx_core.doctor import State, examine


@pytest.mark.usefixtures("gpu")
def test_the_gpu_is_in_order(monkeypatch):
    monkeypatch.delenv("INDEXER_GPU_DEVICE", raising=False)
    findings = {finding.what: finding for finding in examine("cuda")}
    n = gpu_count()[0]
    gpus = [what for i in range(n) for what in (f"GPU {i}", f"backend cuda, GPU {i}")]
    for what in ("NVIDIA driver", "CuPy", *gpus):
        assert findings[what].state is State.OK, findings[what]
    assert findings["GPU 0"].data["free_memory"] > 0
    assert findings["backend cuda, GPU 0"].data["right"] == findings["backend cuda, GPU 0"].data["crystals"]
