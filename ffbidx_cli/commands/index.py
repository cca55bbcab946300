"""ffbidx index: finds crystals of the input cells in the spots of frames."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ffbidx_cli import ARGUMENTS, SOME_FRAMES_BAD, config
from ffbidx_cli import options as shared
from ffbidx_cli.help import GroupedCommand, help_all_option
from ffbidx_core.run.request import RunRequest

if TYPE_CHECKING:
    from ffbidx_cli.signals import StopSignals
    from ffbidx_core.run.job import Job

PUBLISHED_DIST1 = (
    "the preset published has dist1 = 0, as the published text; PSI's code has 0.1 and indexes more of the frames with "
    "few true spots: --dist1 0.1"
)

SOL_ALONE = (
    "indexamajig needs the geometry with these options beside the .sol file: -o FILE.geom writes it, for its option -g"
)


@click.command(
    "index",
    cls=GroupedCommand,
    example="ffbidx index spots.h5 --cell lysozyme.cell -o run.h5",
    context_settings={"auto_envvar_prefix": config.PREFIX},
)
@shared.input_options
@shared.follow_options
@shared.geometry_options
@shared.output_options
@click.option("--dry-run", is_flag=True, help="List the frames and their batches without computing anything.")
@shared.machine_options
@shared.message_options
@help_all_option
@shared.debug_option
@config.config_options
@shared.parameter_options
@click.pass_obj
def command(
    signals: StopSignals,
    /,
    dry_run: bool,
    as_json: bool,
    log_json: str | None,
    quiet: bool,
    verbose: bool,
    print_config: bool,
    **options: Any,
) -> int:
    """Index the frames of spot files.

    INPUT is a spot file, a directory of spot files, a pattern such as 'run1*.h5', one frame of a file as FILE//INDEX
    with INDEX counted from 0, or a list of all these, one per line: @frames.lst, frames.lst, or - for standard input.
    """
    context = click.get_current_context()
    options["inputs"] = options["inputs"] or context.lookup_default("inputs") or ()
    if not options["inputs"]:
        raise click.MissingParameter(ctx=context, param=context.command.params[0])
    request = shared.request_of(options, RunRequest)
    request.check(dry_run=dry_run, as_json=as_json)

    from ffbidx_core.run.preparation import files_read, files_written, prepared

    def show(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    writes = not (print_config or dry_run)
    with prepared(request, waiting=not print_config, named=True, writes=writes, show=show) as run:
        if print_config:
            from ffbidx_core.write.record import as_toml

            click.echo(as_toml(run.job.config), nl=False)
            return 0
        if dry_run:
            list_batches(run.job)
            return 0

        from ffbidx_cli import console
        from ffbidx_cli.next_step import after_run, of_nothing
        from ffbidx_core.devices import why_on_cpu
        from ffbidx_core.errors import NothingProcessed
        from ffbidx_core.write.formats.names import TO_STDOUT

        store = run.store(console.write_data)
        log = None
        if log_json:
            others = [*files_read(request, run.sources), *files_written(run.outputs)]
            log = console.JsonLog(log_json, resume=request.resume, overwrite=request.overwrite, others=others)
        with (
            console.Reporter(quiet=quiet, verbose=verbose, log=log) as reporter,
            signals.stoppable() as stop,
        ):
            if verbose:
                reporter.show(run.job.parameters.as_json())
                if not request.dask and (why := why_on_cpu(run.job.backend)):
                    reporter.show(why)
            if request.preset == "published" and run.job.parameters.dist1 <= 0:
                reporter.show(PUBLISHED_DIST1)
            if request.changes_geometry and "sol" in run.outputs.values() and "geom" not in run.outputs.values():
                reporter.show(SOL_ALONE)
            try:
                summary = run.index(store, progress=reporter, stop=stop)
            except NothingProcessed as error:
                raise of_nothing(error, context.meta[ARGUMENTS]) from error
            if summary.frames == 0 and not summary.complete:
                reporter.show("stopped before any frame was finished; nothing is written")
                return signals.status
        run.keep_spots()
    if log:
        log.summary(summary)
    step = after_run(summary, context.meta[ARGUMENTS], run.outputs)
    if as_json:
        console.write_data(json.dumps(summary.as_dict() | {"next": step.command, "why": step.why}).encode() + b"\n")
    outputs = ["standard output" if path == TO_STDOUT else path for path in run.outputs]
    console.show_summary(reporter.console, summary, step, outputs)
    if not summary.complete:
        return signals.status
    return SOME_FRAMES_BAD if summary.bad_frames else 0


def list_batches(job: Job) -> None:
    """Write the names of the frames of each batch to standard output."""
    from ffbidx_core.model.records.frame import FrameStatus

    click.echo("# batch\tsource\tindex\tn_spots\tusable")
    for number, batch in enumerate(job.batches(job.blocks())):
        usable = batch.status == FrameStatus.NOT_INDEXED
        if usable.any():
            job.cells_of(batch)
        for f, source in enumerate(batch.sources):
            click.echo(f"{number}\t{source}\t{batch.indices[f]}\t{batch.n_spots[f]}\t{'yes' if usable[f] else 'no'}")
