"""ffbidx bench: frames per second and the share of them that is indexed correctly."""

from __future__ import annotations

import click

from ffbidx_cli import options as shared
from ffbidx_core.parameters import PRESETS


@click.command("bench")
@shared.where_options
@click.option(
    "--preset",
    "presets",
    multiple=True,
    type=click.Choice(PRESETS),
    default=PRESETS[:1],
    show_default=True,
    help="Preset to measure; repeatable.",
)
@click.option("--frames", type=shared.COUNT, metavar="N", help="Frames per call.  [default: enough for steady numbers]")
@click.option("--calls", type=shared.COUNT, metavar="N", help="Timed calls.  [default: enough for steady numbers]")
@shared.json_option
@shared.debug_option
def command(
    backend: str,
    device: str | None,
    threads: int | None,
    presets: tuple[str, ...],
    frames: int | None,
    calls: int | None,
    as_json: bool,
) -> None:
    """Measure speed and success on simulated stills, on every available backend.

    A call takes the spots of many frames from host memory and returns refined cells and crystals to it; the figure is
    the median over calls on different frames, one after another; `overlapped` is the figure for calls side by side, as
    a run makes them if that is faster. An answer is correct if its misorientation is less than 1 degree, modulo the
    symmetry of the lattice. One spot in ten is false.
    """
    import json

    from ffbidx_cli import console, reports
    from ffbidx_core.benchmark import FRAMES, measure_all, usable_backends
    from ffbidx_core.devices.memory import memory_of_options

    backends = usable_backends(backend, device, threads)
    measured = reports.watched(
        measure_all(backends, presets, frames, calls), lambda row: ", ".join((row.backend, row.preset, row.frames))
    )
    usual = FRAMES[backends[0].name]
    with memory_of_options({"frames": (frames or usual, usual)}, "make --frames smaller"):
        rows = list(measured)
    if as_json:
        console.write_data(json.dumps({"measurements": [row.as_dict() for row in rows]}).encode() + b"\n")
        return
    for one in backends:
        click.echo(f"{one.name}: {one.device}")
    reports.show_measurements(rows)
