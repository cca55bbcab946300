"""ffbidx index: spots and input cells in, crystals out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import click

from ffbidx_cli import options as shared
from ffbidx_core.errors import UsageError

if TYPE_CHECKING:
    from ffbidx_cli.signals import StopSignals
    from ffbidx_core.job import Job
    from ffbidx_core.read import Source

SOME_FRAMES_BAD = 3
"""Exit status of a run that finished although a frame or an input was bad."""
TO_STDOUT = "-"
TABLES, RESULTS_FILES = (".txt", ".tsv"), (".h5", ".hdf5")


@click.command("index", cls=shared.SectionedCommand)
@shared.input_options
@shared.output_options
@click.option("--dry-run", is_flag=True, help="List the frames and their batches, compute nothing.")
@shared.backend_options
@shared.message_options
@shared.debug_option
@shared.parameter_options
@click.pass_obj
def command(
    signals: StopSignals, /, inputs: Sequence[str], output: str | None, overwrite: bool, dry_run: bool,
    as_json: bool, quiet: bool, verbose: bool, **options: Any,
) -> int:
    """Index the frames of spot files.

    INPUT is a spot file (HDF5 or text), a list of them (@frames.lst or frames.lst), or one frame of a file,
    FILE//INDEX with INDEX counted from 0.
    """
    if as_json and output == TO_STDOUT:
        raise UsageError("--json and -o - both write to standard output: leave one of them out")
    if as_json and dry_run:
        raise UsageError("--json prints the summary of a run, and --dry-run has none: leave one of them out")
    if output not in (None, TO_STDOUT) and not output.endswith(TABLES + RESULTS_FILES):
        wanted = f"{', '.join(RESULTS_FILES)} for a results file, {', '.join(TABLES)} for a text table"
        raise UsageError(f"--output {output}: the suffix does not say what to write: {wanted}")

    from ffbidx_core.read import expand_inputs

    sources = expand_inputs(inputs)
    output = output or f"{PurePath(sources[0].path).stem}.ffbidx.h5"
    job = _job(sources, output, **options)
    if dry_run:
        return _list_batches(job)

    from ffbidx_cli import console
    from ffbidx_core import pipeline
    from ffbidx_core.write import check_output, write_file

    if output != TO_STDOUT:
        check_output(output, overwrite, [source.path for source in sources] + list(options["cells"]))
    with console.Reporter(quiet=quiet, verbose=verbose) as reporter, signals.stoppable() as stop:
        if verbose:
            reporter.say(job.parameters.as_json())
        outcome = pipeline.index(job, progress=reporter, stop=stop)
        summary = outcome.summary
        if summary.frames == 0:
            reporter.say("stopped before any frame was finished; nothing is written")
            return signals.status
        data = outcome.as_hdf5() if output.endswith(RESULTS_FILES) else outcome.as_table()
        if output == TO_STDOUT:
            console.write_data(data)
        else:
            write_file(output, data, overwrite)
    if as_json:
        console.write_data(json.dumps(summary.as_dict()).encode() + b"\n")
    console.show_summary(reporter.console, summary)
    if not summary.complete:
        return signals.status
    return SOME_FRAMES_BAD if summary.bad_frames else 0


def _job(
    sources: Sequence[Source], output: str, *, cells: Sequence[str], keep: str, preset: str, batch_size: int | None,
    **options: Any,
) -> Job:
    """The job that the options describe; sizes follow the work unless they are given."""
    import numpy as np

    from ffbidx_core.job import BATCH_SIZE, Job
    from ffbidx_core.read import read_cell

    parameters, given = shared.chosen_parameters(preset, options)
    if "max_output_cells" not in given:
        parameters = parameters.replace(max_output_cells=parameters.n_output_cells)
    return Job(
        sources, parameters, np.stack([read_cell(path) for path in cells]) if cells else None,
        limit_cells="max_input_cells" in given, batch_size=BATCH_SIZE if batch_size is None else batch_size,
        keep_all=keep == "all", output="standard output" if output == TO_STDOUT else output,
        **{name: options[name] for name in ("backend", "device", "threads", "d_min", "d_max", "every", "max_frames")},
    )


def _list_batches(job: Job) -> int:
    """Write the frames of each batch to standard output."""
    from ffbidx_core.model.frame import FrameStatus

    click.echo("# batch\tsource\tindex\tn_spots\tusable")
    for number, batch in enumerate(job.batches(job.blocks())):
        usable = batch.status == FrameStatus.NOT_INDEXED
        if usable.any():
            job.cells_of(batch)
        for f, source in enumerate(batch.sources):
            click.echo(f"{number}\t{source}\t{batch.indices[f]}\t{batch.n_spots[f]}\t{'yes' if usable[f] else 'no'}")
    return 0
