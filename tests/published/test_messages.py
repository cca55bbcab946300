"""What the indexer logs, and the environment variable that sets the level."""

import logging
import os
import subprocess
import sys

import pytest

from tests.helpers.frames import CELL, frame, published_cells, published_spots


@pytest.fixture
def logger():
    logger = logging.getLogger("ffbidx")
    level, handlers = logger.level, list(logger.handlers)
    yield logger
    logger.setLevel(level)
    logger.handlers[:] = handlers


def test_the_log_level_is_read_when_the_indexer_is_used(indexer, logger, monkeypatch, caplog):
    _, rows = frame()
    arrays = published_spots(rows * 10), published_cells(CELL)
    for level, n_messages in (("error", 0), ("warn", 1), ("FATAL", 0), ("debug", 1)):
        caplog.clear()
        monkeypatch.setenv("INDEXER_LOG_LEVEL", level)
        indexer.run(*arrays, num_halfsphere_points=64)
        assert len(caplog.records) == n_messages
    monkeypatch.setenv("INDEXER_LOG_LEVEL", "loud")
    with pytest.raises(ValueError, match="INDEXER_LOG_LEVEL = 'loud' is out of range: one of fatal, error, warn"):
        indexer.run(*arrays, num_halfsphere_points=64)


def test_messages_reach_standard_error_where_nobody_set_up_logging():
    code = "import ffbidx; ffbidx.Indexer(backend='reference')"
    for level, said in (("debug", True), ("info", False)):
        environment = {**os.environ, "INDEXER_LOG_LEVEL": level}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == ""
        assert ("indexer on" in done.stderr) is said


def test_what_looks_like_nanometres_is_said(indexer, caplog):
    _, rows = frame()
    indexer.run(published_spots(rows), published_cells(CELL), num_halfsphere_points=64)
    assert not caplog.records
    indexer.run(published_spots(rows), published_cells(CELL / 10, CELL), num_halfsphere_points=64)
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "input cell 0 has" in caplog.text
    assert "nanometres" in caplog.text
    caplog.clear()
    indexer.run(published_spots(rows * 10), published_cells(CELL), num_halfsphere_points=64)
    assert "beyond 2/angstrom" in caplog.text
