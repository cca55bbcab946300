"""Output of `ffbidx doctor`, `bench` and `geometry`: tables on standard output, progress on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ffbidx_cli.columns import Column, print_columns
from ffbidx_cli.console import PLAIN, data_console
from ffbidx_core.benchmark import Row
from ffbidx_core.doctor.finding import Finding, State
from ffbidx_core.panels.words import COLUMNS, PanelRow

T = TypeVar("T")
STYLES = {State.OK: "green", State.ABSENT: "dim", State.ATTENTION: "yellow", State.BROKEN: "bold red"}


def watched(items: Iterable[T], text: Callable[[T], str]) -> Iterator[T]:
    """Yield the items; meanwhile a terminal shows the text of the item that was yielded last."""
    console = Console(stderr=True, **PLAIN)
    with console.status("starting") as status:
        for item in items:
            status.update(text(item))
            yield item


def show_findings(findings: Iterable[Finding]) -> None:
    """Print the findings of an examination, one per line."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for no_wrap in (True, True, False):
        table.add_column(no_wrap=no_wrap, overflow="fold")
    for finding in findings:
        table.add_row(finding.what, Text(finding.state, style=STYLES[finding.state]), finding.text)
    data_console().print(table)


def show_measurements(rows: Iterable[Row]) -> None:
    """Print measurements, one per line."""
    titles = "frames/s", "slowest-fastest", "overlapped", "indexed", "lattices", "false", "calls", "frames/call"
    table: list[tuple[str, ...]] = []
    for row in rows:
        m = row.measured
        calls = [m.n_frames / seconds for seconds in m.seconds]
        speeds = f"{m.frames_per_second:.0f}", f"{min(calls):.0f}-{max(calls):.0f}"
        overlapped = "-" if m.overlapped is None else f"{m.overlapped:.0f}"
        found = f"{m.indexed:.4f}", f"{m.lattices_found:.4f}", str(m.tally.false)
        names = row.backend, row.preset, row.frames
        table.append((*names, *speeds, overlapped, *found, str(len(calls)), str(m.n_frames)))
    columns = list(zip(*table, strict=True)) or [()] * (3 + len(titles))
    print_columns(
        data_console(),
        [
            *(Column(t, v, is_text=True) for t, v in zip(("backend", "preset", "frames"), columns[:3], strict=True)),
            *(Column(t, v, begins=t == "frames/s") for t, v in zip(titles, columns[3:], strict=True)),
        ],
    )


def show_panels(rows: Sequence[PanelRow]) -> None:
    """Print the motions of panels, one panel per line."""
    motions = [
        [f"{value:+.2f} ± {error:.2f}" for value, error in zip(row.motion, row.errors, strict=True)] for row in rows
    ]
    print_columns(
        data_console(),
        [
            Column("panel", [row.name for row in rows], is_name=True),
            Column("peaks", [f"{row.n_peaks:.0f}" for row in rows]),
            *(Column(name, values) for name, values in zip(COLUMNS, zip(*motions, strict=True), strict=True)),
            Column("moved", ["with its group" if row.follows else "alone" for row in rows], is_text=True),
        ],
    )
