"""Names and kinds of picture files, and a short report for the terminal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ffbidx_cli.columns import cell_table, print_facts
from ffbidx_cli.console import data_console
from ffbidx_cli.sentences import print_sentence
from ffbidx_cli.tables import numbers

if TYPE_CHECKING:
    from ffbidx_core.report.report import Report

KINDS = {".png": "png", ".svg": "svg"}
"""The kind of a picture file for each suffix of its name."""


def kind_of_picture(path: str, option: str) -> str:
    """The kind of a picture file, `png` or `svg`, by the suffix of its name.

    Parameters
    ----------
    path
        The name of the file.
    option
        The option with which it is given.

    Raises
    ------
    UsageError
        If it is the name of no such file.
    """
    from ffbidx_core.errors import UsageError

    kind = KINDS.get(os.path.splitext(path)[1].lower())
    if kind is None:
        raise UsageError(f"{option} {path}: a picture ends in {' or '.join(KINDS)}")
    return kind


def stem_of(results: str) -> str:
    """The stem of the picture names of a results file: `run` for `run.ffbidx.h5`."""
    return os.path.splitext(os.path.basename(results))[0].removesuffix(".ffbidx") or "results"


def show_report(report: Report) -> None:
    """Print the next step, then the facts, cells and remarks of a report."""
    console = data_console()
    step = [sentence for sentence in report.diagnosis[:1] if sentence.startswith("Next: ")]
    for sentence in step:
        print_sentence(console, sentence)
    print_facts(console, report.facts)
    for row, lines in report.cells.items():
        table = cell_table(row)
        for line in lines:
            table.add_row(line.what, *numbers(line.values, 3))
        console.print(table)
    for sentence in [*report.remarks, *report.diagnosis[len(step) :]]:
        print_sentence(console, sentence)
