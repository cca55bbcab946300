"""ffbidx convert: converts spots of any format to HDF5, and results to the formats of other programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ffbidx_cli import SOME_FRAMES_BAD
from ffbidx_cli import options as shared
from ffbidx_core.errors import UsageError
from ffbidx_core.nouns import counted
from ffbidx_core.run.sections import Experiment

if TYPE_CHECKING:
    from ffbidx_core.read import Source


@click.command("convert")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=shared.RESULTS)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    required=True,
    metavar="FILE",
    help="For spots: .h5, .hdf5. For results: .txt, .tsv, .csv, .parquet, .stream, .sol, .geom, .expt, .refl; - "
    "is standard output. Repeat it for several outputs.",
)
@click.option("--format", "output_format", metavar="WORD", help="Format of the first output, whatever its suffix.")
@shared.geometry_options
@click.option("--max-frames", type=shared.FRAMES, metavar="N", help="Stop after this many frames of spots.")
@click.option(
    "--every", type=shared.FRAMES, default=1, show_default=True, metavar="N", help="Take every Nth frame only."
)
@shared.overwrite_option
@shared.debug_option
def command(
    inputs: Sequence[str],
    outputs: Sequence[str],
    output_format: str | None,
    max_frames: int | None,
    every: int,
    overwrite: bool,
    **options: Any,
) -> int:
    """Convert spot files, or the results of a run.

    INPUT is one results file, or spot files as `ffbidx index` takes them. If an output of results needs spots, these
    are read again from the inputs of the run.
    """
    from ffbidx_core.read import expand_inputs, with_events_found
    from ffbidx_core.read.formats.open import is_results
    from ffbidx_core.write import Output, files_of_run
    from ffbidx_core.write.formats.names import TO_STDOUT, formats_of

    experiment = Experiment(**options)
    sources = expand_inputs(inputs)
    chosen = formats_of(outputs, output_format)
    read = files_of_run(sources[0].path) if len(sources) == 1 else [source.path for source in sources]
    for path, wanted in chosen.items():
        if path != TO_STDOUT:
            Output(path, wanted).check(overwrite, [*read, options["geometry"] or ""])
    if any(is_results(source.path) for source in sources):
        if len(sources) > 1:
            raise UsageError(f"{sources[0].path}: results are converted one file at a time")
        return _convert_results(sources[0].path, chosen, experiment, overwrite)
    geometry, shift = experiment.chosen([source.path for source in sources])
    return _convert_spots(with_events_found(sources, geometry), chosen, geometry, shift, every, max_frames, overwrite)


def _convert_results(path: str, chosen: dict[str, str], experiment: Experiment, overwrite: bool) -> int:
    from ffbidx_cli.console import working, write_data
    from ffbidx_core.read.results import read_record, results_in_pieces
    from ffbidx_core.read.run_inputs import RunInputs
    from ffbidx_core.write import Output
    from ffbidx_core.write.formats.names import RESULTS_FILE, TO_STDOUT
    from ffbidx_core.write.record import record_of

    header, record = read_record(path)
    given = {
        name.replace("_", "-"): value for name, value in dataclasses.asdict(experiment).items() if value is not None
    }
    geometry = experiment.chosen([source.path for source in record.inputs])[0] if given else None
    inputs = RunInputs.of_header(header, geometry, record, path)
    made = record_of(header, record, given)
    for output, wanted in chosen.items():
        if wanted == RESULTS_FILE:
            raise UsageError(f"-o {output}: {path} is a results file already; other formats are made of it")
        stream = write_data if output == TO_STDOUT else None
        with working(f"writing {output}"):
            Output(output, wanted, inputs, stream).write(results_in_pieces(path), made, overwrite)
        if stream is None:
            click.echo(f"{output}: {wanted}", err=True)
    return 0


def _convert_spots(
    sources: Sequence[Source],
    chosen: dict[str, str],
    geometry: Any,
    shift: bool | None,
    every: int,
    max_frames: int | None,
    overwrite: bool,
) -> int:
    from ffbidx_cli.console import working
    from ffbidx_core.errors import NothingProcessed
    from ffbidx_core.read import read_frames
    from ffbidx_core.read.geometry.choose import first_geometry
    from ffbidx_core.write import write_file
    from ffbidx_core.write.formats.names import RESULTS_FILE
    from ffbidx_core.write.formats.spots import SpotsWriter

    for output, wanted in chosen.items():
        if wanted != RESULTS_FILE:
            raise UsageError(f"-o {output}: spots are converted to .h5; {wanted} is made of results: ffbidx index")
    writer = SpotsWriter(first_geometry([source.path for source in sources], geometry)[0], shift)
    with working("reading the frames"):
        writer.add(read_frames(sources, geometry=geometry, every=every, max_frames=max_frames))
    for problem in writer.problems:
        click.echo(f"note: {problem}", err=True)
    if writer.n_frames == 0:
        raise NothingProcessed(f"{sources[0].path}: no frame could be read")
    data = b"".join(writer.pieces())
    for output in chosen:
        write_file(output, data, overwrite)
        click.echo(f"{output}: {counted(writer.n_frames, 'frame')}, {counted(writer.n_spots, 'spot')}", err=True)
    return SOME_FRAMES_BAD if writer.n_unreadable else 0
