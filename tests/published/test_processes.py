"""Indexers in child processes: forked ones, spawned ones, and threads of a forked one."""

import multiprocessing
import os

import numpy as np
import pytest

import ffbidx
from tests.helpers.frames import CELL, QUICK, frames_of

SECONDS = 60
ROWS, OFFSETS, _ = frames_of(12)
"""More frames than one thread takes by itself."""


def index_all(indexer):
    return indexer.run_batch(ROWS, OFFSETS, CELL[None], **QUICK).cells


def answer(pipe, indexer):
    """In the child: the cells of the batch, or the error."""
    try:
        pipe.send(index_all(indexer or ffbidx.Indexer(backend="cpu")))
    except Exception as error:
        pipe.send(error)


def from_child(method, indexer):
    context = multiprocessing.get_context(method)
    mine, its = context.Pipe()
    child = context.Process(target=answer, args=(its, indexer))
    child.start()
    try:
        assert mine.poll(SECONDS), f"the child hangs ({method})"
        return mine.recv()
    finally:
        child.kill()
        child.join()


@pytest.fixture
def used(monkeypatch):
    """An indexer of two threads that has indexed a batch."""
    monkeypatch.setattr("ffbidx_core.backends.cpu.threads.available_threads", lambda: 2)
    indexer = ffbidx.Indexer(backend="cpu")
    return indexer, index_all(indexer)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_an_indexer_that_has_run_works_in_a_forked_child_and_goes_on_in_the_parent(used):
    indexer, expected = used
    np.testing.assert_array_equal(from_child("fork", indexer), expected)
    np.testing.assert_array_equal(index_all(indexer), expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_may_make_its_own_indexer(used):
    _, expected = used
    np.testing.assert_array_equal(from_child("fork", None), expected)


def test_a_spawned_child_gets_the_same_cells(used):
    _, expected = used
    np.testing.assert_array_equal(from_child("spawn", None), expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_gpu_of_the_parent_is_refused_in_a_forked_child(used):
    indexer, _ = used

    class Elsewhere:
        """A backend whose arrays are not in host memory."""

        xp = object()

    indexer._engine._backend = Elsewhere()
    error = from_child("fork", indexer)
    assert isinstance(error, RuntimeError)
    assert "before the process forked" in str(error)
    assert "spawn" in str(error)
