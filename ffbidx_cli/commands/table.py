"""ffbidx table: the crystals of a results file, for the eye."""

from __future__ import annotations

import click

from ffbidx_cli.options import debug_option


@click.command("table")
@click.argument("results", metavar="RESULTS")
@click.option("--max-rows", type=click.IntRange(min=1), metavar="N", help="Show the first N lines only.")
@click.option("--frames", is_flag=True, help="A line for each frame, with the reason why it has no crystal.")
@click.option("--failed", is_flag=True, help="The same, of frames without a crystal only.")
@debug_option
def command(results: str, max_rows: int | None, frames: bool, failed: bool) -> None:
    """Show the crystals of a results file, or its frames, a line each."""
    from ffbidx_cli.console import crystal_table, data_console, frame_table
    from ffbidx_core import read_results
    from ffbidx_core.model.records.frame import FrameStatus

    found = read_results(results)
    console = data_console()
    n_rows = len(found.crystals)
    if frames or failed:
        console.print(frame_table(found, max_rows, failed=failed))
        n_rows = int((found.status != FrameStatus.INDEXED).sum()) if failed else found.n_frames
    else:
        console.print(crystal_table(found, max_rows))
    hidden = 0 if max_rows is None else n_rows - max_rows
    more = f", {hidden} more {'frames ' if frames or failed else ''}not shown" if hidden > 0 else ""
    console.print(f"{len(found.crystals)} crystals on {found.n_frames} frames{more}")
    if not found.complete:
        console.print("The run was stopped before its end.")
