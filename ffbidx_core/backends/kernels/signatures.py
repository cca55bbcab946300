"""The parameters of the kernels, parsed once from their source, so that a kernel is launched with arguments by name.

The source is the only place that defines the order and the types of a kernel's parameters.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from . import source

KERNEL = re.compile(r'extern "C" __global__\s+(?:__launch_bounds__\(\w+\)\s+)?void\s+(\w+)\(([^)]*)\)')
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
PARAMETER = re.compile(r"(?P<kind>[\w ]+?)\s*(?P<star>\*?)\s*(?P<name>\w+)$")

SCALARS: dict[str, Any] = {"int": np.int32, "i64": np.int64, "float": np.float32, "double": np.float64}
"""NumPy type of each C type of a number."""
ITEMS: dict[str, Any] = SCALARS | {
    "u64": np.uint64,
    "bool": np.bool_,
    "unsigned char": np.uint8,
    "unsigned short": np.uint16,
    "float4": np.float32,
    "SpotOrder": np.float64,
    "Trims": np.uint8,
    "Seed": np.uint8,
}
"""NumPy type of the array that a kernel takes for each C type behind a pointer; a struct is bytes or doubles."""
CASTS: dict[str, Any] = SCALARS | {kind: functools.lru_cache(maxsize=1024)(SCALARS[kind]) for kind in ("int", "i64")}
"""Conversion of a number to each C type; integers recur, and looking one up in a cache is faster than converting it."""
TAKEN = dict.fromkeys(("int", "i64"), frozenset({int, bool})) | dict.fromkeys(
    ("float", "double"), frozenset({float, int, np.float64, np.float32})
)
"""Python types that are converted to each C type; NumPy integers are not, since they would wrap around silently."""
MAY_BE_NULL = "scratch"
"""Name of the only parameter that may be null; the kernel then uses the shared memory of its block instead."""
NULL = np.uint64(0)
"""Argument for a null pointer."""


class Parameter(NamedTuple):
    """One parameter of a kernel.

    Attributes
    ----------
    name : str
        Name of the parameter in the source.
    kind : str
        C type of the number, or of the items behind the pointer.
    is_array : bool
        Whether the parameter is a pointer.
    """

    name: str
    kind: str
    is_array: bool


def parsed(text: str) -> dict[str, tuple[Parameter, ...]]:
    """Parameters of each kernel in a CUDA source, by its name, in the order of the source.

    Raises
    ------
    ValueError
        If a parameter is neither a number of a type in `SCALARS` nor a pointer to a type in `ITEMS`.
    """
    kernels = KERNEL.findall(COMMENT.sub("", text))
    return {name: tuple(_parameter(name, part) for part in declared.split(",")) for name, declared in kernels}


def _parameter(kernel: str, declaration: str) -> Parameter:
    """The parameter that a declaration in a kernel's source describes."""
    words = re.sub(r"\b(?:const|__restrict__)\b", " ", declaration).strip()
    found = PARAMETER.match(words)
    kind = " ".join(found["kind"].split()) if found else ""
    if found is None or kind not in (ITEMS if found["star"] else SCALARS):
        raise ValueError(f"kernel {kernel}: the parameter `{declaration.strip()}` is of a type that no argument has")
    return Parameter(found["name"], kind, bool(found["star"]))


class Signature:
    """The arguments with which a kernel is launched.

    Parameters
    ----------
    kernel
        Name of the kernel, for messages.
    parameters
        Parameters of the kernel, in order.
    array_type
        Class of arrays in the memory of the device.
    """

    def __init__(self, kernel: str, parameters: tuple[Parameter, ...], array_type: type[Any]) -> None:
        self.kernel, self.array_type = kernel, array_type
        self._casts = tuple(
            (p.name, None, np.dtype(ITEMS[p.kind])) if p.is_array else (p.name, CASTS[p.kind], TAKEN[p.kind])
            for p in parameters
        )

    def arguments(self, given: Mapping[str, Any]) -> tuple[Any, ...]:
        """Arrange and convert the arguments given by name.

        Returns
        -------
        tuple
            Arguments in the order of the source, each with the type of its parameter.

        Raises
        ------
        TypeError
            If an argument is missing or unknown, or does not fit the type of its parameter: an integer, a number, or a
            C-contiguous array of the type in `ITEMS`.
        OverflowError
            If an integer is too large for the type of its parameter.
        """
        if len(given) != len(self._casts):
            raise self._other_names(given)
        made, array_type = [], self.array_type
        try:
            for name, cast, wanted in self._casts:
                value = given[name]
                if cast:
                    if type(value) not in wanted:
                        raise self._misfit(name, value, cast(0).dtype)
                    made.append(cast(value))
                elif isinstance(value, array_type) and value.dtype == wanted and value.flags.c_contiguous:
                    made.append(value)
                elif value is None and name == MAY_BE_NULL:
                    made.append(NULL)
                else:
                    raise self._misfit(name, value, f"C-contiguous array of {wanted}")
        except KeyError:
            raise self._other_names(given) from None
        return tuple(made)

    def _other_names(self, given: Mapping[str, Any]) -> TypeError:
        """The error for missing and unknown arguments."""
        names = [name for name, *_ in self._casts]
        missing, unknown = [name for name in names if name not in given], [name for name in given if name not in names]
        return TypeError(f"kernel {self.kernel}: missing arguments {missing}, unknown arguments {unknown}")

    def _misfit(self, name: str, value: Any, wanted: Any) -> TypeError:
        """The error for an argument of a wrong type."""
        there = f"{type(value).__name__} of {value.dtype}" if hasattr(value, "dtype") else type(value).__name__
        return TypeError(f"kernel {self.kernel}: {name} is {there}, not {wanted}")


@functools.cache
def signatures() -> dict[str, tuple[Parameter, ...]]:
    """Parameters of each kernel of this package, by its name."""
    return parsed(source())
