"""An indexer gives the GPU's memory back: by `del`, at the end of `with`, and when an exception leaves it."""

import gc

import numpy as np
import pytest

import ffbidx
from tests.helpers.frames import CELL, QUICK, frames_of

LEFT = 16 << 20
"""Bytes that CUDA itself may keep for what ran before."""


@pytest.fixture(params=["published", "best"])
def preset(request):
    return request.param


@pytest.fixture
def free(gpu, preset):
    """Free memory of the GPU, once context and kernels are there."""
    import cupy

    with ffbidx.Indexer(backend="cuda", preset=preset) as indexer:
        work(indexer)
    gc.collect()
    cupy.get_default_memory_pool().free_all_blocks()
    return lambda: cupy.cuda.runtime.memGetInfo()[0]


def work(indexer):
    rows, offsets, _ = frames_of(4)
    rows, counts = np.tile(rows, (1000, 1)), np.tile(np.diff(offsets), 1000)
    indexer.run_batch(rows, np.concatenate([[0], np.cumsum(counts)]), CELL[None], **QUICK)


def test_del_gives_it_back(free, preset):
    before = free()
    indexer = ffbidx.Indexer(backend="cuda", preset=preset)
    work(indexer)
    assert free() < before - LEFT
    del indexer
    assert free() >= before - LEFT


def test_with_gives_it_back(free, preset):
    before = free()
    with ffbidx.Indexer(backend="cuda", preset=preset) as indexer:
        work(indexer)
        assert free() < before - LEFT
    assert free() >= before - LEFT


def test_an_exception_gives_it_back(gpu, free, preset, monkeypatch):
    before = free()
    held = []

    def fail(*arrays):
        held.append(free())
        raise MemoryError("in the middle")

    indexer = ffbidx.Indexer(backend="cuda", preset=preset)
    work(indexer)
    monkeypatch.setattr(type(gpu), "on_host", fail)
    with pytest.raises(MemoryError, match="in the middle") as caught, indexer:
        work(indexer)
    assert held[0] < before - LEFT
    assert caught.value is not None
    assert free() >= before - LEFT
