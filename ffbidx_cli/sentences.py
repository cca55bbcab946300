"""Sentences for users, which a terminal breaks at blanks."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from rich.console import Console

from ffbidx_core.model.records.frame import FrameStatus

OF_FRAMES = {FrameStatus.BAD_SPOTS: "with bad spots"}
"""How frames of a status are counted, where that differs from the words of the status."""


def print_sentence(console: Console, sentence: str) -> None:
    """Print a sentence; on a terminal its lines break at blanks, except in the command line of a next step.

    No word is cut, so that names of files and command lines can be copied whole.
    """
    if console.is_terminal and not sentence.startswith("Next: "):
        sentence = textwrap.fill(sentence, console.width, break_long_words=False, break_on_hyphens=False)
    console.print(sentence, soft_wrap=True)


def frames_not_indexed(status: Mapping[str, int]) -> str:
    """Numbers of frames without a crystal, by their status: `20 not indexed, 1 with bad spots`; empty if all have one.

    Parameters
    ----------
    status
        Number of frames, keyed by the name of their status.
    """
    others = [(FrameStatus[name.upper()], n) for name, n in status.items() if n]
    return ", ".join(f"{n} {OF_FRAMES.get(s, s.words)}" for s, n in others if s != FrameStatus.INDEXED)
