"""`ffbidx geometry`: refines the positions of detector panels with the crystals of a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ffbidx_cli import options as shared

if TYPE_CHECKING:
    from ffbidx_core.panels.of_run import RefinedRun


@click.command("geometry")
@click.argument("results", metavar="RESULTS", type=shared.RESULTS)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Geometry file to write, in the format of the run's geometry: .geom or .expt. Without it nothing is written.",
)
@click.option(
    "-g",
    "--geometry",
    metavar="FILE",
    help="Geometry file of the run, in which panels are moved.  [default: the copy in the results or the inputs]",
)
@click.option(
    "--level",
    metavar="LEVEL",
    default="panel",
    show_default=True,
    help="The smallest parts that move by themselves: panel, group (rigid groups of panels), detector (as a whole), or "
    "the name of a rigid_group_collection of the geometry file. If panels agree with each other, the detector is moved "
    "as a whole.",
)
@click.option(
    "--try/--no-try",
    "tries",
    default=True,
    show_default=True,
    help="Index frames again with moved panels, until nothing improves; without it there is one round.",
)
@click.option("--millepede", metavar="FILE", help="Also write residuals and derivatives for Millepede's pede (.bin).")
@click.option(
    "--png",
    metavar="FILE",
    help="Draw the motions of the panels, and the residuals before and after, as .png or .svg.",
)
@shared.json_option
@shared.overwrite_option
@shared.where_options
@shared.debug_option
def command(
    results: str,
    output: str | None,
    geometry: str | None,
    level: str,
    tries: bool,
    millepede: str | None,
    png: str | None,
    as_json: bool,
    overwrite: bool,
    **where: Any,
) -> int:
    """Refine the positions of detector panels with the crystals of a run, and write the geometry file.

    Panels, and the rigid groups that the file names, are moved only if crystals that were not fitted then agree clearly
    better; otherwise nothing is written, and the exit status is 5. Everything in the file except the changed numbers
    stays as it is.
    """
    import os
    import shlex
    from contextlib import closing, nullcontext

    from ffbidx_core.errors import UsageError
    from ffbidx_core.read.files.content import check_is_there
    from ffbidx_core.write import check_output, files_of_run

    check_is_there(results)
    outputs = [path for path in (output, millepede, png) if path is not None]
    if len(set(map(os.path.realpath, outputs))) < len(outputs):
        raise UsageError("-o, --millepede and --png name one file twice: give each a file of its own")
    read = [*files_of_run(results), *([geometry] if geometry else [])]
    for path in outputs:
        check_output(path, overwrite, read)
    kind = ""
    if png is not None:
        from ffbidx_cli.pictures import kind_of_picture
        from ffbidx_core.report import require_matplotlib

        kind = kind_of_picture(png, "--png")
        require_matplotlib()

    from ffbidx_cli.console import data_console, working
    from ffbidx_core.devices import open_devices
    from ffbidx_core.errors import NothingProcessed
    from ffbidx_core.panels.of_run import refine_results
    from ffbidx_core.panels.words import as_dict, rows_of, sentences

    with (
        working("reading the results, and indexing frames again"),
        closing(open_devices(**where)) if tries else nullcontext() as devices,
    ):
        found = refine_results(results, devices, geometry, level=level)
    refined, names = found.refined, found.names
    if refined.fit is not None:
        _write_outputs(found, output, millepede, png, kind, overwrite)
    if as_json:
        click.echo(json.dumps(as_dict(refined, names)))
    else:
        if refined.fit is not None:
            from ffbidx_cli.reports import show_panels

            show_panels(rows_of(refined.fit, names))
        from ffbidx_cli.sentences import print_sentence

        console = data_console()
        for sentence in sentences(refined, names):
            print_sentence(console, sentence)
    if refined.fit is None:
        return NothingProcessed.exit_status
    for path in outputs:
        click.echo(f"written: {path}", err=True)
    if output is not None:
        typed = shared.as_typed(results)
        better = f"{os.path.splitext(typed)[0]}.refined.h5"
        again = ("ffbidx", "index", "--config", typed, "-g", output, "-o", better)
        click.echo(f"next: {shlex.join(again)}", err=True)
    return 0


def _write_outputs(
    found: RefinedRun, output: str | None, millepede: str | None, png: str | None, kind: str, overwrite: bool
) -> None:
    """Write the geometry, the file for Millepede and the picture of this kind, each if its path is given."""
    from ffbidx_core.write import write_file

    refined = found.refined
    if output is not None:
        from ffbidx_core.write.formats.refined import check_suffix, refined_text

        check_suffix(output, found.target)
        text = refined_text(found.target, refined.panels, found.distance)
        write_file(output, text.encode("utf-8", "surrogateescape"), overwrite)
    if millepede is not None:
        from ffbidx_core.panels.for_millepede import measurements
        from ffbidx_core.write.formats.mille import mille

        write_file(millepede, b"".join(mille(measurements(refined))), overwrite)
    if png is not None:
        from ffbidx_core.report.panel_picture import panel_picture
        from ffbidx_core.report.style import image_bytes

        write_file(png, image_bytes(panel_picture(refined).figure, kind), overwrite)
