"""ffbidx show: draws one frame, or makes a page for browsing the frames of a run."""

from __future__ import annotations

import os
import sys

import click

from ffbidx_cli.options import COUNT, RESULTS, debug_option, overwrite_option


@click.command("show")
@click.argument("results", metavar="RESULTS", type=RESULTS)
@click.argument("frame", metavar="[FRAME]", required=False)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Picture to write, .png or .svg, or page to write, .html.  [default: STEM.frameN.png or STEM.frames.html in "
    "the current directory]",
)
@click.option("--max-frames", type=COUNT, metavar="N", help="Number of frames in the page.  [default: 300]")
@click.option(
    "--open/--no-open",
    "opens",
    default=None,
    help="Open the page in a browser.  [default: on a terminal of a desktop]",
)
@overwrite_option
@debug_option
def command(
    results: str, frame: str | None, output: str | None, max_frames: int | None, opens: bool | None, overwrite: bool
) -> None:
    """Draw one frame, or without FRAME make a page for browsing the frames of the run.

    The picture and the page show the spots of a frame, the spots that each crystal explains, and the spots that it
    predicts. The page also shows the detector image behind them if the input holds it, and can be restricted to frames
    without a crystal, with several, or with doubtful crystals. FRAME is a number in the results, counted from 0, or
    FILE//INDEX as `ffbidx table` shows it. The spots are taken from the results if these keep them (--keep-spots), and
    otherwise read again from the input of the run.
    """
    from ffbidx_core.report import require_matplotlib

    require_matplotlib()
    if frame is None:
        _page(results, output, max_frames, opens, overwrite)
    else:
        _picture(results, frame, output, overwrite)


def _page(results: str, output: str | None, most: int | None, opens: bool | None, overwrite: bool) -> None:
    from ffbidx_cli.console import working
    from ffbidx_cli.pictures import stem_of
    from ffbidx_core.errors import UsageError
    from ffbidx_core.report.browser import MOST_FRAMES, frames_page
    from ffbidx_core.write import check_output, files_of_run, write_file

    output = f"{stem_of(results)}.frames.html" if output is None else output
    if not output.lower().endswith(".html"):
        raise UsageError(f"-o {output}: a page of frames ends in .html; for a picture name a frame behind {results}")
    check_output(output, overwrite, files_of_run(results))
    with working("drawing frames"):
        page = frames_page(results, most or MOST_FRAMES)
    write_file(output, page, overwrite)
    click.echo(f"frames: {output}", err=True)
    if sys.stderr.isatty() and _has_desktop() if opens is None else opens:
        click.launch(os.path.abspath(output))


def _has_desktop() -> bool:
    """Whether a browser has a window to open; without one (ssh) a text browser would write over the terminal."""
    return sys.platform != "linux" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _picture(results: str, frame: str, output: str | None, overwrite: bool) -> None:
    from ffbidx_cli.pictures import kind_of_picture, stem_of
    from ffbidx_core.report.frame_picture import draw_frame, find_frame, read_spots
    from ffbidx_core.report.style import image_bytes
    from ffbidx_core.write import check_output, files_of_run, write_file

    kind = "png" if output is None else kind_of_picture(output, "-o")
    number, found = find_frame(results, frame)
    output = f"{stem_of(results)}.frame{number}.png" if output is None else output
    check_output(output, overwrite, [*files_of_run(results), found.source[0]])
    figure = draw_frame(read_spots(results, found), found, number)
    write_file(output, image_bytes(figure, kind), overwrite)
    click.echo(f"frame {number}: {output}", err=True)
