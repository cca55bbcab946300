"""A run never opens an input itself before a child process has opened it: one that hangs does not hold it up."""

import functools

import pytest

import ffbidx_core.read.files.identity as identity_module
import ffbidx_core.read.formats.open as open_module
from ffbidx_core import RunRequest, index
from ffbidx_core.read.files.probe import Prober
from tests.helpers.calls import write_spots
from tests.helpers.frames import CELL, frame
from tests.helpers.runs.hanging import HANGS


def noting(function, names):
    def noted(path, *arguments):
        names.append(path)
        return function(path, *arguments)

    return noted


@pytest.fixture
def opened(monkeypatch):
    """Names of the files that this process opens; files that hang are those with `sleepy` in their names."""
    names = []
    monkeypatch.setattr("ffbidx_core.read.files.probe.Prober", functools.partial(Prober, script=HANGS))
    for module, name in ((open_module, "read_head"), (identity_module, "_digest")):
        monkeypatch.setattr(module, name, noting(getattr(module, name), names))
    return names


@pytest.mark.parametrize(
    "more", [{}, {"beam_shift": (1.0, 0.0)}, {"shard": "2/2"}], ids=["as it is", "shifted", "share"]
)
def test_a_file_that_hangs_is_left_out_unopened(tmp_path, opened, more):
    names = [str(tmp_path / name) for name in ("sleepy.h5", "a.h5", "b.h5")]
    for number, name in enumerate(names):
        write_spots(name, [frame(number)[1]])
    request = RunRequest(
        inputs=names,
        cells=CELL,
        outputs=[tmp_path / "x.h5", tmp_path / "x.csv"],
        backend="cpu",
        open_timeout=1.0,
        parameters={"learn_cell": 1, "num_halfsphere_points": 4096},
        **more,
    )
    found = index(request)
    assert found.summary.indexed == (1 if "shard" in more else 2)
    assert {name.rpartition("/")[2] for name in opened} == {"a.h5", "b.h5"}
    if "shard" not in more:
        assert any("sleepy.h5: cannot be read: it did not open within 1 s" in note for note in found.summary.problems)
