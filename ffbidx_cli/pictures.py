"""Names of picture files, and a short report for the terminal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich.table import Table

from ffbidx_cli.console import data_console
from ffbidx_cli.sentences import print_sentence

if TYPE_CHECKING:
    from ffbidx_core.report.report import Report


def stem_of(results: str) -> str:
    """The stem of the picture names of a results file: `run` for `run.ffbidx.h5`."""
    return os.path.splitext(os.path.basename(results))[0].removesuffix(".ffbidx") or "results"


def show_report(report: Report) -> None:
    """Print the next step, then the facts, cells and remarks of a report."""
    from ffbidx_core.model.cell import PARAMETER_NAMES

    console = data_console()
    step = [sentence for sentence in report.diagnosis[:1] if sentence.startswith("Next: ")]
    for sentence in step:
        print_sentence(console, sentence)
    facts = Table.grid(padding=(0, 2))
    for name, value in report.facts:
        facts.add_row(name, value)
    console.print(facts)
    for row, lines in report.cells.items():
        table = Table(box=None, title=f"Input cell {row}", title_justify="left", pad_edge=False)
        table.add_column("")
        for name in PARAMETER_NAMES:
            table.add_column(name, justify="right")
        for line in lines:
            table.add_row(line.what, *(f"{value:.3f}" for value in line.values))
        console.print(table)
    for sentence in [*report.remarks, *report.diagnosis[len(step) :]]:
        print_sentence(console, sentence)
