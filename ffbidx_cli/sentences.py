"""Sentences for users, which a terminal breaks at blanks."""

from __future__ import annotations

import textwrap

from rich.console import Console


def print_sentence(console: Console, sentence: str) -> None:
    """Print a sentence; on a terminal its lines break at blanks, except in the command line of a next step.

    No word is cut, so that names of files and command lines can be copied whole.
    """
    if console.is_terminal and not sentence.startswith("Next: "):
        sentence = textwrap.fill(sentence, console.width, break_long_words=False, break_on_hyphens=False)
    console.print(sentence, soft_wrap=True)
