"""The sentences of a diagnosis about its cell: they agree with each other."""

from types import SimpleNamespace

import numpy as np
import pytest

from ffbidx_core.diagnose.cells import CellFinding
from ffbidx_core.diagnose.diagnosis import Diagnosis
from ffbidx_core.diagnose.words import _cells

GIVEN = np.array([61.0, 122.0, 168.0, 90.0, 90.0, 90.0])
"""Parameters of an input cell, angstrom and degrees."""
ERROR = np.full(6, 0.01)
"""Errors of the medians, angstrom and degrees."""


def of_cells(*medians, cause="none", **others):
    """The diagnosis of a run whose crystals have these median parameters; the first input cell has most of them."""
    cells = [CellFinding(row, 20, GIVEN, median, ERROR, ERROR, False) for row, median in enumerate(medians)]
    experiment = SimpleNamespace(cause=cause, reference=0)
    return Diagnosis("run.h5", 20, [0, 20], cells, n_sampled=20, experiment=experiment, **others)


@pytest.mark.parametrize("cause", ["none", "distance", "unknown"])
def test_a_cell_with_the_given_medians_is_as_given(cause):
    (sentence,) = _cells(of_cells(GIVEN, cause=cause))
    assert sentence == "The cell is as given within the errors, by the median of 20 crystals."


@pytest.mark.parametrize(
    "finding",
    [{"cause": "cell"}, {"cause": "both"}, {"multiple": object()}, {"doubt": "other lattices explain the spots"}],
)
def test_a_cell_that_another_sentence_calls_wrong_is_not_said_to_be_as_given(finding):
    assert list(_cells(of_cells(GIVEN, **finding))) == []
    assert "is not as given" in next(_cells(of_cells(GIVEN + 1.0, **finding)))


def test_a_multiple_concerns_only_the_cell_with_most_crystals():
    (sentence,) = _cells(of_cells(GIVEN, GIVEN, multiple=object()))
    assert sentence.startswith("Cell 1 is as given")
