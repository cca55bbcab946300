"""Formulas compiled by Numba as ordinary functions give what the instructions written by `formula` give."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from numba import types

from ffbidx_core.backends.cpu import algebra, formula
from ffbidx_core.backends.cpu.plain import written
from tests.helpers.parity.cpu_verbs import results
from tests.helpers.paths import ROOT

IN_FLOAT32 = {"rigid": 1e-4, "distances, fractional False": 1e-6, "distances, fractional True": 1e-4}
"""Largest differences of the verbs that compute in float32, in the units of the arrays; of all others 1e-9."""


def test_every_verb_gives_the_same_in_plain_mode(tmp_path):
    kept = tmp_path / "plain.npz"
    code = f"from tests.helpers.parity.cpu_verbs import keep; keep({str(kept)!r})"
    environment = os.environ | {"FFBIDX_FORMULAS": "plain", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    plain, usual = dict(np.load(kept)), results()
    assert (plain.pop("plain"), usual.pop("plain")) == (True, False)
    assert plain.keys() == usual.keys()
    for name, wanted in usual.items():
        np.testing.assert_allclose(plain[name], wanted, rtol=0, atol=IN_FLOAT32.get(name, 1e-9), err_msg=name)


def run(function, *arguments):
    """A formula written down for arguments of these types, and run by Python."""
    kinds = {float: types.float64, int: types.int64}
    namespace = {"np": np, "math": math}
    kind = tuple(
        types.Array(types.float64, x.ndim, "C") if isinstance(x, np.ndarray) else kinds[type(x)] for x in arguments
    )
    exec(written(function, formula._plain_operand, kind), namespace)
    return namespace["plain"](*arguments)


def test_the_source_of_a_formula_is_python():
    cell = np.array([[[[3.0, 0.2, 0.1], [0.0, 4.0, 0.3], [0.5, 0.0, 5.0]]]])

    def reciprocal(cells, f, q):
        return algebra.reciprocal(algebra.matrix(cells, f, q))

    regular, recip = run(reciprocal, cell, 0, 0)
    assert regular
    np.testing.assert_allclose(recip, np.linalg.inv(cell[0, 0]).T, rtol=1e-13)


@pytest.mark.parametrize("x", [1.0, 1.9999999, 2.0, 3.0, 0.1, 1e-30, 7e30])
def test_the_bits_of_a_number_are_taken(x):
    exponent, mantissa = run(lambda x: formula.exponent_and_mantissa(formula.single(x)), x)
    assert mantissa * 2.0**exponent == np.float32(x)
    assert 1 <= mantissa < 2
    exponent, mantissa = run(formula.exponent_and_mantissa, x)
    assert mantissa * 2.0**exponent == x
    assert 1 <= mantissa < 2
