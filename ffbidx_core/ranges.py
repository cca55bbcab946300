"""How a parameter is declared: its default, its presets, and the range that it must be in, in words and as a test."""

from __future__ import annotations

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
