"""`ffbidx geometry`: where the panels of a detector are, by the crystals of a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from ffbidx_cli import options as shared

if TYPE_CHECKING:
    from ffbidx_core.panels.words import PanelRow


@click.command("geometry")
@click.argument("results", metavar="RESULTS")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Geometry file to write, of the kind that the run had: .geom or .expt. Without it nothing is written.",
)
@click.option(
    "-g",
    "--geometry",
    metavar="FILE",
    help="The file in which panels are moved, which the run had.  [default: what the results or the inputs keep of it]",
)
@click.option(
    "--try/--no-try",
    "tries",
    default=True,
    show_default=True,
    help="Index frames again with moved panels, and go on until nothing gains; without it there is one round.",
)
@click.option("--millepede", metavar="FILE", help="Write residuals and derivatives for Millepede's pede, too (.bin).")
@click.option("--png", metavar="FILE", help="Draw the panels' motions, and residuals before and after.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@shared.where_options
@shared.debug_option
def command(
    results: str,
    output: str | None,
    geometry: str | None,
    tries: bool,
    millepede: str | None,
    png: str | None,
    as_json: bool,
    overwrite: bool,
    backend: str,
    device: str | None,
    threads: int | None,
) -> int:
    """Refine where the panels of a detector are, by the crystals of a run, and write the geometry file.

    Panels, and the rigid groups that the file names, are moved only where crystals that were not fitted agree clearly
    better with that; else nothing is written, and the exit status is 5. All in the file but the changed numbers stays
    as it is.
    """
    from contextlib import closing, nullcontext

    from ffbidx_core.devices import open_devices
    from ffbidx_core.errors import NothingProcessed
    from ffbidx_core.panels.of_run import refine_results
    from ffbidx_core.panels.words import as_dict, rows_of, sentences
    from ffbidx_core.write import check_output, write_file
    from ffbidx_core.write.formats.refined import check_suffix, refined_text

    for path in filter(None, (output, millepede, png)):
        check_output(path, overwrite, [results, *([geometry] if geometry else [])])
    if png is not None:
        from ffbidx_core.report import require_matplotlib

        require_matplotlib()
    with closing(open_devices(backend, device, threads)) if tries else nullcontext() as devices:
        found = refine_results(results, devices, geometry)
    refined, names = found.refined, found.names
    if refined.fit is not None and output is not None:
        check_suffix(output, found.target)
        text = refined_text(found.target, refined.panels, found.distance)
        write_file(output, text.encode("utf-8", "surrogateescape"), overwrite)
    if refined.fit is not None and millepede is not None:
        from ffbidx_core.panels.for_millepede import measurements
        from ffbidx_core.write.formats.mille import mille

        write_file(millepede, b"".join(mille(measurements(refined))), overwrite)
    if refined.fit is not None and png is not None:
        from ffbidx_core.report.panel_picture import panel_picture
        from ffbidx_core.report.style import image_bytes, styled

        with styled():
            write_file(png, image_bytes(panel_picture(refined).figure, "png"), overwrite)
    if as_json:
        click.echo(json.dumps(as_dict(refined, names)))
    else:
        if refined.fit is not None:
            _show_table(rows_of(refined.fit, names))
        for sentence in sentences(refined, names):
            click.echo(sentence)
    if refined.fit is None:
        return NothingProcessed.exit_status
    for path in filter(None, (output, millepede, png)):
        click.echo(f"written: {path}", err=True)
    return 0


def _show_table(rows: list[PanelRow]) -> None:
    from rich.table import Table

    from ffbidx_cli.console import data_console
    from ffbidx_core.panels.words import COLUMNS

    table = Table(box=None, pad_edge=False)
    table.add_column("panel")
    table.add_column("peaks", justify="right")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    table.add_column("")
    for row in rows:
        numbers = (f"{v:+.2f} ± {e:.2f}" for v, e in zip(row.motion, row.errors, strict=True))
        table.add_row(row.name, f"{row.n_peaks:.0f}", *numbers, "with its group" if row.follows else "")
    data_console().print(table)
