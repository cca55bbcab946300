"""Stand-ins for programs that call `import ffbidx`: their calls, their layouts, and the errors that they expect.

DIALS itself is tried where it is installed.
"""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import ffbidx
from ffbidx_core.model.cell import symmetry_operators
from ffbidx_core.model.orientation import misorientation
from tests.helpers.frames import CELL, OPERATORS, frame
from tests.helpers.published.clients import AS_DIALS_CALLS, crystals_as_dials_finds_them

SEEDS = range(3)


class FeedbackService:
    """The indexer of the fast feedback service: made without the cell, which comes with the first request."""

    def __init__(self):
        import ffbidx

        self.indexer = ffbidx.Indexer(
            max_output_cells=32, max_spots=300, num_candidate_vectors=32, redundant_computations=True
        )
        self.cell = None

    def index(self, rlp):
        rlp = np.array(rlp, dtype="float32").reshape(-1, 3).transpose().copy()
        cells, scores = self.indexer.run(rlp, self.cell, **AS_DIALS_CALLS)
        indices = self.indexer.crystals(cells, rlp, scores, threshold=0.00075, min_spots=8, method="ifssr")
        if indices is None:
            return np.array([], dtype="float64")
        found = np.array([], dtype="float64")
        for i in indices:
            found = np.concatenate((found, cells[:, 3 * i], cells[:, 3 * i + 1], cells[:, 3 * i + 2]), axis=None)
        return found


def as_a_notebook_does(spots, cell):
    """PSI's way from Fortran order and by position, the best cell by its score."""
    indexer = ffbidx.Indexer(32, 1, 300, 32, True)
    columns = np.asfortranarray(spots.astype("float32"))
    inputs = np.asfortranarray(cell.astype("float32"))
    cells, scores = indexer.run(columns, inputs, "ifssr", 1e-9, 0.001, 0.3, 0.1, 0.1, 0.15, 6, 4096, 0, 32, 0.8)
    best = int(np.argmin(scores))
    del indexer
    return cells[:, 3 * best : 3 * best + 3].T


@pytest.fixture(params=["", "best"])
def preset(request, monkeypatch):
    """The environment of the client."""
    monkeypatch.setenv("FFBIDX_PRESET", request.param)
    monkeypatch.delenv("INDEXER_GPU_DEVICE", raising=False)
    return request.param


@pytest.mark.parametrize("seed", SEEDS)
def test_dials_strategy(preset, seed):
    oriented, rows = frame(seed)
    crystals = crystals_as_dials_finds_them(rows, CELL)
    assert len(crystals) == 1
    assert misorientation(crystals[0], oriented, OPERATORS) < 0.2
    noise = np.random.default_rng(seed).uniform(-0.3, 0.3, (12, 3))
    assert len(crystals_as_dials_finds_them(noise, CELL)) == 0


def test_the_service_asks_frame_after_frame(preset):
    service = FeedbackService()
    service.cell = np.reshape(np.array(CELL.T.ravel(), dtype="float32"), (3, 3))
    for seed in SEEDS:
        oriented, rows = frame(seed)
        found = service.index(rows.ravel().tolist())
        assert found.shape == (9,)
        assert misorientation(found.reshape(3, 3), oriented, OPERATORS) < 0.2
    assert service.index(rows[:3].ravel().tolist()).size == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_notebook_with_fortran_order_and_options_by_position(preset, seed):
    oriented, rows = frame(seed)
    assert misorientation(as_a_notebook_does(rows, CELL), oriented, OPERATORS) < 0.2


def test_a_client_in_a_process_of_its_own_hears_nothing(preset):
    code = """
        import numpy as np
        try:
            import ffbidx
            ffbidx.Indexer()
            ffbidx.runtime_check()
        except RuntimeError:
            raise SystemExit("not functional")
        rng = np.random.default_rng(1)
        spots = rng.uniform(-3, 3, (3, 400)).astype("float32")
        with ffbidx.Indexer(max_spots=300) as indexer:
            cells, scores = indexer.run(spots, 40 * np.eye(3, dtype="float32"), num_halfsphere_points=256)
            indexer.crystals(cells, spots, scores)
        handle = ffbidx.indexer(32, 1, 300, 32, True)
        ffbidx.index(handle, spots, 40 * np.eye(3, dtype="float32"), num_halfsphere_points=256)
        ffbidx.release(handle)
        print("done")
    """
    environment = {name: value for name, value in os.environ.items() if name != "INDEXER_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_clients_can_say_why_an_indexer_cannot_be_made(monkeypatch):
    """They catch RuntimeError, and ValueError for what was given."""
    monkeypatch.setattr("ffbidx_core.backends.cuda.driver.gpu_count", lambda: (0, "no driver"))
    monkeypatch.setenv("INDEXER_GPU_DEVICE", "1")
    with pytest.raises(RuntimeError, match="no driver"):
        FeedbackService()
    monkeypatch.delenv("INDEXER_GPU_DEVICE")
    service = FeedbackService()
    _, rows = frame()
    with pytest.raises(ValueError, match="input_cells: given a NoneType"):
        service.index(rows)
    with pytest.raises(ValueError, match="max_spots"):
        ffbidx.Indexer(max_spots=0)
    service.cell = np.zeros((3, 3), dtype="float32")
    with pytest.raises(ValueError, match="cell"):
        service.index(rows)


def test_dials_itself():
    """Debian's DIALS has no strategy `ffbidx`; its models take what the calls of that strategy give."""
    pytest.importorskip("dxtbx")
    from cctbx.sgtbx import space_group
    from dxtbx.model import Crystal

    oriented, rows = frame()
    a, b, c = crystals_as_dials_finds_them(rows, CELL)[0]
    crystal = Crystal(a.tolist(), b.tolist(), c.tolist(), space_group=space_group("P1"))
    direct = np.linalg.inv(np.array(crystal.get_A()).reshape(3, 3))
    assert misorientation(direct, oriented, symmetry_operators(CELL, 1e-3)) < 0.2
