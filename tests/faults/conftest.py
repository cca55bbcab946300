"""Inputs of the runs that are made to fail, and of those that follow."""

import pytest

from tests.helpers.calls import write_spots
from tests.helpers.growing import Writer
from tests.helpers.runs.faults import make_inputs
from tests.helpers.runs.follow import FRAMES
from tests.helpers.script import Clock


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def clock(monkeypatch):
    return Clock.install(monkeypatch)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The files as they are in the end."""
    folder = tmp_path_factory.mktemp("finished")
    write_spots(folder / "a.h5", FRAMES[:4])
    write_spots(folder / "b.h5", FRAMES[4:])
    return folder


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """An empty directory that is followed; names are relative, so that they do not differ from run to run."""
    (tmp_path / "inputs").mkdir()
    monkeypatch.chdir(tmp_path / "inputs")
    return tmp_path / "inputs"


@pytest.fixture
def writers():
    made = []

    def make(path):
        made.append(Writer(path))
        return made[-1].native()

    yield make
    for writer in made:
        writer.end()
