"""Makes docs/run.svg, the picture of a run in the README. Run it in the project's root."""

import re
from pathlib import Path

import numpy as np
from rich.console import Console

from ffbidx_cli.columns import print_columns
from ffbidx_cli.console import PLAIN, progress_line, show_summary
from ffbidx_cli.next_step import NextStep
from ffbidx_cli.tables import crystal_columns
from ffbidx_core.parameters import Parameters
from ffbidx_core.read import expand_inputs, read_cell
from ffbidx_core.run.job import Job
from ffbidx_core.run.pipeline import Progress, index

SPOTS, CELL, OUTPUT = "sample_data/lysozyme.h5", "sample_data/lysozyme.cell", "lysozyme.ffbidx.h5"
PICTURE = Path("docs/run.svg")


def main() -> None:
    """Run the steps of the command with a console that records its output."""
    console = Console(record=True, force_terminal=True, width=136, **PLAIN)
    cells = np.stack([read_cell(CELL)])
    job = Job(expand_inputs([SPOTS]), Parameters.preset("best"), cells, backend="cpu", output=OUTPUT)
    index(job)  # once unrecorded, as the first run compiles
    events: list[Progress] = []
    outcome = index(job, progress=events.append)
    console.print(f"$ ffbidx index {SPOTS} --cell {CELL}", style="bold")
    console.print(f"━━━━━━━━━━━━━━━━━━━━━━━━ {progress_line(events[-2])}", style="cyan")
    show_summary(console, outcome.summary, NextStep(f"ffbidx report {OUTPUT}", ""))
    console.print(f"\n$ ffbidx table {OUTPUT} --max-rows 10", style="bold")
    print_columns(console, crystal_columns(outcome.results(), 10))
    # The viewer's own fixed-width font: a picture must not fetch anything.
    svg = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="ffbidx", unique_id="run"), flags=re.DOTALL)
    PICTURE.write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE))


if __name__ == "__main__":
    main()
