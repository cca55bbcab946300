"""The numbers of input cells."""

import numpy as np

from ffbidx_core.model.cell_numbers import CellNumbers

A, B, C = np.diag([50.0, 60.0, 70.0]), np.diag([50.0, 60.0, np.nextafter(70.0, 71.0)]), np.diag([40.0, 40.0, 90.0])


def test_cells_are_numbered_as_they_come_up_and_keep_their_numbers():
    numbers = CellNumbers()
    assert numbers.of([C, A]).tolist() == [0, 1]
    assert numbers.of([A, B, C]).tolist() == [1, 2, 0]
    np.testing.assert_array_equal(numbers.cells, [C, A, B])
    assert len(numbers) == 3


def test_cells_that_differ_in_the_last_bit_are_two_and_minus_zero_is_zero():
    numbers = CellNumbers()
    assert numbers.of([A, B, A * -1.0 * -1.0, np.where(A == 0, -0.0, A)]).tolist() == [0, 1, 0, 0]


def test_a_cell_is_looked_up_without_being_numbered():
    numbers = CellNumbers()
    assert numbers.find(A) is None
    assert len(numbers) == 0
    numbers.of([C, A])
    assert numbers.find(A) == 1


def test_no_cells_have_no_numbers():
    numbers = CellNumbers()
    assert numbers.of(np.zeros((0, 3, 3))).shape == (0,)
    assert numbers.cells.shape == (0, 3, 3)
