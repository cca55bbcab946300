"""The report of a run: its facts as text, with pictures."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field, fields
from datetime import datetime

import numpy as np

from ..devices import Devices
from ..diagnose.columns import RunColumns, read_columns
from ..diagnose.diagnosis import make_diagnosis
from ..diagnose.words import sentences
from ..errors import InputError
from ..model.cell import cell_parameters, symmetry_operators
from ..model.chance.in_run import expected_false_in_run
from ..model.percentiles import median_and_spread
from ..model.plan import SYMMETRY_TOLERANCE
from ..model.records.frame import FrameStatus
from ..model.records.reason import ADVICE, FrameReason
from ..model.records.run import Mark, RunRecord
from ..nouns import are, counted
from ..parameters import Parameters
from ..read.results import read_run
from .cell_picture import search_pictures
from .command_line import command_line
from .examples import examples
from .figures import Picture, in_words, pictures
from .orientations import PoleFigure, pole_figures
from .panel_picture import panel_picture
from .residual_picture import residual_picture
from .rows import Rows, crystal_rows, failed_rows
from .style import styled

MOST_CELLS = 5
"""Largest number of input cells in a report, those with most crystals."""
MOST_FILES = 50
"""Largest number of input files in a report."""


@dataclass(frozen=True)
class CellRow:
    """A line of the table of a cell: its title, and a, b, c in angstrom, alpha, beta, gamma in degrees."""

    what: str
    values: list[float]


@dataclass(frozen=True)
class Report:
    """The numbers and sentences of a report.

    Attributes
    ----------
    path : str
        Name of the results file.
    facts : list of (str, str)
        The most important figures, each with its name.
    remarks : list of str
        Remarks about notable facts, as sentences.
    cells : dict
        Given and learned parameters, and median and spread of the crystals, keyed by the row of `/input_cells`.
    files : list of (str, int, float)
        Input files with their number of frames and the share of these that is indexed.
    files_left_out : int
        Number of further input files, which are not listed.
    problems : list of str
        Problems that the run noted; empty if the file does not record them.
    made : list of (str, str)
        Version, method, backend and device, each with its name.
    parameters : list of (str, str, str)
        Name, value and meaning of each parameter.
    pictures : list of Picture
        The pictures of the report.
    diagnosis : list of str
        The sentences of the diagnosis; if none was asked for, only the first one, which gives its command line.
    crystals, failed : Rows
        Tables of crystals, and of frames without a crystal.
    command : str
        The command line of the run.
    date : str
        The day and time at which the results were written.
    """

    path: str
    facts: list[tuple[str, str]]
    remarks: list[str]
    cells: dict[int, list[CellRow]]
    files: list[tuple[str, int, float]]
    files_left_out: int
    problems: list[str]
    made: list[tuple[str, str]]
    parameters: list[tuple[str, str, str]]
    pictures: list[Picture]
    diagnosis: list[str] = field(default_factory=list)
    crystals: Rows = field(default_factory=lambda: Rows((), [], 0))
    failed: Rows = field(default_factory=lambda: Rows((), [], 0))
    command: str = ""
    date: str = ""


def make_report(
    path: str, devices: Devices | None = None, *, diagnose: bool = True, shown_as: str | None = None
) -> Report:
    """Make the report on a results file.

    Parameters
    ----------
    devices
        Devices on which the diagnosis indexes a sample again; None: it tests nothing.
    diagnose
        Whether to make a diagnosis.
    shown_as
        Name of the results file in the report; None: `path`.

    Raises
    ------
    InputError
        If the file is not a results file, is damaged, or has no frames.
    """
    found, name = read_columns(path), shown_as or path
    per_cell = np.bincount(found.input_cell, minlength=len(found.input_cells))
    rows = sorted(np.argsort(-per_cell, kind="stable")[:MOST_CELLS].tolist())
    rows = [row for row in rows if per_cell[row]]
    poles = {row: _poles(found, row) for row in rows}
    diagnosis = make_diagnosis(path, devices, found) if diagnose else None
    if diagnosis is not None:
        diagnosis.path = name
    record, mark = _run(path)
    with styled():
        drawn = list(pictures(found, rows, poles))
        drawn += search_pictures(path, found, record.cell_search)
        if diagnosis is not None and diagnosis.experiment is not None:
            drawn.append(residual_picture(diagnosis.experiment))
        if diagnosis is not None and diagnosis.panels is not None and diagnosis.panels.refined.fit is not None:
            drawn.append(panel_picture(diagnosis.panels.refined))
    drawn += examples(path, found, name)
    return Report(
        name,
        _facts(found),
        _remarks(found, poles, int((per_cell > 0).sum()), mark.contest.doubt),
        {row: _cell_rows(found, row) for row in rows},
        _files(found)[:MOST_FILES],
        max(0, len(found.sources) - MOST_FILES),
        list(mark.problems),
        [
            ("ffbidx", found.header.ffbidx_version),
            ("method", found.header.method),
            ("backend", found.header.backend),
            ("device", found.header.device),
        ],
        _parameters(found),
        drawn,
        [f"Next: ffbidx diagnose {shlex.quote(name)}"] if diagnosis is None else sentences(diagnosis),
        crystal_rows(found),
        failed_rows(found),
        command_line(record.config),
        f"{datetime.fromtimestamp(os.stat(path).st_mtime):%Y-%m-%d %H:%M}",
    )


def _run(path: str) -> tuple[RunRecord, Mark]:
    """The record of the run and its notes in its results; both are empty if the results hold none."""
    try:
        _, _, record, mark, _ = read_run(path)
    except InputError:
        return RunRecord({}, ()), Mark()
    return record, mark


def _poles(found: RunColumns, row: int) -> list[PoleFigure]:
    cell = found.input_cells[row]
    tolerance = found.parameters.get("symmetry_tolerance") or SYMMETRY_TOLERANCE
    return pole_figures(found.cells[found.input_cell == row], cell, symmetry_operators(cell, tolerance))


def _facts(found: RunColumns) -> list[tuple[str, str]]:
    facts = [
        ("frames", f"{found.n_frames:,}"),
        ("indexed", f"{found.indexed.mean():.1%}"),
        ("crystals", f"{len(found.cells):,}"),
    ]
    for name, mask in (("indexed", found.indexed), ("not indexed", found.failed)):
        if mask.any():
            facts.append((f"spots per frame {name}, median", f"{np.median(found.n_spots[mask]):.0f}"))
    if len(found.cells):
        facts.append(("indexed spots per crystal, median", f"{np.median(found.n_indexed):.0f}"))
        facts.append(("rms distance, median", f"{np.median(found.rmsd):.5f}/Å"))
    return facts


def _remarks(found: RunColumns, poles: dict[int, list[PoleFigure]], n_cells: int, doubt: str) -> list[str]:
    remarks = [f"Doubt: {doubt}."] if doubt else []
    if not found.complete:
        remarks.append("The run was stopped before its end.")
    bad = int((found.status == FrameStatus.BAD_SPOTS).sum())
    unreadable = int((found.status == FrameStatus.UNREADABLE).sum())
    if bad:
        remarks.append(f"{counted(bad, 'frame')} with spots that are not finite numbers (bad_spots).")
    if unreadable:
        remarks.append(f"Inputs and frames that could not be read: {unreadable}.")
    if not len(found.cells):
        remarks.append("No crystal was found.")
    if not doubt:
        remarks += _chance_remarks(found)
    remarks += _reason_remarks(found)
    remarks += _orientation_remarks(poles)
    if others := n_cells - len(poles):
        remarks.append(f"{counted(others, 'further input cell')} with fewer crystals {are(others)} not shown.")
    return remarks


def _chance_remarks(found: RunColumns) -> list[str]:
    """A remark on how many crystals may be due to chance; empty if the run has no such limit."""
    limit, retry = found.parameters.get("max_false_rate"), found.parameters.get("retry", False)
    if limit is None or not np.isfinite(found.log10_false).any():
        return []
    number = expected_false_in_run(np.bincount(found.status, minlength=len(FrameStatus)), limit, retry)
    return [
        f"Up to about {number:.2g} of the {len(found.cells):,} crystals are expected to be due to chance "
        f"({limit:g} per frame searched{', and as many in its further tries' if retry else ''})."
    ]


def _reason_remarks(found: RunColumns) -> list[str]:
    """A remark on the commonest reason of usable frames without a crystal, and what to try."""
    counts = np.bincount(found.reason[found.failed], minlength=len(FrameReason))
    commonest = FrameReason(int(counts[1:].argmax()) + 1)
    if not counts[commonest]:
        return []
    share = counts[commonest] / counts.sum()
    return [
        f"Commonest reason of a frame without a crystal ({share:.0%} of them): {commonest.words}. "
        f"What to try: {ADVICE[commonest]}."
    ]


def _orientation_remarks(poles: dict[int, list[PoleFigure]]) -> list[str]:
    figures = [(row, figure) for row, of_cell in poles.items() for figure in of_cell]
    remarks = [
        f"Axis {figure.axis}{f' of cell {row}' if len(poles) > 1 else ''}: {in_words(figure)}"
        for row, figure in figures
        if figure.preferred
    ]
    if figures and not remarks:
        remarks.append("No preferred orientation: no axis is more unevenly directed than in random orientations.")
    return remarks


def _cell_rows(found: RunColumns, row: int) -> list[CellRow]:
    mine = found.crystal_parameters[found.input_cell == row].astype(np.float64)
    median, spread = median_and_spread(mine)
    rows = [CellRow("given", cell_parameters(found.input_cells[row]).tolist())]
    if (learned := found.learned(row)) is not None:
        rows.append(CellRow("learned", cell_parameters(learned).tolist()))
    rows.append(CellRow(f"median of {counted(len(mine), 'crystal', ',')}", median.tolist()))
    rows.append(CellRow("spread", spread.tolist()))
    return rows


def _files(found: RunColumns) -> list[tuple[str, int, float]]:
    n = np.diff(np.append(found.first_frames, found.n_frames))
    indexed = np.add.reduceat(found.indexed.astype(np.int64), found.first_frames)
    return list(zip(found.sources, n.tolist(), (indexed / n).tolist(), strict=True))


def _parameters(found: RunColumns) -> list[tuple[str, str, str]]:
    meaning = {field.name: str(field.metadata["help"]) for field in fields(Parameters)}
    return [(name, _shown(value), meaning.get(name, "")) for name, value in found.parameters.items()]


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_shown(one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
