"""ffbidx merge: joins the results of shares, or of several runs, to one file."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ffbidx_cli.options import debug_option, overwrite_option
from ffbidx_core.nouns import counted


@click.command("merge")
@click.argument("results", nargs=-1, required=True, metavar="RESULTS...")
@click.option("-o", "--output", required=True, metavar="FILE", help="Results file to write, .h5 or .hdf5.")
@overwrite_option
@click.option("--allow-gaps", is_flag=True, help="Join the results even if shares are missing or incomplete.")
@debug_option
def command(results: Sequence[str], output: str, overwrite: bool, allow_gaps: bool) -> None:
    """Join results files to one.

    Shares (see `ffbidx index --shard`) are put in the order of the input, results of other runs in the order given.
    Settings and versions must agree; missing and duplicate shares are named.
    """
    from ffbidx_cli.console import working
    from ffbidx_core.errors import UsageError
    from ffbidx_core.read.formats.hdf5.kept import keeps_spots
    from ffbidx_core.write.formats.names import is_hdf5
    from ffbidx_core.write.merge import merge

    if not is_hdf5(output):
        raise UsageError(f"-o {output}: results are joined to .h5 or .hdf5; `ffbidx convert` makes the rest of that")
    with working("joining the results"):
        ending = merge(results, output, overwrite=overwrite, allow_gaps=allow_gaps)
    state = "complete" if ending.complete else "incomplete"
    click.echo(f"{state} results of {counted(len(results), 'file')}: {output}", err=True)
    if n := sum(map(keeps_spots, results)):
        where = "are not taken over: what needs spots reads them from the inputs of the run, which must stay"
        click.echo(f"note: the spots kept in {counted(n, 'file')} {where}", err=True)
