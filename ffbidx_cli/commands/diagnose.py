"""ffbidx diagnose: determines beam centre, distance and cell from a run's residuals, and says what to type next."""

from __future__ import annotations

import json
from typing import Any

import click

from ffbidx_cli import options as shared


@click.command("diagnose")
@click.argument("results", metavar="RESULTS", type=shared.RESULTS)
@shared.json_option
@click.option(
    "--try/--no-try",
    "tries",
    default=True,
    show_default=True,
    help=("Index some frames again to test whether a correction helps; without this test nothing is advised."),
)
@shared.where_options
@shared.debug_option
def command(results: str, as_json: bool, tries: bool, **where: Any) -> None:
    """Say what is wrong with a run: beam centre, detector distance, cell, settings, and the option that corrects it.

    The spots of up to 2000 frames are taken from the results if these keep them (--keep-spots), and otherwise read
    again from the inputs of the run.
    """
    from contextlib import closing, nullcontext

    from ffbidx_core.read.files.content import check_is_there

    check_is_there(results)

    from ffbidx_cli.console import data_console, working
    from ffbidx_cli.sentences import print_sentence
    from ffbidx_core.devices import open_devices
    from ffbidx_core.diagnose.as_json import as_dict
    from ffbidx_core.diagnose.diagnosis import make_diagnosis
    from ffbidx_core.diagnose.words import sentences

    with (
        working("reading the results, and indexing a sample again"),
        closing(open_devices(**where)) if tries else nullcontext() as devices,
    ):
        diagnosis = make_diagnosis(results, devices)
    diagnosis.path = shared.as_typed(results)
    if as_json:
        click.echo(json.dumps(as_dict(diagnosis)))
        return
    console = data_console()
    for sentence in sentences(diagnosis):
        print_sentence(console, sentence)
