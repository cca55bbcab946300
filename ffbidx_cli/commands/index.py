"""ffbidx index: spots and input cells in, crystals out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import click

from ffbidx_cli import config
from ffbidx_cli import options as shared
from ffbidx_cli.jobs import (
    TO_STDOUT,
    check_pixels,
    follower_of,
    job_of,
    keep_spots_in,
    list_batches,
    output_formats,
    probing_of,
    run_job,
    shard_outputs,
    store_of,
    wait_for_first,
)
from ffbidx_core.errors import UsageError

if TYPE_CHECKING:
    from ffbidx_cli.signals import StopSignals

SOME_FRAMES_BAD = 3
"""Exit status of a run that finished although a frame or an input was bad."""


@click.command("index", cls=shared.SectionedCommand, context_settings={"auto_envvar_prefix": config.PREFIX})
@shared.input_options
@shared.follow_options
@shared.geometry_options
@shared.output_options
@click.option("--dry-run", is_flag=True, help="List the frames and their batches, compute nothing.")
@shared.backend_options
@shared.message_options
@shared.debug_option
@config.config_options
@shared.parameter_options
@click.pass_obj
def command(
    signals: StopSignals,
    /,
    inputs: Sequence[str],
    outputs: Sequence[str],
    output_format: str | None,
    keep_spots: bool,
    overwrite: bool,
    resume: bool,
    dry_run: bool,
    as_json: bool,
    log_json: str | None,
    quiet: bool,
    verbose: bool,
    open_timeout: float | None,
    shard: tuple[int, int] | None,
    dask: str | None,
    follow: bool | None,
    stop_file: str | None,
    stop_after: float | None,
    print_config: bool,
    **options: Any,
) -> int:
    """Index the frames of spot files.

    INPUT is a spot file, a directory of them, a pattern such as 'run1*.h5', one frame of a file, FILE//INDEX with
    INDEX counted from 0, or a list of all these, one a line: @frames.lst, frames.lst, or - for standard input.
    """
    if as_json and TO_STDOUT in outputs:
        raise UsageError("--json and -o - both write to standard output: leave one of them out")
    if as_json and dry_run:
        raise UsageError("--json prints the summary of a run, and --dry-run has none: leave one of them out")
    if resume and (overwrite or TO_STDOUT in outputs):
        other = "--overwrite starts again" if overwrite else "-o - leaves nothing to take up"
        raise UsageError(f"--resume goes on with a run, and {other}: leave one of them out")

    from ffbidx_core.read import expand_inputs

    context = click.get_current_context()
    inputs = inputs or context.lookup_default("inputs") or ()
    if not inputs:
        raise click.MissingParameter(ctx=context, param=context.command.params[0])
    follower = follower_of(
        inputs,
        outputs,
        follow=follow,
        stop_file=stop_file,
        stop_after=stop_after,
        shard=shard,
        dask=dask,
        dry_run=dry_run,
    )
    sources = expand_inputs(inputs) if follower is None else follower.named
    context.with_resource(probing_of(sources, open_timeout, follow=follow))
    if follower is not None and not print_config:
        sources = wait_for_first(
            follower, outputs, output_format=output_format, overwrite=overwrite, resume=resume, quiet=quiet, **options
        )
    outputs = outputs or [f"{PurePath(sources[0].path).stem}.ffbidx.h5"]
    if shard is not None:
        outputs = shard_outputs(outputs, shard)
    chosen = output_formats(outputs, output_format)
    if keep_spots and "hdf5" not in chosen.values():
        raise UsageError("--keep-spots keeps them in a results file: name one with -o FILE.h5")
    job = job_of(sources, outputs[0], shard=shard, follower=follower, **options)
    named = inputs if "-" not in inputs else follower.named if follower else sources
    job = dataclasses.replace(
        job, config=config.options_in_force(context, dataclasses.asdict(job.parameters), list(map(str, named)))
    )
    if print_config:
        from ffbidx_core.write.record import as_toml

        click.echo(as_toml(job.config), nl=False)
        return 0
    if dry_run:
        return list_batches(job)

    from ffbidx_cli import console
    from ffbidx_core.devices import why_on_cpu

    read = [source.path for source in sources] + list(options["cells"])
    check_pixels(chosen, sources, job)
    store = store_of(chosen, job, [*read, options["geometry"] or ""], overwrite=overwrite, resume=resume)
    log = console.JsonLog(log_json, resume=resume, overwrite=overwrite) if log_json else None
    first = "" if dask else why_on_cpu(job.backend)
    with console.Reporter(quiet=quiet, verbose=verbose, log=log, first=first) as reporter, signals.stoppable() as stop:
        if verbose:
            reporter.say(job.parameters.as_json())
        summary = run_job(job, dask, store=store, progress=reporter, stop=stop)
        if summary.frames == 0 and not summary.complete:
            reporter.say("stopped before any frame was finished; nothing is written")
            return signals.status
    if keep_spots:
        keep_spots_in(chosen)
    if log:
        log.summary(summary)
    if as_json:
        console.write_data(json.dumps(summary.as_dict()).encode() + b"\n")
    console.show_summary(reporter.console, summary)
    if not summary.complete:
        return signals.status
    return SOME_FRAMES_BAD if summary.bad_frames else 0
