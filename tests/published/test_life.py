"""The life of an indexer: with, del, threads."""

import gc
import threading
import weakref

import numpy as np
import pytest

import ffbidx
from tests.helpers.frames import CELL, QUICK, frame, frames_of, published_cells, published_spots


def test_with_closes_the_indexer():
    _, rows = frame()
    with ffbidx.Indexer(backend="cpu") as indexer:
        indexer.run(published_spots(rows), published_cells(CELL), **QUICK)
    with pytest.raises(RuntimeError, match="closed"):
        indexer.run(published_spots(rows), published_cells(CELL))


def test_del_releases_the_indexer_at_once():
    _, rows = frame()
    gc.disable()
    try:
        indexer = ffbidx.Indexer(backend="cpu")
        indexer.run(published_spots(rows), published_cells(CELL), **QUICK)
        gone = weakref.ref(indexer), weakref.ref(indexer._engine)
        del indexer
        assert [reference() for reference in gone] == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("shared", [False, True])
def test_threads_get_what_one_thread_gets(shared):
    *_, pieces = frames_of(4)
    indexers = [ffbidx.Indexer(backend="cpu")] * 4 if shared else [ffbidx.Indexer(backend="cpu") for _ in pieces]
    cells = [CELL * (1 + 0.001 * i) for i in range(4)]
    expected = [
        indexer.run(published_spots(piece), published_cells(cell), **QUICK)
        for indexer, piece, cell in zip(indexers, pieces, cells, strict=True)
    ]
    got = [[] for _ in pieces]
    start = threading.Barrier(4)

    def work(i):
        start.wait()
        for _ in range(3):
            got[i].append(indexers[i].run(published_spots(pieces[i]), published_cells(cells[i]), **QUICK))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for (wanted_cells, wanted_scores), results in zip(expected, got, strict=True):
        assert len(results) == 3
        for found_cells, found_scores in results:
            np.testing.assert_array_equal(found_cells, wanted_cells)
            np.testing.assert_array_equal(found_scores, wanted_scores)
