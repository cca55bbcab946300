"""What the indexer logs, and the environment variable that sets the level."""

import logging
import os
import re
import subprocess
import sys

import pytest

import ffbidx
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
    for level, said in (("info", True), ("error", False)):
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


def test_at_the_default_level_standard_error_stays_empty():
    code = (
        "import numpy as np, ffbidx; x = np.random.default_rng(1).normal(size=(3, 400)) * 3; x[0, 0] = np.nan;"
        "i = ffbidx.Indexer(backend='cpu', num_candidate_vectors=4);"
        "i.run(x, np.diag([1., 2, 3]), num_halfsphere_points=64); i.run(x[:, 1:].copy(), np.diag([1., 2, 3]),"
        "num_halfsphere_points=64)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "INDEXER_LOG_LEVEL"}
    for level, lines in (("", 0), ("error", 0), ("warn", 2), ("info", 4)):
        environment |= {"INDEXER_LOG_LEVEL": level} if level else {}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == lines, done.stderr


def test_info_says_which_backend_was_taken_and_why_not_the_gpu(logger, monkeypatch, caplog):
    monkeypatch.setenv("INDEXER_LOG_LEVEL", "info")
    monkeypatch.delenv("INDEXER_GPU_DEVICE", raising=False)
    monkeypatch.setattr("ffbidx_core.backends.cuda.driver.why_no_cuda", lambda: "it is at lunch")
    monkeypatch.setattr("ffbidx_core.published.environment.why_no_cuda", lambda: "it is at lunch")
    ffbidx.Indexer()
    assert re.fullmatch(r"indexer on \d+ threads? \(cpu\), not on a GPU: it is at lunch", caplog.messages[-1])
    ffbidx.Indexer(backend="cpu")
    assert "not on a GPU" not in caplog.messages[-1]


def test_a_gpu_that_the_environment_names_is_never_replaced_by_the_cpu(monkeypatch):
    monkeypatch.setattr("ffbidx_core.backends.cuda.driver.why_no_cuda", lambda: "it is at lunch")
    monkeypatch.setattr("ffbidx_core.backends.cuda.driver.gpu_count", lambda: (0, "it is at lunch"))
    monkeypatch.setenv("INDEXER_GPU_DEVICE", "0")
    with pytest.raises(RuntimeError, match="it is at lunch"):
        ffbidx.Indexer()
    with pytest.raises(RuntimeError, match=r"cannot compute here: .*it is at lunch"):
        ffbidx.runtime_check()
    ffbidx.Indexer(backend="cpu")
    monkeypatch.setenv("INDEXER_GPU_DEVICE", "")
    ffbidx.Indexer()
