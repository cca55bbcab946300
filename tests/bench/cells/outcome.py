"""The search of one case, and the outcome of the cases of a row."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ffbidx_core.backends import get_backend
from ffbidx_core.cell_search import CellSearch, Frames, find_cells
from ffbidx_core.cell_search.search import EVIDENCE, HITS
from ffbidx_core.cell_search.verdict import Judge
from ffbidx_core.devices.devices import OneDevice
from ffbidx_core.model.basis import as_primitive
from ffbidx_core.model.cell import Array, cell_parameters
from ffbidx_core.model.records.ragged import evenly
from ffbidx_core.model.unknown.selling import nearest_setting
from tests.bench.cells.cases import ROWS, frames_of
from tests.bench.cells.single import single_frames

LENGTHS_WITHIN, ANGLES_WITHIN = 0.005, 0.3
"""Relative error of lengths, and error of angles in degrees, within which a reduced cell is correct."""
KNOWN_ON = 100
"""Number of frames on which true cells are judged."""


def is_right(cell: Array, truth: Array, scale: bool) -> bool:
    """Whether a primitive cell is the true one; with `scale`, up to a factor on all lengths."""
    if scale:
        cell = cell * np.cbrt(abs(np.linalg.det(truth) / np.linalg.det(cell)))
    found = nearest_setting(cell, truth @ truth.T)
    if found is None:
        return False
    off = cell_parameters(found[0]) - cell_parameters(truth)
    lengths = np.abs(off[:3]) / np.linalg.norm(truth, axis=1)
    return bool(lengths.max() < LENGTHS_WITHIN and np.abs(off[3:]).max() < ANGLES_WITHIN)


@dataclass(frozen=True)
class Case:
    """A case to run.

    Attributes
    ----------
    row : int
        Number of its row in `ROWS`.
    code : str
        Bravais type of its lattice.
    seed : int
        Seed of its lattice and frames.
    backend : str
        Backend of the search.
    beside : bool
        Whether the methods of one frame at a time are tried, too.
    known : bool
        Whether the true cell is judged instead of a search.
    """

    row: int
    code: str
    seed: int
    backend: str
    beside: bool
    known: bool


@dataclass(frozen=True)
class Outcome:
    """The outcome of a case.

    Attributes
    ----------
    found, typed : bool
        Whether all cells are found, and have their true types.
    wrong : int
        Number of wrong claims.
    seconds : float
        Time of the search.
    three, joint : bool
        Whether single frames agree on the true cell, by their three best vectors and by their best joint triple.
    note : str
        Seed, true and found cells of a case that failed.
    """

    found: bool
    typed: bool
    wrong: int
    seconds: float
    three: bool = False
    joint: bool = False
    note: str = ""


@functools.cache
def _device(backend: str) -> tuple[OneDevice, Callable[[], float]]:
    """The device that searches, and the clock that its time is taken with."""
    if backend == "cpu":
        return OneDevice(get_backend("cpu", threads=1)), time.process_time
    return OneDevice(get_backend(backend)), time.perf_counter


def run(case: Case) -> tuple[Case, Outcome]:
    """Run the search on a case; its time is that of one thread, or on a GPU the time that passes."""
    row = ROWS[case.row]
    frames, truth = frames_of(row, case.code, case.seed)
    devices, clock = _device(case.backend)
    start = clock()
    if case.known:
        claimed = all(_is_claimed(devices, frames, true) for _, true in truth)
        return case, Outcome(claimed, claimed, 0, clock() - start)
    search = find_cells(frames, devices, most_cells=2 if row.second else 1)
    seconds = clock() - start
    scale = "distance_error" in row.settings
    right = [[is_right(cell.symmetry.lattice.primitive, true, scale) for _, true in truth] for cell in search.cells]
    found = bool(truth) and all(any(each[k] for each in right) for k in range(len(truth)))
    wrong = sum(not any(each) for each in right)
    three, joint = single_frames(frames, truth[0][1]) if case.beside and len(truth) == 1 else (False, False)
    wanted = ", ".join(f"{code} {cell_parameters(cell).round(1)}" for code, cell in truth)
    shown = ", ".join(f"{c.symmetry.lattice.code} {cell_parameters(c.primitive).round(1)}" for c in search.cells)
    note = "" if found and _typed(search, truth, right) else f"seed {case.seed}: {wanted}; found: {shown}"
    typed = found and _typed(search, truth, right)
    return case, Outcome(found, typed, wrong, seconds, three, joint, note)


def _is_claimed(devices: OneDevice, frames: Frames, cell: Array) -> bool:
    """Whether a true primitive cell is claimed from `KNOWN_ON` frames, which is the limit of a search by verdicts."""
    verdict = Judge(devices, frames)(as_primitive(cell), evenly(np.arange(frames.n_frames), KNOWN_ON))
    return verdict.evidence > EVIDENCE and verdict.hits >= HITS


def _typed(search: CellSearch, truth: list[tuple[str, Array]], right: list[list[bool]]) -> bool:
    """Whether all correct cells have their true types."""
    return all(
        cell.symmetry.lattice.code == truth[each.index(True)][0]
        for cell, each in zip(search.cells, right, strict=True)
        if any(each)
    )


def as_row(number: int, outcomes: list[Outcome], beside: bool) -> dict[str, Any]:
    """The numbers of a row, which are shares with their standard errors."""
    row, n = ROWS[number], len(outcomes)
    found = sum(each.found for each in outcomes)

    def share(k: int, of: int) -> tuple[float | None, float | None]:
        # One case is added to either side for the error, so that shares of 0 and 1 have an error, too.
        p = (k + 1) / (of + 2)
        return (k / of, float(np.sqrt(p * (1 - p) / (of + 2)))) if of else (None, None)

    values: dict[str, Any] = {"what": row.name, "frames": row.frames, "cases": n, "blank": row.blank}
    if not row.blank:
        values["found"], values["found_error"] = share(found, n)
        values["typed"], values["typed_error"] = share(sum(each.typed for each in outcomes), found)
    values["wrong"] = sum(each.wrong for each in outcomes)
    if beside and not row.blank and not row.second:
        values["three"] = sum(each.three for each in outcomes) / n
        values["joint"] = sum(each.joint for each in outcomes) / n
    values["seconds"] = float(np.median([each.seconds for each in outcomes]))
    return values


def line(values: dict[str, Any]) -> str:
    """The text of a row of the table."""

    def shown(name: str) -> str:
        if values.get(name) is None:
            return f"{'':12}"
        error = values.get(f"{name}_error")
        return f"{values[name]:6.3f}" + (f" {error:5.3f}" if error is not None else 6 * " ")

    shares = " ".join(shown(name) for name in ("found", "typed", "three", "joint"))
    return f"{values['what']:46} {values['cases']:5} {shares} {values['wrong']:6} {values['seconds']:8.1f}"
