"""`ffbidx serve`: indexes spot lists that arrive as messages while the detector runs, and answers each."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from ffbidx_cli import options as shared
from ffbidx_cli.commands.live.packages import live_packages
from ffbidx_cli.next_step import after_run
from ffbidx_core.errors import UsageError
from ffbidx_core.live.request import Kept, Live, ServeRequest
from ffbidx_core.nouns import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ffbidx_cli.signals import StopSignals
    from ffbidx_core.run.summary import Summary


@click.command("serve")
@shared.section_options(Live)
@shared.geometry_options
@shared.section_options(Kept)
@shared.where_options
@click.option("--make-keys", metavar="DIR", help="Write CURVE keys for a server and a client to DIR, and exit.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary of each run as a line of JSON when it ends.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
@shared.debug_option
@shared.parameter_options
@click.pass_obj
def command(signals: StopSignals, /, make_keys: str | None, as_json: bool, quiet: bool, **options: Any) -> int:
    """Index spot lists that arrive as messages, and answer each.

    \b
    ffbidx serve --bind tcp://127.0.0.1:5555 --cell lysozyme.cell -o 'live/{run}.h5' --http 127.0.0.1:8080
    ffbidx replay spots.h5 --to tcp://127.0.0.1:5555 --rate 100

    Messages and answers are described in docs/live.md. A run ends with an end message, with the end of standard input,
    or with Ctrl-C; after Ctrl-C the same command with --resume continues it.
    """
    with live_packages():
        from ffbidx_core.live.door.keys import make_keys as make
        from ffbidx_core.live.server import Server
        from ffbidx_core.live.web import Page

    def show(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    def finished(summary: Summary) -> None:
        if as_json:
            click.echo(json.dumps(summary.as_dict()))
        if summary.frames:
            for line in lines_of(summary):
                show(line)

    if make_keys is not None:
        for path in make(make_keys):
            show(path)
        return 0
    request = shared.request_of(options, ServeRequest)
    request.check()
    if as_json and request.stdin:
        raise UsageError("--json and --stdin both write to standard output: leave one of them out")
    with signals.stoppable() as stop:
        server = Server(request, show=show, stop=stop, finished=finished)
        page = Page(request.http, server.state) if request.http else None

        def ready() -> None:
            bound = server.door.bound if server.door is not None else {}
            words = {"bind": "spot lists", "publish": "answers", "reply": "requests"}
            show("; ".join([f"{words[name]} at {address}" for name, address in bound.items()] or ["taking lines"]))
            if page is not None:
                show(f"page at {page.url}")

        try:
            summaries = server.serve(sys.stdin.buffer if request.stdin else None, ready)
        finally:
            if page is not None:
                page.close()
    whole = server.state.as_dict()["whole"]
    if whole["dropped"] or whole["errors"]:
        unused = counted(whole["errors"], "message")
        show(f"{counted(whole['dropped'], 'frame')} dropped; {unused} could not be used")
    return 0 if all(summary.complete for summary in summaries) else signals.status


def lines_of(summary: Summary) -> Iterator[str]:
    """Yield the sentences about a run: its counts, and of one that has gone wrong the next step and the reason."""
    yield _counts(summary)
    if summary.complete and summary.output:
        step = after_run(summary, [])
        if step.why:
            yield f"next: {step.command}"
            yield f"why: {step.why}"


def _counts(summary: Summary) -> str:
    share = summary.indexed / summary.frames
    output = f"; {summary.output}" if summary.output else ""
    whole = "" if summary.complete else ", stopped before its end"
    crystals = counted(summary.crystals, "crystal")
    return f"{counted(summary.frames, 'frame')}, {share:.1%} indexed, {crystals}{whole}{output}"
