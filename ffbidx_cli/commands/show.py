"""ffbidx show: one frame in a picture."""

from __future__ import annotations

import os

import click

from ffbidx_cli.options import debug_option

KINDS = {".png": "png", ".svg": "svg"}


@click.command("show")
@click.argument("results", metavar="RESULTS")
@click.argument("frame", metavar="FRAME")
@click.option(
    "-o", "--output", metavar="FILE", help=(".png or .svg.  [default: STEM.frameN.png in the current directory]")
)
@click.option("--overwrite", is_flag=True, help="Replace the picture if it is there.")
@debug_option
def command(results: str, frame: str, output: str | None, overwrite: bool) -> None:
    """Draw one frame: its spots, those that each crystal explains, and the ones that it predicts.

    FRAME is its number in the results, counted from 0, or FILE//INDEX as `ffbidx table` shows it. The spots are those
    that the results keep (--keep-spots), else they are read again from the input of the run.
    """
    from ffbidx_cli.pictures import stem_of
    from ffbidx_core.errors import UsageError
    from ffbidx_core.report import require_matplotlib
    from ffbidx_core.write import check_output, write_file

    require_matplotlib()
    if output is not None and os.path.splitext(output)[1].lower() not in KINDS:
        raise UsageError(f"-o {output}: a picture ends in {' or '.join(KINDS)}")
    from ffbidx_core.report.frame_picture import draw_frame, find_frame, read_spots
    from ffbidx_core.report.style import image_bytes, styled

    number, found = find_frame(results, frame)
    output = f"{stem_of(results)}.frame{number}.png" if output is None else output
    check_output(output, overwrite, [results, found.source[0]])
    figure = draw_frame(read_spots(results, found), found, number)
    with styled():
        write_file(output, image_bytes(figure, KINDS[os.path.splitext(output)[1].lower()]), overwrite)
    click.echo(f"frame {number}: {output}", err=True)
