"""ffbidx table: shows the crystals of a results file, as text or in a format for other programs."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import click

from ffbidx_cli.options import FRAMES, RESULTS, as_typed, debug_option
from ffbidx_core.nouns import counted

if TYPE_CHECKING:
    from ffbidx_core.model.records.results import Results


@click.command("table")
@click.argument("results", metavar="RESULTS", type=RESULTS)
@click.option("--max-rows", type=FRAMES, metavar="N", help="Show the first N lines only.")
@click.option("--frames", is_flag=True, help="Show a line for each frame, with the reason why it has no crystal.")
@click.option("--failed", is_flag=True, help="Show a line for each frame without a crystal, with the reason.")
@click.option(
    "--format",
    "wanted",
    type=click.Choice(["text", "csv", "json"]),
    default="text",
    show_default=True,
    help="text is for reading; csv and json have every column, and full names of frames.",
)
@debug_option
def command(results: str, max_rows: int | None, frames: bool, failed: bool, wanted: str) -> None:
    """Show the crystals of a results file, or its frames, one per line.

    Standard output has the table only; the number of lines goes to standard error.
    """
    from ffbidx_cli.columns import print_columns
    from ffbidx_cli.console import data_console, working, write_data
    from ffbidx_cli.tables import chosen_frames, crystal_columns, frame_columns, json_of
    from ffbidx_core import read_results
    from ffbidx_core.write.formats.csv import csv_of

    with working("reading the results"):
        found = read_results(results)
    by_frame = frames or failed
    if wanted == "text":
        columns = frame_columns(found, max_rows, failed=failed) if by_frame else crystal_columns(found, max_rows)
        print_columns(data_console(), columns)
    else:
        records = _records(found, max_rows, by_frame, failed)
        write_data(json_of(records) if wanted == "json" else b"".join(csv_of([records])))
    n_rows = len(chosen_frames(found, failed)) if by_frame else len(found.crystals)
    hidden = 0 if max_rows is None else n_rows - max_rows
    more = f", {counted(hidden, 'more frame') + ' ' if by_frame else f'{hidden} more '}not shown" if hidden > 0 else ""
    click.echo(f"{counted(len(found.crystals), 'crystal')} on {counted(found.n_frames, 'frame')}{more}", err=True)
    if not found.complete and as_typed(results) == results:
        click.echo("The run was stopped before its end.", err=True)


def _records(found: Results, most: int | None, by_frame: bool, failed: bool) -> dict[str, list[Any]]:
    """The columns of the requested rows, by their names."""
    from ffbidx_cli.tables import chosen_frames, frame_records
    from ffbidx_core.write.formats.columns import crystal_records

    if by_frame:
        return frame_records(found, chosen_frames(found, failed)[:most])
    records = crystal_records(found)
    return {name: list(itertools.islice(values, most)) for name, values in records.items()}
