"""Formulas for kernels: arithmetic without branches, written as Python functions of numbers.

Numba takes milliseconds to type and translate each operator, and the thousands of operators in the kernels made the
first start slow. A formula is therefore called once with operands that emit the machine instruction of each operator,
so that Numba sees a single call and compiles only loops and decisions. Python loops in a formula are unrolled.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .plain import PLAIN, compiled_plainly, text_of

F = TypeVar("F", bound=Callable[..., Any])

LLVM = {
    types.float32: ir.FloatType(),
    types.float64: ir.DoubleType(),
    types.boolean: ir.IntType(1),
    types.int32: ir.IntType(32),
    types.int64: ir.IntType(64),
}
FLOATS = (types.float32, types.float64)


class Number:
    """An operand while a formula is translated: its Numba type, and its LLVM value unless only types are needed.

    A Python number takes the type of the other operand; of two floating-point types the wider one is used.
    """

    __slots__ = ("builder", "kind", "value")

    def __init__(self, builder: Any, kind: Any, value: Any) -> None:
        self.builder, self.kind, self.value = builder, kind, value

    def __add__(self, other: Any) -> Number:
        return self._operate("add", self, other)

    def __radd__(self, other: Any) -> Number:
        return self._operate("add", other, self)

    def __sub__(self, other: Any) -> Number:
        return self._operate("sub", self, other)

    def __rsub__(self, other: Any) -> Number:
        return self._operate("sub", other, self)

    def __mul__(self, other: Any) -> Number:
        return self._operate("mul", self, other)

    def __rmul__(self, other: Any) -> Number:
        return self._operate("mul", other, self)

    def __truediv__(self, other: Any) -> Number:
        return self._operate("div", self, other)

    def __rtruediv__(self, other: Any) -> Number:
        return self._operate("div", other, self)

    def __neg__(self) -> Number:
        return 0 - self

    def __abs__(self) -> Number:
        return _call("llvm.fabs", self)

    def __lt__(self, other: Any) -> Number:
        return self._compare("<", other)

    def __gt__(self, other: Any) -> Number:
        return self._compare(">", other)

    def __ge__(self, other: Any) -> Number:
        return self._compare(">=", other)

    def __and__(self, other: Number) -> Number:
        return self.write(self.kind, "and_", self.value, other.value)

    def __or__(self, other: Number) -> Number:
        return self.write(self.kind, "or_", self.value, other.value)

    def write(self, kind: Any, instruction: str, *values: Any) -> Number:
        """The result of an instruction of LLVM's builder, as an operand."""
        return Number(self.builder, kind, self.builder and getattr(self.builder, instruction)(*values))

    def _operate(self, name: str, a: Any, b: Any) -> Number:
        a, b = _alike(a, b)
        return self.write(a.kind, "f" + name if a.kind in FLOATS else name, a.value, b.value)

    def _compare(self, sign: str, other: Any) -> Number:
        a, b = _alike(self, other)
        return self.write(types.boolean, "fcmp_ordered" if a.kind in FLOATS else "icmp_signed", sign, a.value, b.value)


class Table:
    """A C-ordered array while a formula is translated. Indices are not checked: they must lie in the array."""

    def __init__(self, builder: Any, kind: Any, context: Any, value: Any) -> None:
        if kind.layout != "C":
            raise TypeError(f"a formula takes arrays of C order, not {kind}")
        self.builder, self.kind, self.context = builder, kind, context
        self.array = builder and self._array(context, value)

    def __getitem__(self, indices: Any) -> Number:
        return Number(self.builder, self.kind.dtype, self.builder and self.builder.load(self._place(indices)))

    def __setitem__(self, indices: Any, number: Any) -> None:
        number = as_kind(number, self.kind.dtype, self.builder)
        if self.builder:
            self.builder.store(number.value, self._place(indices))

    def _place(self, indices: Any) -> Any:
        indices = indices if isinstance(indices, tuple) else (indices,)
        return self._at([as_kind(index, types.int64, self.builder).value for index in indices])

    def _array(self, context: Any, value: Any) -> Any:
        return context.make_array(self.kind)(context, self.builder, value)

    def _at(self, places: list[Any]) -> Any:
        shape, strides = (cgutils.unpack_tuple(self.builder, part) for part in (self.array.shape, self.array.strides))
        return cgutils.get_item_pointer2(
            self.context, self.builder, self.array.data, shape, strides, "C", places, wraparound=False
        )


class PlainTable(Table):
    """An array while a formula is translated in plain mode."""

    def _array(self, context: Any, value: Any) -> Any:
        return value

    def _at(self, places: list[Any]) -> Any:
        return f"{self.array}[{', '.join(map(text_of, places))}]"


def as_kind(x: Any, kind: Any, builder: Any = None) -> Number:
    """A number converted to another type."""
    if not isinstance(x, Number):
        return Number(builder, kind, builder and ir.Constant(LLVM[kind], x))
    if x.kind == kind:
        return x
    wide = LLVM[kind]
    if x.kind in FLOATS and kind in FLOATS:
        return x.write(kind, "fpext" if kind == types.float64 else "fptrunc", x.value, wide)
    if kind in FLOATS:
        return x.write(kind, "uitofp" if x.kind == types.boolean else "sitofp", x.value, wide)
    if kind == types.int64:
        instruction = "fptosi" if x.kind in FLOATS else "zext" if x.kind == types.boolean else "sext"
        return x.write(kind, instruction, x.value, wide)
    raise TypeError(f"a formula does not turn {x.kind} into {kind}")


def _alike(a: Any, b: Any) -> tuple[Number, Number]:
    """Two operands converted to their common type."""
    numbers = [x for x in (a, b) if isinstance(x, Number)]
    kinds = {x.kind for x in numbers}
    kind = kinds.pop() if len(kinds) == 1 else types.float64
    builder = numbers[0].builder
    return as_kind(a, kind, builder), as_kind(b, kind, builder)


def _call(name: str, *operands: Number) -> Number:
    """The result of one of LLVM's own functions, for operands of the same type."""
    x = operands[0]
    if x.builder is None:
        return x
    kind = LLVM[x.kind]
    function = x.builder.module.declare_intrinsic(name, [kind], ir.FunctionType(kind, [kind] * len(operands)))
    return x.write(x.kind, "call", function, [each.value for each in operands])


def whole(x: Any) -> Number:
    """A number truncated to an integer."""
    return as_kind(x, types.int64)


def single(x: Any) -> Any:
    """A number, or each number in a tuple, converted to float32."""
    return tuple(single(each) for each in x) if isinstance(x, tuple) else as_kind(x, types.float32)


def double(x: Any) -> Any:
    """A number, or each number in a tuple, converted to float64."""
    return tuple(double(each) for each in x) if isinstance(x, tuple) else as_kind(x, types.float64)


def nearest(x: Any) -> Any:
    """The nearest integer, as a floating-point number; halves are rounded to even."""
    return _call("llvm.rint", x) if isinstance(x, Number) else float(round(x))


def root(x: Any) -> Any:
    """The square root of a number."""
    return _call("llvm.sqrt", x) if isinstance(x, Number) else math.sqrt(x)


def cosine_and_sine(x: Any) -> tuple[Any, Any]:
    """The cosine and the sine of an angle in radian."""
    if isinstance(x, Number):
        return _call("llvm.cos", x), _call("llvm.sin", x)
    return math.cos(x), math.sin(x)


def where(condition: Any, a: Any, b: Any) -> Any:
    """a if the condition holds, else b, both of which are computed; tuples are treated element by element."""
    if isinstance(a, tuple):
        return tuple(where(condition, *pair) for pair in zip(a, b, strict=True))
    if not isinstance(condition, Number):
        return a if condition else b
    if not isinstance(a, Number) and not isinstance(b, Number):
        a, b = float(a), as_kind(b, types.float64, condition.builder)
    a, b = _alike(a, b)
    return condition.write(a.kind, "select", condition.value, a.value, b.value)


def clipped(x: Any, low: Any, high: Any) -> Any:
    """A number clipped to the range from low to high."""
    if not isinstance(x, Number):
        return min(max(x, low), high)
    return _call("llvm.minnum", *_alike(_call("llvm.maxnum", *_alike(x, low)), high))


def exponent_and_mantissa(x: Number) -> tuple[Number, Number]:
    """The exponent e and the mantissa m in [1, 2) of a positive number x = m 2^e, in float32 or float64."""
    kind, size, bias = (types.int32, 23, 127) if x.kind == types.float32 else (types.int64, 52, 1023)
    shift, below, one = (as_kind(bits, kind, x.builder) for bits in (size, (1 << size) - 1, bias << size))
    bits = x.write(kind, "bitcast", x.value, LLVM[kind])
    exponent = as_kind(x.write(kind, "ashr", bits.value, shift.value) - bias, x.kind)
    return exponent, x.write(x.kind, "bitcast", (bits & below | one).value, LLVM[x.kind])


def formula(function: F) -> F:
    """Turn a function into a formula, which kernels can call.

    It takes numbers, tuples of numbers and C-ordered arrays, and returns a number, a tuple of numbers, or None. The
    module `plain` describes the mode that needs no internals of Numba.
    """
    if PLAIN:
        return compiled_plainly(function, _plain_operand)

    def definition(typing_context: Any, *kinds: Any) -> Any:
        arguments = tuple(types.unliteral(kind) for kind in kinds)
        result = function(*(_operand(None, None, kind, None) for kind in arguments))

        def write(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            operands = (_operand(builder, context, kind, v) for kind, v in zip(arguments, values, strict=True))
            return _value_of(function(*operands), context, builder)

        return _kind_of(result)(*arguments), write

    named = inspect.signature(function)
    context = inspect.Parameter("typing_context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    definition.__signature__ = named.replace(parameters=[context, *named.parameters.values()])  # type: ignore[attr-defined]
    definition.__name__, definition.__doc__ = function.__name__, function.__doc__
    return cast(F, intrinsic(definition))


def _operand(builder: Any, context: Any, kind: Any, value: Any) -> Any:
    """The operand for an argument of a formula that is translated."""
    if isinstance(kind, types.Array):
        return Table(builder, kind, context, value)
    if isinstance(kind, types.BaseTuple):
        values = cgutils.unpack_tuple(builder, value) if builder else [None] * len(kind)
        return tuple(_operand(builder, context, each, v) for each, v in zip(kind, values, strict=True))
    return Number(builder, kind, value)


def _plain_operand(lines: Any, kind: Any, name: str) -> Any:
    """The operand for an argument of a formula that is translated in plain mode, where its value is its name."""
    if isinstance(kind, types.Array):
        return PlainTable(lines, kind, None, name)
    if isinstance(kind, types.BaseTuple):
        return tuple(_plain_operand(lines, each, f"{name}[{i}]") for i, each in enumerate(kind))
    return Number(lines, kind, name)


def _kind_of(result: Any) -> Any:
    """The Numba type of the result of a formula."""
    if isinstance(result, tuple):
        return types.BaseTuple.from_types([_kind_of(part) for part in result])
    return types.none if result is None else result.kind


def _value_of(result: Any, context: Any, builder: Any) -> Any:
    """The LLVM value of the result of a formula."""
    if isinstance(result, tuple):
        values = [_value_of(part, context, builder) for part in result]
        return context.make_tuple(builder, _kind_of(result), values)
    return context.get_dummy_value() if result is None else result.value
