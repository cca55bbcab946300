"""How a parameter is declared: its default, presets, type, and the range it must be in, in words and as a test."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any

from .errors import ParameterError


def param(default: Any, help: str, wanted: str = "", group: str = "run", *, check: Any = None, **presets: Any) -> Any:
    """A field: `default` is the published value (levers: off); `best=`, `fast=` are those of the presets.

    `fast` is `best` where it is not given. `wanted` is the range in words, `check` the same as a predicate.
    """
    return field(
        default=default,
        metadata={"help": help, "wanted": wanted, "group": group, "check": check, "presets": presets},
    )


def asked(
    default: Any,
    help: str = "",
    wanted: str = "",
    *,
    kind: type | None = None,
    option: str = "",
    metavar: str = "",
    numbers: int = 1,
    is_setting: bool = True,
    check: Any = None,
) -> Any:
    """A field of a request.

    Parameters
    ----------
    default
        None where something else serves, which the help names then.
    help
        One sentence for the command's help.
    wanted, check
        The range in words, and the same as a predicate; None passes always.
    kind
        Type of the command's option; None: the command has none of this name.
    option
        Names of the option on the command line, where it is not the field's with dashes; without dashes in front of
        it, what stands for the command's argument in the help.
    metavar
        What stands for a value in the help.
    numbers
        How many values one option has; 0: the option may be repeated.
    is_setting
        Whether it belongs to the options by which a run like this one is asked for, so that outputs record it.
    """
    metadata = {"help": help, "wanted": wanted, "check": check, "kind": kind, "option": option, "metavar": metavar}
    return field(default=default, metadata=metadata | {"numbers": numbers, "is_setting": is_setting})


def check_ranges(request: Any) -> None:
    """Refuse a value of a request that is outside its range.

    Raises
    ------
    ParameterError
        Naming the field, its value and the range.
    """
    for each in fields(request):
        value, check = getattr(request, each.name), each.metadata.get("check")
        if value is not None and check is not None and not check(value):
            raise ParameterError(each.name, value, each.metadata["wanted"])


LARGEST = 1_000_000
"""No number of an option is sensible above this, unless it says otherwise."""
MOST_FRAMES = 10**12
"""No input has more frames."""


def check_values(parameters: Any) -> None:
    """Refuse a value of parameters that is not finite or outside its range.

    Raises
    ------
    ParameterError
        Naming the parameter, its value and the range.
    """
    for f in fields(parameters):
        value, wanted = getattr(parameters, f.name), f.metadata["wanted"]
        numbers = value if isinstance(value, tuple) else (value,)
        if any(isinstance(v, float) and not math.isfinite(v) for v in numbers):
            raise ParameterError(f.name, value, "a finite number" + (f", {wanted}" if wanted else ""))
        check = f.metadata["check"]
        if check is not None and not check(value):
            raise ParameterError(f.name, value, wanted)


def converted(values: Mapping[str, Any], types: Mapping[str, type]) -> dict[str, Any]:
    """Values as the type that each parameter has.

    Raises
    ------
    ParameterError
        For a name without a type, and a value that its type would change.
    """
    out = {}
    for name, value in values.items():
        if name not in types:
            raise ParameterError(name, value, "no such parameter")
        out[name] = _convert(name, value, types[name])
    return out


def _convert(name: str, value: Any, kind: type) -> Any:
    try:
        if kind is tuple:
            return tuple(float(v) for v in value)
        if kind is str:
            if not isinstance(value, str):
                raise TypeError
            return value
        converted = kind(value)
        if kind in (int, bool) and converted != value:
            raise ValueError
        return converted
    except (TypeError, ValueError, OverflowError):
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "a word", tuple: "numbers"}
        raise ParameterError(name, value, words[kind]) from None


def at_least(low: float, most: float = LARGEST) -> dict[str, Any]:
    """Numbers from `low` to the largest sensible one."""
    return {"wanted": f"at least {low:g} and at most {most:.12g}", "check": lambda v: low <= v <= most}


def zero_or(low: float, most: float = LARGEST) -> dict[str, Any]:
    """0, which switches something off, or numbers from `low` to the largest sensible one."""
    return {"wanted": f"0, or at least {low:g} and at most {most:.12g}", "check": lambda v: v == 0 or low <= v <= most}


def between(low: float, high: float, *, open: bool = False) -> dict[str, Any]:
    """Numbers between two, which are in the range themselves unless it is `open`."""
    if open:
        return {"wanted": f"between {low:g} and {high:g}, both excluded", "check": lambda v: low < v < high}
    return {"wanted": f"between {low:g} and {high:g}", "check": lambda v: low <= v <= high}


def one_of(*words: str) -> dict[str, Any]:
    """One of some words."""
    return {"wanted": "one of " + ", ".join(words), "check": lambda v: v in words}


SHARE: dict[str, Any] = {"wanted": "above 0 and at most 1", "check": lambda v: 0 < v <= 1}
POSITIVE: dict[str, Any] = {"wanted": f"above 0 and at most {LARGEST}", "check": lambda v: 0 < v <= LARGEST}
