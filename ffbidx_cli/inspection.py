"""The output of `ffbidx inspect`: the content of files, shown in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console

from ffbidx_cli.columns import print_facts
from ffbidx_cli.sentences import frames_not_indexed
from ffbidx_core.nouns import counted
from ffbidx_core.read.geometry.report import GeometryReport
from ffbidx_core.read.inspection import ResultsReport, SpotsReport

WIDTH = 40
"""Length of the longest bar of a histogram, in characters."""


MOST_PROBLEMS = 100
"""Largest number of problems of spot files that are shown."""


def show_spots(console: Console, report: SpotsReport) -> None:
    """Show the content of spot files."""
    print_facts(console, _facts_of_spots(report))
    _bars(console, "frames by their number of spots", report.histogram)
    for problem in report.problems[:MOST_PROBLEMS]:
        console.print(f"note: {problem}", soft_wrap=True)
    if more := len(report.problems[MOST_PROBLEMS:]):
        console.print(f"note: {counted(more, 'further problem')}; --json lists all")


def _facts_of_spots(report: SpotsReport) -> Iterator[tuple[str, str]]:
    yield "format", ", ".join(report.formats)
    bad = f", {report.bad_frames} of them bad" if report.bad_frames else ""
    yield "frames", f"{report.frames}{bad}"
    left_out = f", {report.left_out} more left out (padding, duplicates)" if report.left_out else ""
    yield "spots", f"{report.spots}{left_out}"
    if report.off_panels:
        share = report.off_panels / (report.off_panels + report.spots)
        yield "on no panel", f"{counted(report.off_panels, 'peak')} ({share:.1%}), left out"
    if report.spots_per_frame:
        yield "spots a frame", "{0} to {2}, median {1}".format(*report.spots_per_frame)
    if report.resolution:
        yield "resolution", "{:.2f} to {:.2f} A".format(*report.resolution)
    yield "geometry", _geometry(report)
    for number, further in enumerate(report.further_geometries, 2):
        yield f"geometry {number}", "; ".join(_detector(**further))
    for cell in report.cells:
        yield "own cell", _cell(cell)


def _geometry(report: SpotsReport) -> str:
    if report.panels == 0:
        return "none: spots in reciprocal space"
    shift = {None: "unknown", True: "added", False: "not added"}[report.half_pixel_shift]
    panels, *first_frame = _detector(report.panels, report.wavelength, report.distance)
    return "; ".join([panels, f"half a pixel: {shift}", *first_frame])


def _detector(panels: int, wavelength: float | None, distance: float | None) -> list[str]:
    """The number of panels of a detector, and wavelength (angstrom) and distance (mm) of its first frame, if known."""
    known = wavelength is not None and distance is not None
    return [counted(panels, "panel"), *([f"first frame: {wavelength:.5f} A, {distance:.3f} mm"] if known else [])]


def show_geometry(console: Console, report: GeometryReport) -> None:
    """Show the content of a geometry file."""
    of = f" of {counted(report.detectors, 'detector')}" if report.detectors > 1 else ""
    facts = (
        ("format", report.format),
        ("panels", f"{report.panels}{of}"),
        ("wavelength", report.wavelength or "not given"),
        ("distance", report.distance or "not given"),
    )
    print_facts(console, facts)
    for problem in report.problems:
        console.print(f"note: {problem}", soft_wrap=True)


def show_results(console: Console, report: ResultsReport) -> None:
    """Show the content of a results file."""
    print_facts(console, _facts_of_results(report))
    _bars(console, "crystals by their number of indexed spots", report.histogram)
    for problem in report.problems:
        console.print(f"note: {problem}", soft_wrap=True)


def _facts_of_results(report: ResultsReport) -> Iterator[tuple[str, str]]:
    yield "format", "results of ffbidx" + ("" if report.complete else ", stopped before the end")
    indexed = report.status["indexed"]
    yield "frames", f"{report.frames}, {indexed} indexed ({indexed / max(report.frames, 1):.1%})"
    if others := frames_not_indexed(report.status):
        yield "", others
    if report.crystals_per_frame:
        yield "crystals", ", ".join(f"{counted(n, 'frame')} with {k}" for k, n in report.crystals_per_frame)
    for number, cell in enumerate(report.cells):
        for name in ("given", "learned", "median"):
            if cell[name] is not None:
                lattice = f", {cell['lattice']}" if name == "given" and cell["lattice"] else ""
                what = f"median of {cell['crystals']}" if name == "median" else name
                yield f"cell {number}, {what}{lattice}", _cell(cell[name])
    if report.panels:
        yield "geometry", f"{counted(report.panels, 'panel')}"
    yield "spots", "kept here" if report.keeps_spots else "in the inputs of the run"
    if report.half_pixel_shift:
        yield "half a pixel", "added" if report.half_pixel_shift == "yes" else "not added"
    yield "made by", f"ffbidx {report.ffbidx_version}, {report.method}, {report.backend} ({report.device})"


def _cell(parameters: Sequence[float]) -> str:
    return "{:.3f} {:.3f} {:.3f}  {:.2f} {:.2f} {:.2f}".format(*parameters)


def _bars(console: Console, title: str, histogram: Sequence[tuple[int, int, int]]) -> None:
    if not histogram:
        return
    console.print(title)
    most = max(n for _, _, n in histogram)
    full, half = ("█", "▌") if console.encoding.startswith("utf") else ("#", ".")
    for low, high, n in histogram:
        label = str(low) if low == high else f"{low}-{high}"
        # The smallest visible bar is half a character cell.
        bar = full * (n * WIDTH // most) + (half if n and n * WIDTH // most == 0 else "")
        console.print(f"{label:>11} {bar} {n}")
