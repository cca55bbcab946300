"""`ffbidx replay`: sends frames of files as messages at a steady rate, and measures the delays of their answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ffbidx_cli import SOME_FRAMES_BAD
from ffbidx_cli import options as shared
from ffbidx_cli.commands.live.packages import live_packages
from ffbidx_core.nouns import counted
from ffbidx_core.ranges import LARGEST
from ffbidx_core.run.sections import Experiment

if TYPE_CHECKING:
    from ffbidx_cli.signals import StopSignals
    from ffbidx_core.live.replayed import Replayed


@click.command("replay")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=shared.RESULTS)
@click.option(
    "--to", required=True, metavar="ADDRESS", help="Address at which the server takes spot lists, its --bind."
)
@click.option(
    "--answers",
    metavar="ADDRESS",
    help="Address at which the server publishes answers.  [default: the port of --to + 1]",
)
@click.option("--no-answers", is_flag=True, help="Send only.")
@click.option(
    "--rate", default=100.0, show_default=True, type=shared.Finite(min=0, max=LARGEST), metavar="N",
    help="Frames per second; 0: as fast as possible.",
)  # fmt: skip
@click.option(
    "--dialect", default="cbor", show_default=True, type=click.Choice(["cbor", "om", "stream2", "json"]),
    help="Dialect of the messages.",
)  # fmt: skip
@click.option("--run", default="replay", show_default=True, metavar="NAME", help="Name of the run.")
@click.option("--max-frames", type=shared.FRAMES, metavar="N", help="Stop after this many frames.")
@click.option("--repeat", default=1, show_default=True, type=shared.COUNT, help="Send the inputs N times.")
@click.option("--keys", metavar="DIR", help="Folder with the keys of a client, made by `ffbidx serve --make-keys`.")
@shared.geometry_options
@click.option("--json", "as_json", is_flag=True, help="Print counts and delays as JSON on standard output.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
@shared.debug_option
@click.pass_obj
def command(
    signals: StopSignals,
    /,
    inputs: tuple[str, ...],
    to: str,
    answers: str | None,
    no_answers: bool,
    rate: float,
    dialect: str,
    run: str,
    max_frames: int | None,
    repeat: int,
    keys: str | None,
    as_json: bool,
    quiet: bool,
    **experiment: Any,
) -> int:
    """Send the frames of files to a live server, and measure how long each answer takes.

    INPUT is a spot file of any format that `ffbidx index` reads, or a results file, whose inputs are sent. The delay
    is the time from sending a frame to receiving its answer.
    """
    with live_packages():
        from ffbidx_core.live.replay import replay
        from ffbidx_core.read import expand_inputs

    def show(state: Replayed) -> None:
        if not quiet:
            errors = f", {counted(state.errors, 'error')}" if state.errors else ""
            click.echo(f"{state.sent} sent, {state.answered} answered, {state.dropped} dropped{errors}", err=True)

    changes = {name: value for name, value in experiment.items() if value is not None}
    # Without a file, the geometry of the first input is changed.
    geometry = Experiment(**changes).chosen([source.path for source in expand_inputs(inputs)])[0] if changes else None
    with signals.stoppable() as stop:
        done = replay(
            inputs,
            to,
            answers="" if no_answers else answers,
            dialect=dialect,
            rate=rate,
            geometry=geometry,
            run=run,
            keys=keys or "",
            max_frames=max_frames,
            repeat=repeat,
            stop=stop,
            progress=show,
        )
    found = done.as_dict()
    if as_json:
        click.echo(json.dumps(found))
    elif not quiet:
        show(done)
        if done.error:
            click.echo(f"the latest error: {done.error}", err=True)
        if done.delays:
            text = (
                "delay 50 % within {p50} ms, 99 % within {p99} ms, at most {p100} ms; {frames_per_second} frames/s sent"
            )
            click.echo(text.format(**found), err=True)
    if stop.is_set():
        return signals.status
    return 0 if no_answers or done.answered == done.sent else SOME_FRAMES_BAD
