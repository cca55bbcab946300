"""Screens of 60, 80 and 120 columns are those that were looked at; `python -m tests.cli.shown.screens` makes them."""

import pytest

from tests.cli.shown.screens import FOLDER, PROGRAMS, WIDTHS, screen


@pytest.mark.parametrize("width", WIDTHS)
def test_each_screen_is_as_it_was_looked_at(width, tmp_path):
    kept = (FOLDER / f"{width}.txt").read_text()
    shown = "".join(f"--- {name}\n{screen(name, width, str(tmp_path))}" for name in PROGRAMS)
    assert shown == kept


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal(width):
    for part in (FOLDER / f"{width}.txt").read_text().split("--- ")[1:]:
        name, _, text = part.partition("\n")
        # Sentences and names of files wrap where the terminal ends, so that they can be copied whole.
        if name not in ("summary", "inspect", "diagnose"):
            assert max(map(len, text.splitlines())) <= width, name
