"""The counts of a run, and the samples of its crystals' cells."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ffbidx_core.model.records.frame import FrameStatus
from ffbidx_core.model.records.notes import MOST_NOTES
from ffbidx_core.model.records.run import Mark
from ffbidx_core.run import tally


def test_memory_does_not_grow_with_the_number_of_problems():
    counts = tally.Tally()
    words = ["".join(letters) for letters in itertools.product("abcdefghij", repeat=4)]
    noted = sum(counts.note(f"problem {word}") for word in words)
    assert noted == len(counts.notes.kept) == MOST_NOTES
    assert not counts.note("problem aaac")
    shown = counts.summary([], method="", backend="", device="", output="", complete=True).problems
    assert len(shown) == MOST_NOTES + 1
    assert shown.count("problem aaac") == 1
    assert shown[-1] == f"{10_000 - MOST_NOTES} further notes are not shown"


def test_notes_that_differ_by_numbers_are_one_with_a_count():
    counts, mark = tally.Tally(), Mark()
    notes = ["run7.cxi: looks odd", *(f"run.cxi, frame {i}: claims {2 * i} peaks" for i in range(3000)), "another"]
    for note in notes:
        counts.note(note)
        mark.note(note)
    shown = counts.summary([], method="", backend="", device="", output="", complete=True).problems
    assert shown == [notes[0], "run.cxi, frame 0: claims 0 peaks (and 2999 more notes like it)", "another"]
    # The commonest is named first where nothing could be used.
    counts.status[FrameStatus.UNREADABLE] = 3000
    assert counts.why_nothing.endswith("the first problem: run.cxi, frame 0: claims 0 peaks")
    assert list(mark.problems) == [notes[0], *notes[1:4], "another"]


def test_notes_on_many_files_are_one_with_a_count():
    counts = tally.Tally()
    words = ["".join(letters) for letters in itertools.product("abcdefgh", repeat=3)]
    for word in words:
        counts.note(f"many/{word}.txt, line 2: '{word}' is not a number")
    counts.note("many/aaa.txt, line 3: has 2 numbers")
    shown = counts.summary([], method="", backend="", device="", output="", complete=True).problems
    first = f"many/aaa.txt, line 2: 'aaa' is not a number (and {len(words) - 1} more notes like it)"
    assert shown == [first, "many/aaa.txt, line 3: has 2 numbers"]


@settings(max_examples=20)
@given(pieces=st.lists(st.integers(0, 300), max_size=12))
def test_a_sample_holds_every_second_fourth_eighth_row_of_a_long_stream(pieces):
    sample, most = tally.Sample(), tally.LARGEST_SAMPLE
    tally.LARGEST_SAMPLE = 64
    try:
        n = 0
        for piece in pieces:
            sample.add(np.repeat(np.arange(n, n + piece, dtype=float)[:, None], 6, axis=1))
            n += piece
    finally:
        tally.LARGEST_SAMPLE = most
    stride = 1
    while -(-n // stride) > 64:
        stride *= 2
    assert sample.count == n
    median, _ = sample.median_and_spread()
    assert median == (None if n == 0 else [np.median(np.arange(0, n, stride))] * 6)


def test_the_spread_is_a_standard_deviation():
    sample = tally.Sample()
    sample.add(np.random.default_rng(0).normal(50, 0.2, size=(20_000, 6)))
    median, spread = sample.median_and_spread()
    assert np.allclose(median, 50, atol=0.01)
    assert np.allclose(spread, 0.2, rtol=0.03)
