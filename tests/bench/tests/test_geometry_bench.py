import numpy as np
import pytest

from ffbidx_core.model.cell import cell_from_parameters, symmetry_operators
from ffbidx_core.model.vectors import rotations
from tests.bench.geometry import CASES, FIRST_SEED, LYSOZYME, STRONG, Case, figures, line, run, turns_between


def test_a_row_of_the_benchmark():
    case = Case(STRONG, 1.0, frames=24, panels=32)
    done = run((case, 3))
    row = figures(case, [done, done])
    assert row["moved"] == row["runs"] == 2
    assert row["refined"] == row["true"] == 1.0
    assert row["off"] < 0.4
    assert row["after"] < row["before"]
    assert case.name in line(row)


def test_turns_are_measured_up_to_symmetry():
    cell = cell_from_parameters(LYSOZYME)
    operators = symmetry_operators(cell, 1e-3)
    turn = np.deg2rad([0.1, -0.2, 0.3])
    found = turns_between(operators[3] @ cell @ rotations(turn).T, cell, operators)
    nearest = found[np.linalg.norm(found, axis=1).argmin()]
    assert nearest == pytest.approx(np.array([0.1, -0.2, 0.3]), abs=1e-6)


def test_cases_differ_and_the_gate_has_right_and_wrong_panels():
    assert len({case.name for case in CASES}) == len(CASES)
    assert {case.off > 0 for case in CASES if case.gate} == {False, True}
    assert FIRST_SEED > 100
