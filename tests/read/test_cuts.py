"""Stretches of the input that follow each other are the input."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffbidx_core.model.records.frame import Place
from ffbidx_core.read import Source, read_blocks
from ffbidx_core.read.spans import Cutter
from tests.helpers.runs.faults import make_inputs


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("inputs"))


def rows(sources, **options):
    """File and frame of each row, and the places behind them."""
    found = list(read_blocks(sources, frames_per_block=3, **options))
    names = [name for block in found for name in zip(block.sources, block.indices.tolist(), strict=True)]
    return names, [Place(*place) for block in found for place in block.places.tolist()]


def cuts(sources, sizes, **options):
    cutter = Cutter(sources, **options)
    number = 0
    while cut := cutter.cut(sizes[number % len(sizes)]):
        number += 1
        yield cut


@settings(max_examples=150)
@given(
    every=st.integers(1, 4),
    most=st.none() | st.integers(1, 14),
    data=st.data(),
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4),
)
def test_every_row_is_in_one_cut(sources, every, most, data, sizes):
    one = Source(sources[0].path, 2)
    listed = data.draw(st.lists(st.sampled_from([*sources, one]), min_size=2, max_size=6))
    options = {"every": every, "max_frames": most}
    names, places = rows(listed, **options)
    # From the start, or from a place that another run came to, to the end, or to that of a share.
    begin = data.draw(st.integers(0, len(places)))
    start = places[begin - 1] if begin else Place()
    end = data.draw(st.none() | st.integers(start.position, start.position + 12))
    joined, ends = [], [start]
    for cut in cuts(listed, sizes, start=start, end=end, **options):
        part, behind = rows(listed, start=cut.start, end=cut.end, **options)
        readable = [place for name, place in zip(part, behind, strict=True) if name[1] >= 0]
        assert len(readable) == cut.n_frames
        assert cut.last == (readable[-1] if readable else cut.start)
        assert cut.start == ends[-1]
        joined += part
        ends.append(cut.last)
    if end is None:
        assert joined == names[begin:]
    else:
        assert joined == rows(listed, start=start, end=end, **options)[0]


def test_files_are_opened_as_cuts_come_to_them(sources, monkeypatch):
    opened = []
    original = Cutter.__init__.__globals__["open_spots"]
    monkeypatch.setitem(
        Cutter.__init__.__globals__, "open_spots", lambda path, *more: opened.append(path) or original(path, *more)
    )
    found = cuts(sources, [2], start=Place())
    assert next(found).n_frames == 2
    assert opened == [sources[0].path]
    list(found)
    assert opened == [source.path for source in sources]
