"""ffbidx cell: finds the unknown unit cell of spots."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from ffbidx_cli import SOME_FRAMES_BAD
from ffbidx_cli import options as shared
from ffbidx_core.run.sections import Experiment

if TYPE_CHECKING:
    from ffbidx_core.model.records.frame import FrameBlock


@click.command("cell")
@click.argument("inputs", nargs=-1, required=True, metavar="SPOTS...")
@shared.geometry_options
@click.option("-o", "--output", metavar="FILE", help="Write the first cell as a CrystFEL .cell file.")
@click.option(
    "--frames",
    type=shared.COUNT,
    default=200,
    show_default=True,
    metavar="N",
    help="Read the first N frames that have 7 spots or more.",
)
@click.option(
    "--known",
    multiple=True,
    metavar="CELL",
    help="A known cell, in the form of --cell of `ffbidx index`: frames with a crystal of this cell are left out.",
)
@click.option(
    "--longest",
    type=shared.Finite(min=20, max=1000),
    default=300,
    show_default=True,
    metavar="A",
    help="Longest primitive vector that is searched for, in A; the time grows with its third power.",
)
@click.option("--symmetry", metavar="TYPE", help="Use this Bravais type, such as tP, from the table of the first cell.")
@click.option(
    "--png",
    metavar="FILE",
    help="Draw the candidates, and the spots of the best frames on the cell's planes, as .png or .svg.",
)
@shared.overwrite_option
@shared.where_options
@shared.json_option
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@shared.debug_option
def command(
    inputs: Sequence[str],
    output: str | None,
    frames: int,
    known: Sequence[str],
    longest: float,
    symmetry: str | None,
    png: str | None,
    overwrite: bool,
    backend: str,
    device: str | None,
    threads: int | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Find the unit cell of the crystals in spot files, its Bravais type, and how sure both are.

    SPOTS are spot files as `ffbidx index` takes them; all frames must be from one beam time, in any orientations.
    Several cells in one run are found one after another.
    """
    from contextlib import closing

    from ffbidx_core.errors import NoCell, UsageError
    from ffbidx_core.read import expand_inputs
    from ffbidx_core.read.cells.input_cell import read_input_cell
    from ffbidx_core.read.files.content import check_are_there
    from ffbidx_core.write import check_output, write_file

    sources = expand_inputs(inputs)
    paths = [source.path for source in sources]
    check_are_there(paths)
    for path in (output, png):
        if path is not None:
            check_output(path, overwrite, [*paths, *known, options["geometry"] or ""])
    if output is not None and png is not None and os.path.realpath(output) == os.path.realpath(png):
        raise UsageError(f"-o and --png are both {png}: give another name to one of them")
    if png is not None:
        from ffbidx_cli.pictures import kind_of_picture
        from ffbidx_core.report import require_matplotlib

        kind = kind_of_picture(png, "--png")
        require_matplotlib()
    given = [read_input_cell(text, "--known") for text in known]

    from ffbidx_core.cell_search import Frames, find_cells
    from ffbidx_core.cell_search.bravais import check_type
    from ffbidx_core.cell_search.words import none_in_words, sentences
    from ffbidx_core.devices import open_devices
    from ffbidx_core.read import read_blocks, with_events_found
    from ffbidx_core.write.formats.cell import cell_text

    if symmetry is not None:
        check_type(symmetry)
    geometry, _ = Experiment(**options).chosen(paths)

    def show(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    bad: list[int] = []
    blocks = read_blocks(with_events_found(sources, geometry), geometry=geometry)
    found_on = Frames.of_blocks(_with_notes(blocks, show, bad), frames)
    with closing(open_devices(backend, device, threads)) as devices:
        search = find_cells(found_on, devices, known=[each.primitive for each in given], longest=longest, show=show)
    if symmetry is not None and search.cells:
        search.cells[0] = search.cells[0].with_type(symmetry)
    if as_json:
        click.echo(json.dumps(search.as_dict() | {"bad_frames": sum(bad)}))
    if png is not None:
        from ffbidx_core.report.cell_picture import draw_search
        from ffbidx_core.report.style import image_bytes

        write_file(png, image_bytes(draw_search(search, found_on), kind), overwrite)
    if not search.cells:
        raise NoCell(f"{os.path.basename(paths[0])}: {none_in_words(search, frames)}")
    if not as_json:
        for line in sentences(search):
            click.echo(line)
    if output is not None:
        write_file(output, cell_text(search.cells[0].input_cell).encode(), overwrite)
    return SOME_FRAMES_BAD if sum(bad) else 0


def _with_notes(blocks: Iterable[FrameBlock], show: Callable[[str], object], bad: list[int]) -> Iterator[FrameBlock]:
    """Yield blocks of frames; their problems are shown, and the numbers of their bad frames are added to `bad`."""
    for block in blocks:
        bad.append(block.n_bad)
        for problem in block.problems:
            show(f"note: {problem}")
        yield block
