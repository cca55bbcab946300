"""The plain mode of formulas, in which a formula becomes Python source that Numba compiles in the usual way.

The module `formula` emits LLVM instructions through internals of Numba. If a version of Numba changes these, the
environment variable `FFBIDX_FORMULAS=plain` selects a mode that does not use them and turns each instruction into a
line of Python. It takes longer to compile and gives slower kernels; the tests compare the results of both modes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import overload

F = TypeVar("F", bound=Callable[..., Any])

PLAIN = os.environ.get("FFBIDX_FORMULAS") == "plain"
"""Whether the formulas of this process are compiled in plain mode."""

EXPRESSIONS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "fadd": "{0} + {1}",
    "fsub": "{0} - {1}",
    "fmul": "{0} * {1}",
    "fdiv": "{0} / {1}",
    "and_": "{0} & {1}",
    "or_": "{0} | {1}",
    "ashr": "{0} >> {1}",
    "fcmp_ordered": "{1} {0} {2}",
    "icmp_signed": "{1} {0} {2}",
    "select": "{1} if {0} else {2}",
    "load": "{0}",
    "llvm.fabs": "abs({0})",
    "llvm.rint": "np.rint({0})",
    "llvm.sqrt": "math.sqrt({0})",
    "llvm.cos": "math.cos({0})",
    "llvm.sin": "math.sin({0})",
    "llvm.minnum": "np.fmin({0}, {1})",
    "llvm.maxnum": "np.fmax({0}, {1})",
} | dict.fromkeys(("fpext", "fptrunc", "uitofp", "sitofp", "fptosi", "zext", "sext"), "{1}({0})")
"""Python expression for each LLVM instruction, and each of LLVM's functions, that formulas use."""
NAMES = {
    ir.FloatType(): "np.float32",
    ir.DoubleType(): "np.float64",
    ir.IntType(1): "bool",
    ir.IntType(32): "np.int32",
    ir.IntType(64): "np.int64",
}
"""Python name of each LLVM type."""
SAME_BITS = {
    ir.FloatType(): ir.IntType(32),
    ir.IntType(32): ir.FloatType(),
    ir.DoubleType(): ir.IntType(64),
    ir.IntType(64): ir.DoubleType(),
}
"""The type as which the bits of a number of each LLVM type are reinterpreted."""


def text_of(value: Any) -> str:
    """The Python text of an operand: a constant, a type, or the name of an earlier line's result."""
    if isinstance(value, ir.Constant):
        return f"{NAMES[value.type]}({value.constant!r})"
    return NAMES[value] if isinstance(value, ir.Type) else str(value)


class Lines:
    """The Python lines of a formula, written through the same methods as those of LLVM's builder."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.module = SimpleNamespace(declare_intrinsic=lambda name, *_: name)

    def __getattr__(self, instruction: str) -> Callable[..., str]:
        return lambda *operands: self._line(EXPRESSIONS[instruction], *operands)

    def _line(self, expression: str, *operands: Any) -> str:
        """Write a line that assigns an expression to a new name, and return the name."""
        name, written = f"x{len(self.lines)}", expression.format(*map(text_of, operands))
        # Numba computes the sum of two 32-bit integers in 64 bits.
        if any(isinstance(x, ir.Constant) and x.type == ir.IntType(32) for x in operands):
            written = f"np.int32({written})"
        self.lines.append(f"{name} = {written}")
        return name

    def call(self, function: str, operands: list[Any]) -> str:
        """Write a call of one of LLVM's own functions."""
        return self._line(EXPRESSIONS[function], *operands)

    def bitcast(self, value: Any, kind: ir.Type) -> str:
        """Write the reinterpretation of a floating-point number's bits as an integer, or the reverse."""
        # Numba must see the type of the number whose bits are reinterpreted.
        return self._line("{2}({0}).view({1})", value, kind, SAME_BITS[kind])

    def store(self, value: Any, place: str) -> None:
        """Write the assignment of a value to a place in an array."""
        self.lines.append(f"{place} = {text_of(value)}")


def written(function: Callable[..., Any], operands: Callable[[Lines, Any, str], Any], kinds: tuple[Any, ...]) -> str:
    """The source of a Python function `plain` that computes a formula for arguments of given types.

    Parameters
    ----------
    function
        The formula.
    operands
        Function that makes the operand for the lines, a Numba type and a name.
    kinds
        Numba types of the arguments.
    """
    names, lines = [f"a{i}" for i in range(len(kinds))], Lines()
    result = function(*(operands(lines, kind, name) for kind, name in zip(kinds, names, strict=True)))
    body = [*lines.lines, f"return {_result(result)}"]
    return f"def plain({', '.join(names)}):\n    " + "\n    ".join(body) + "\n"


def _result(result: Any) -> str:
    """The Python text of the result of a formula."""
    if isinstance(result, tuple):
        return "(" + "".join(f"{_result(part)}, " for part in result) + ")"
    return "None" if result is None else text_of(result.value)


def compiled_plainly(function: F, operands: Callable[[Lines, Any, str], Any]) -> F:
    """Make kernels that call a formula call the equivalent Python function instead."""

    def definition(*kinds: Any) -> Any:
        namespace = {"np": np, "math": math}
        exec(written(function, operands, tuple(types.unliteral(kind) for kind in kinds)), namespace)
        return namespace["plain"]

    overload(function, strict=False, jit_options={"error_model": "numpy", "_nrt": False})(definition)
    return function
