"""The join of the saved parts that begins before the run has ended."""

import pytest

from ffbidx_core import read_results
from ffbidx_core.errors import BackendUnavailable
from ffbidx_core.run import pipeline
from ffbidx_core.write import PartsStore, join
from tests.helpers.runs.faults import assert_same, run


@pytest.fixture(autouse=True)
def in_child(monkeypatch):
    monkeypatch.setattr(join, "IN_MEMORY", 0)


@pytest.fixture
def begun(monkeypatch):
    """The children that were started ahead."""
    children = []
    join_ahead = PartsStore.join_ahead

    def noted(store):
        join_ahead(store)
        children.append(store._ahead)

    monkeypatch.setattr(PartsStore, "join_ahead", noted)
    return children


def test_a_join_that_begins_ahead_gives_the_same_file(sources, tmp_path, begun, monkeypatch):
    run(sources, tmp_path / "ahead.h5")
    assert [child is not None for child in begun] == [True]
    monkeypatch.setattr(PartsStore, "join_ahead", lambda store: None)
    run(sources, tmp_path / "behind.h5")
    assert_same(read_results(tmp_path / "ahead.h5"), read_results(tmp_path / "behind.h5"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ahead.h5", "behind.h5"]


def test_a_run_that_fails_meanwhile_ends_the_child_and_keeps_the_parts(sources, tmp_path, begun, monkeypatch):
    def fails(*arguments):
        raise BackendUnavailable("the device is gone")

    output = tmp_path / "x.h5"
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "judged", fails)
        with pytest.raises(BackendUnavailable, match="gone"):
            run(sources, output)
    (child,) = begun
    assert child._child.returncode is not None
    assert not list((tmp_path / "x.h5.parts").glob("joined*"))
    run(sources, output, resume=True)
    run(sources, tmp_path / "wanted.h5")
    assert_same(read_results(output), read_results(tmp_path / "wanted.h5"))
