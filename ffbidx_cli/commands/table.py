"""ffbidx table: the crystals of a results file, for the eye."""

from __future__ import annotations

import click

from ffbidx_cli.options import debug_option


@click.command("table")
@click.argument("results", metavar="RESULTS")
@click.option("--max-rows", type=click.IntRange(min=1), metavar="N", help="Show the first N crystals only.")
@debug_option
def command(results: str, max_rows: int | None) -> None:
    """Show the crystals of a results file, a line each."""
    from ffbidx_cli.console import crystal_table, data_console
    from ffbidx_core import read_results

    found = read_results(results)
    console = data_console()
    console.print(crystal_table(found, max_rows))
    hidden = 0 if max_rows is None else len(found.crystals) - max_rows
    more = f", {hidden} more not shown" if hidden > 0 else ""
    console.print(f"{len(found.crystals)} crystals on {found.n_frames} frames{more}")
    if not found.complete:
        console.print("The run was stopped before its end.")
