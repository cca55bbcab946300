"""Units, and primitive and conventional cells, that the type checker holds apart."""

import re
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT

SHIFTS = """
import numpy as np
from ffbidx_core.model.detector.beam_shift import BeamShift, Radian, ShiftAlone
from ffbidx_core.model.detector.pixels import spots_of_moved_detector

spots, wavelength = np.zeros((4, 3)), np.ones(4)
"""
RIGHT = """
shift = BeamShift(mrad=(1.5, -0.5))
ShiftAlone(shift)
spots_of_moved_detector(spots, wavelength, shift.radian)
BeamShift.from_radian(Radian(np.array([0.0015, -0.0005])))
"""
WRONG = {
    "mrad to a formula": "spots_of_moved_detector(spots, wavelength, BeamShift(mrad=(1.5, -0.5)).mrad)",
    "a shift without its unit to a formula": "spots_of_moved_detector(spots, wavelength, np.array([1.5, -0.5]))",
    "a shift scaled by hand to a formula": (
        "spots_of_moved_detector(spots, wavelength, 1e3 * BeamShift(mrad=(1.5, -0.5)).radian)"
    ),
    "radian to a geometry": "ShiftAlone(BeamShift(mrad=(1.5, -0.5)).radian)",
    "radian as mrad": "BeamShift(mrad=Radian(np.array([0.0015, -0.0005])))",
    "mrad as radian": "BeamShift.from_radian(BeamShift(mrad=(1.5, -0.5)).mrad)",
    "numbers without their unit": "BeamShift((1.5, -0.5))",
}

CELLS = """
import numpy as np
from ffbidx_core.devices import Devices
from ffbidx_core.learn import learn
from ffbidx_core.model.basis import ChangeOfBasis, ConventionalCells, PrimitiveCells
from ffbidx_core.model.crystal import miller_indices
from ffbidx_core.model.lattice import InputCell, Lattice
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.frame import BatchResult, ConventionalResult, FrameBlock
from ffbidx_core.parameters import Parameters
from ffbidx_core.write import ResultsWriter

p, spots, offsets = Parameters(), np.zeros((4, 3)), np.array([0, 4])

def lines(
    devices: Devices, plan: SearchPlan, change: ChangeOfBasis, given: ConventionalCells, primitive: PrimitiveCells,
    writer: ResultsWriter, block: FrameBlock, found: BatchResult, result: ConventionalResult,
) -> None:
    status, rows = np.zeros(1, np.uint8), np.zeros(1, np.int32)
"""
RIGHT_CELLS = """
    SearchPlan.make(change.primitive(given), p)
    learn(devices, spots, offsets, primitive, p)
    devices.index_frames(spots, offsets, plan, p, given_cells=primitive)
    rows = writer.input_rows(change.conventional(primitive))
    writer.add(block, result, status, rows)
    InputCell(given, Lattice())
    miller_indices(spots, given)
"""
WRONG_CELLS = {
    "conventional cells to the search": "SearchPlan.make(given, p)",
    "cells of no kind to the search": "SearchPlan.make(np.eye(3)[None], p)",
    "conventional cells of a drift to the search": "devices.index_frames(spots, offsets, plan, p, given_cells=given)",
    "conventional cells to learn from": "learn(devices, spots, offsets, given, p)",
    "cells changed by hand to the search": "SearchPlan.make(change.to_primitive @ given, p)",
    "conventional cells made conventional": "change.conventional(given)",
    "primitive cells made primitive": "change.primitive(primitive)",
    "primitive cells to a results file": "writer.input_rows(primitive)",
    "the result of a search to a results file": "writer.add(block, found, status, rows)",
    "a primitive cell as a user's": "InputCell(primitive, Lattice())",
    "Miller indices on a primitive cell": "miller_indices(spots, primitive)",
}


@pytest.fixture(scope="module")
def errors(tmp_path_factory):
    """The errors that the type checker finds in each of the wrong lines, and in the right ones, by their names."""
    snippets = {"right shifts": SHIFTS + RIGHT, "right cells": CELLS + RIGHT_CELLS}
    snippets |= {name: f"{SHIFTS}{line}\n" for name, line in WRONG.items()}
    snippets |= {name: f"{CELLS}    {line}\n" for name, line in WRONG_CELLS.items()}
    folder = tmp_path_factory.mktemp("snippets")
    paths = {name: folder / f"snippet_{k}.py" for k, name in enumerate(snippets)}
    for name, path in paths.items():
        path.write_text(snippets[name])
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), *map(str, paths.values())]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    errors = [line for line in output.splitlines() if ": error: " in line]
    return {name: [line for line in errors if f"/{path.name}:" in line] for name, path in paths.items()}


def test_a_beam_shift_in_the_right_unit_passes_the_type_checker(errors):
    assert errors["right shifts"] == []


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_unit_of_a_beam_shift_is_a_type_error(errors, name):
    (error,) = errors[name]
    assert error.endswith(("[arg-type]", "[call-arg]"))


def test_cells_of_the_right_kind_pass_the_type_checker(errors):
    assert errors["right cells"] == []


@pytest.mark.parametrize("name", WRONG_CELLS)
def test_cells_of_the_wrong_kind_are_a_type_error(errors, name):
    (error,) = errors[name]
    assert error.endswith(("[arg-type]", "[typeddict-item]"))


def test_cells_get_their_kind_in_one_module():
    made = re.compile(r"\b(?:PrimitiveCells|ConventionalCells)\(")
    places = [path for room in ("ffbidx_core", "ffbidx_cli") for path in sorted((ROOT / room).rglob("*.py"))]
    assert [path.name for path in places if made.search(path.read_text())] == ["basis.py"]
