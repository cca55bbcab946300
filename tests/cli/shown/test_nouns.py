"""Numbers of things in sentences."""

import pytest

from ffbidx_core.nouns import are, counted


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 frames are"), (1, "1 frame is"), (2, "2 frames are"), (1200, "1,200 frames are")]
)
def test_one_thing_is_singular(number, words):
    assert f"{counted(number, 'frame', ',')} {are(number)}" == words


def test_without_a_format_thousands_are_not_separated():
    assert counted(1200, "crystal") == "1200 crystals"
