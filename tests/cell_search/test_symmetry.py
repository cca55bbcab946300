"""The table of the symmetries that a cell nearly fulfils."""

import dataclasses

import numpy as np

from ffbidx_core.cell_search.symmetry import symmetries
from ffbidx_core.cell_search.verdict import Verdict
from ffbidx_core.model.basis import as_primitive

NEARLY_SQUARE = as_primitive(np.diag([50.0, 50.3, 80.0]))


class Changing:
    """A judge who learns a slightly larger cell each time, and prefers it."""

    def __init__(self):
        self._cell, self._evidence = NEARLY_SQUARE, 100.0

    def __call__(self, cell, frames):
        return dataclasses.replace(self.verdict, cell=as_primitive(1.004 * cell))

    def as_it_is(self, cell, like):
        self._evidence += 1
        return dataclasses.replace(self.verdict, cell=as_primitive(cell))

    def shapes(self, cell, frames):
        return np.repeat(NEARLY_SQUARE[None], 8, axis=0)

    @property
    def verdict(self):
        none = np.zeros((0, 3, 3))
        return Verdict(self._cell, self._evidence, np.arange(8), np.ones(8), none, np.zeros((0, 3)), None)


def test_a_symmetry_that_is_found_with_several_tolerances_is_in_the_table_once():
    judge = Changing()
    table = symmetries(judge.verdict, judge)
    assert [each.lattice.code for each in table] == ["oP", "tP"]
