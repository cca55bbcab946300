"""One indexer for the tests that need nothing special of it."""

import pytest

import ffbidx


@pytest.fixture(scope="session")
def indexer():
    return ffbidx.Indexer(backend="cpu", max_input_cells=2)
