"""Tables lose no digit, however narrow the terminal."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffbidx_cli.columns import Column, shortened, table_lines
from ffbidx_cli.console import progress_line
from ffbidx_core.run.summary import Progress

NUMBERS = st.integers(-(10**8), 10**8).map(str)


@given(
    names=st.lists(st.text("abc/.é漢", min_size=1, max_size=60), min_size=1, max_size=4),
    data=st.data(),
    n_columns=st.integers(1, 12),
    width=st.integers(30, 130),
)
def test_every_number_is_whole_and_every_line_fits(names, data, n_columns, width):
    rows = [data.draw(st.lists(NUMBERS, min_size=n_columns, max_size=n_columns)) for _ in names]
    columns = [Column("name", names, is_name=True)]
    columns += [Column(f"n{k}", values) for k, values in enumerate(zip(*rows, strict=True))]
    lines = [line for line, _ in table_lines(columns, width)]
    assert max(map(len, lines)) <= width
    found = [word for line in lines for word in line.split()]
    for number in (number for row in rows for number in row):
        assert number in found


def test_without_a_limit_each_row_is_a_line():
    columns = [Column("name", ["x" * 300], is_name=True), Column("n", ["1"])]
    assert [line for line, _ in table_lines(columns, None)] == ["name" + " " * 296 + "  n", "x" * 300 + "  1"]


def test_names_keep_their_end():
    assert shortened("run/of/today.h5//17", 12) == "…oday.h5//17"
    assert shortened("a.h5//1", 12) == "a.h5//1"


EVENT = Progress(123_456, 120_000, 130_000, 1_000_000, 600.0, to_compute=0.5, to_write=0.2)


@pytest.mark.parametrize("width", range(20, 140, 5))
def test_progress_leaves_out_what_matters_least(width):
    line = progress_line(EVENT, 210.0, 0.95, width)
    parts = [
        "123456/1000000 frames", "97.2% indexed", "210.0 frames/s", "1:11:00 left", "(mean 205.8)",
        "(95.0% in the last minute)", "130000 crystals", "queues: read 50%, write 20% full",
    ]  # fmt: skip
    shown = [part in line for part in parts]
    assert shown == sorted(shown, reverse=True)
    assert len(line) <= max(width, len(parts[0]))
    assert not re.search(r", ,|,$", line)
