"""Formulas compiled for kernels against the same functions called with Python's numbers."""

import functools
import math

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffbidx_core.backends.cpu import algebra
from ffbidx_core.backends.cpu.formula import (
    clipped,
    cosine_and_sine,
    double,
    exponent_and_mantissa,
    formula,
    nearest,
    root,
    single,
    where,
    whole,
)

NUMBERS = st.floats(-100, 100)
MATRICES = st.lists(NUMBERS, min_size=9, max_size=9).map(lambda x: tuple(zip(x[:3], x[3:6], x[6:], strict=True)))


@functools.cache
def kernel_of(function):
    inside = formula(function)

    @numba.njit
    def kernel(packed):
        return inside(*packed)

    return kernel


def compiled(function, *arguments):
    """What a kernel gets from a formula."""
    return kernel_of(function)(arguments)


def operators(x, y):
    return (
        x + y,
        x - y,
        x * y,
        x / (abs(y) + 1),
        2 - x,
        3 * x,
        x + 1,
        1 / (x * x + 1),
        -x,
        abs(x),
        nearest(x),
        where(x < y, x, 0.0),
        where((x < y) & (y > 1), x, y),
        where((x < y) | (x >= 1), x, y),
        clipped(x, -1, y),
        root(abs(x)),
        *cosine_and_sine(x),
    )


@given(NUMBERS, NUMBERS)
@settings(max_examples=25, deadline=None)
def test_operators(x, y):
    np.testing.assert_allclose(compiled(operators, x, y), operators(x, y), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("half", [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
def test_halves_go_to_even_numbers(half):
    assert compiled(lambda x: nearest(x), half) == round(half)


def test_of_two_floats_the_wider_one_wins():
    third = np.float32(1 / 3)
    assert compiled(lambda x, y: x + y, third, 1 / 3) == float(third) + 1 / 3
    assert compiled(lambda x: x + 1 / 3, third) == pytest.approx(float(third + third), abs=0)
    assert compiled(lambda x: double(x) + 1 / 3, third) == float(third) + 1 / 3
    assert compiled(lambda x: single(x) * 3, 1 / 3) == float(np.float32(1 / 3) * np.float32(3))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("x", [1.0, 1.9999999, 2.0, 3.0, 0.1, 1e-30, 7e30])
def test_exponents(x, kind):
    exponent, mantissa = compiled(exponent_and_mantissa, kind(x))
    m, e = math.frexp(kind(x))
    assert (exponent, mantissa) == (e - 1, 2 * m)


def test_integers():
    assert compiled(lambda i, j: where(i < j, i + 2, j * 3), 4, 5) == 6
    assert compiled(lambda i, j: where(i < j, i + 2, j * 3), 5, 5) == 15
    assert compiled(lambda x: whole(x), 2.9) == 2
    assert compiled(lambda x, n: n + whole(x > 1), 2.9, 7) == 8


def test_arrays():
    def swap(table, i, j):
        table[i, 0], table[j, 1] = table[j, 1] + 1, table[i, 0]

    inside = formula(swap)

    @numba.njit
    def kernel(table):
        inside(table, 1, 2)

    table = np.arange(6.0, dtype=np.float32).reshape(3, 2)
    kernel(table)
    np.testing.assert_array_equal(table, [[0, 1], [6, 3], [4, 2]])


def test_an_array_of_another_order_is_refused():
    with pytest.raises(TypeError, match="C order"):
        compiled(lambda table: table[0, 0], np.zeros((3, 2)).T)


def solution(m, right):
    return algebra.solution(m, right, 0.0)


@given(MATRICES, st.tuples(NUMBERS, NUMBERS, NUMBERS))
@settings(max_examples=25, deadline=None)
def test_algebra(m, v):
    a = np.array(m)
    np.testing.assert_allclose(compiled(algebra.multiplied, m, m), a @ a, atol=1e-10)
    np.testing.assert_allclose(compiled(algebra.cross, m[0], v), np.cross(a[0], v), atol=1e-10)
    np.testing.assert_allclose(
        compiled(algebra.turned, m, tuple(0.01 * x for x in v)), a @ rotation(0.01 * np.array(v)), atol=1e-10
    )
    positive = a @ a.T + np.eye(3)
    rows = tuple(tuple(row) for row in positive.tolist())
    wanted = np.linalg.solve(positive, v)
    size = 1e-9 * np.linalg.cond(positive) * max(1, np.abs(wanted).max())
    for solver in (algebra.cholesky_solution, solution):
        solved, x = compiled(solver, rows, v)
        assert solved
        np.testing.assert_allclose(x, wanted, atol=size)
    regular, recip = compiled(algebra.reciprocal, rows)
    assert regular
    np.testing.assert_allclose(recip, np.linalg.inv(positive).T, atol=1e-9 * np.linalg.cond(positive))


def rotation(x):
    """The matrix that turns row vectors by the rotation vector x."""
    angle = np.linalg.norm(x)
    cross = np.array([[0, x[2], -x[1]], [-x[2], 0, x[0]], [x[1], -x[0], 0]])
    if angle == 0:
        return np.eye(3)
    return np.eye(3) + np.sin(angle) / angle * cross + (1 - np.cos(angle)) / angle**2 * cross @ cross


def test_singular_and_indefinite_matrices_are_told():
    flat = ((1.0, 2.0, 3.0), (2.0, 4.0, 6.0), (0.0, 0.0, 1.0))
    assert not compiled(algebra.reciprocal, flat)[0]
    indefinite = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))
    assert not compiled(algebra.cholesky_solution, indefinite, (1.0, 1.0, 1.0))[0]
    assert not compiled(solution, indefinite, (1.0, 1.0, 1.0))[0]
