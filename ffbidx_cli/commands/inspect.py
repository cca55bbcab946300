"""ffbidx inspect: shows what a spot file, a results file or a geometry file holds."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import click

from ffbidx_cli import SOME_FRAMES_BAD
from ffbidx_cli.options import FRAMES, RESULTS, debug_option, geometry_options, json_option
from ffbidx_core.errors import InputError, NothingProcessed
from ffbidx_core.run.sections import Experiment

MOST_SHOWN = 20
"""Largest number of faults of a file, besides the first, that are shown."""


@click.command("inspect")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=RESULTS)
@geometry_options
@click.option("--max-frames", type=FRAMES, metavar="N", help="Read only the first N frames of spot files.")
@json_option
@debug_option
def command(
    inputs: Sequence[str],
    max_frames: int | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Show what spot files, one results file, or one geometry file hold."""
    from ffbidx_cli.console import data_console, working
    from ffbidx_cli.inspection import show_geometry, show_results, show_spots
    from ffbidx_core.read import expand_inputs, with_events_found
    from ffbidx_core.read.formats.open import is_results
    from ffbidx_core.read.geometry.report import format_of_geometry, inspect_geometry
    from ffbidx_core.read.inspection import inspect_results, inspect_spots

    sources = expand_inputs(inputs)
    if len(sources) == 1 and is_results(sources[0].path):
        with working("reading the results"):
            results = inspect_results(sources[0].path)
        if as_json:
            click.echo(json.dumps(results.as_dict()))
        else:
            show_results(data_console(), results)
        return 0
    if len(sources) == 1 and format_of_geometry(sources[0].path):
        with _every_fault_shown(as_json):
            found = inspect_geometry(sources[0].path)
        if as_json:
            click.echo(json.dumps(found.as_dict()))
        else:
            show_geometry(data_console(), found)
        return 0
    with _every_fault_shown(as_json):
        geometry, _ = Experiment(**options).chosen([source.path for source in sources])
        with working("reading the frames"):
            spots = inspect_spots(with_events_found(sources, geometry), geometry, max_frames)
    if as_json:
        click.echo(json.dumps(spots.as_dict()))
    else:
        show_spots(data_console(), spots)
    if spots.bad_frames == spots.frames:
        return NothingProcessed.exit_status
    return SOME_FRAMES_BAD if spots.bad_frames else 0


@contextlib.contextmanager
def _every_fault_shown(as_json: bool) -> Iterator[None]:
    """List the faults of a file that cannot be used, before the error ends the command.

    The error is one line on standard error, with the first fault and the number of others. A line before it has each
    other fault, of many only the first. With `as_json` all faults are the `problems` of an object on standard output.
    """
    from ffbidx_core.nouns import counted

    try:
        yield
    except InputError as error:
        first, *others = error.every or (error,)
        if as_json:
            click.echo(json.dumps({"problems": error.faults}))
        elif not others:
            raise
        else:
            for fault in others[:MOST_SHOWN]:
                click.echo(f"ffbidx: {fault}", err=True)
            where = "above" if len(others) <= MOST_SHOWN else f"the first {MOST_SHOWN} above, all with --json"
            problem = f"{first.problem}; and {counted(len(others), 'further fault')} ({where})"
            raise InputError(first.path, problem, first.place) from None
        raise
