"""ffbidx report: shows the results of a run as one HTML page."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from ffbidx_cli.options import RESULTS, as_typed, debug_option, overwrite_option, where_options

if TYPE_CHECKING:
    from ffbidx_core.report.report import Report


@click.command("report")
@click.argument("results", metavar="RESULTS", type=RESULTS)
@click.option(
    "-o", "--output", metavar="FILE", help="Page to write.  [default: STEM.report.html in the current directory]"
)
@click.option("--png", "folder", metavar="DIR", help="Also write every picture to this directory, as PNG.")
@click.option(
    "--diagnose/--no-diagnose",
    default=True,
    show_default=True,
    help=("Include the diagnosis of `ffbidx diagnose`, for which some frames are indexed again."),
)
@overwrite_option
@where_options
@debug_option
def command(
    results: str,
    output: str | None,
    folder: str | None,
    diagnose: bool,
    overwrite: bool,
    **where: Any,
) -> None:
    """Report on a run in pictures and words, as one HTML file that needs no network, and briefly in the terminal."""
    from contextlib import closing, nullcontext

    from ffbidx_cli.pictures import show_report, stem_of
    from ffbidx_core.read.files.content import check_is_there
    from ffbidx_core.report import require_matplotlib
    from ffbidx_core.write import check_output, files_of_run, write_file

    require_matplotlib()
    check_is_there(results)
    output = f"{stem_of(results)}.report.html" if output is None else output
    check_output(output, overwrite, files_of_run(results))

    from ffbidx_cli.console import working
    from ffbidx_core.devices import open_devices
    from ffbidx_core.report.page import page
    from ffbidx_core.report.report import make_report

    with (
        working("reading the results, indexing a sample again, drawing"),
        closing(open_devices(**where)) if diagnose else nullcontext() as devices,
    ):
        report = make_report(results, devices, diagnose=diagnose, shown_as=as_typed(results))
        html = page(report)
    if folder is not None:
        _write_pictures(report, folder, overwrite)
    write_file(output, html, overwrite)
    show_report(report)
    click.echo(f"report: {output}", err=True)


def _write_pictures(report: Report, folder: str, overwrite: bool) -> None:
    from ffbidx_core.report.style import image_bytes
    from ffbidx_core.write import check_output, files_of_run, write_file
    from ffbidx_core.write.atomic import make_directory

    make_directory(folder)
    paths = {os.path.join(folder, f"{picture.name}.png"): picture.figure for picture in report.pictures}
    read = files_of_run(report.path)
    for path in paths:
        check_output(path, overwrite, read)
    for path, figure in paths.items():
        write_file(path, image_bytes(figure, "png"), overwrite)
    click.echo(f"pictures: {folder}", err=True)
