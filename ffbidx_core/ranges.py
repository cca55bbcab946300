"""Declaration of a parameter: its default, presets and type, and its range, both in words and as a predicate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any

from .errors import Instead, ParameterError


def param(default: Any, help: str, wanted: str = "", group: str = "run", *, check: Any = None, **presets: Any) -> Any:
    """Declare a parameter of the method as a dataclass field.

    Parameters
    ----------
    default
        The published value; for a lever that the published program lacks, the value that switches the lever off.
    help
        One sentence for the command's help.
    wanted, check
        The range in words, and the same range as a predicate of the value.
    group
        Section of the help in which the parameter is listed.
    **presets
        Values in the presets, `best=` and `fast=`. The preset `fast` takes the value of `best` where it has none.
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
    meant: Any = None,
) -> Any:
    """Declare a field of a request for a run.

    Parameters
    ----------
    default
        Value of the field when nothing is given. None means that the value comes from elsewhere, as the help says.
    help
        One sentence for the command's help.
    wanted, check
        The range in words, and the same range as a predicate of the value; None always passes.
    kind
        Type of the option's value; None if the command has no option of this name.
    option
        Names of the option on the command line, where they differ from the field's name with dashes. A name without
        leading dashes is the placeholder of the command's argument in the help.
    metavar
        Placeholder of the option's value in the help.
    numbers
        How many values one use of the option takes; 0 if the option may be repeated.
    is_setting
        Whether the field is one of the settings that would reproduce the run, so that outputs record it.
    meant
        Function that converts a value outside the range as if it had another unit, and the name of that unit in words.
    """
    metadata = {"help": help, "wanted": wanted, "check": check, "kind": kind, "option": option, "metavar": metavar}
    metadata |= {"numbers": numbers, "is_setting": is_setting, "meant": meant}
    return field(default=default, metadata=metadata)


def check_ranges(request: Any) -> None:
    """Check that every value of a request lies in its range.

    Raises
    ------
    ParameterError
        Naming the field, its value and the range.
    """
    for each in fields(request):
        value, check = getattr(request, each.name), each.metadata.get("check")
        if value is not None and check is not None and not check(value):
            error = ParameterError(each.name, value, each.metadata["wanted"])
            if (meant := each.metadata.get("meant")) is not None and check(right := meant[0](value)):
                option = "--" + each.name.replace("_", "-")
                error.instead = Instead(option, f"{right:.6g}", f"{value:g} is {meant[1]}")
            raise error


LARGEST = 1_000_000
"""Upper limit of every numeric option that does not declare its own."""
SHORTEST = 1e-4
"""Lower limit of wavelengths and of limits of resolution, angstrom; squares of reciprocals do not overflow."""
NEAREST_DETECTOR, FARTHEST_DETECTOR = 1.0, 100_000.0
"""Smallest and largest possible distance of a detector from the sample, mm; other numbers are in another unit."""
HC = 12398.42
"""Product of a photon's energy and wavelength, eV angstrom."""
LONGEST_WAVELENGTH = 100.0
"""Largest possible wavelength, angstrom; a larger number is an energy, or follows from one in keV taken for eV."""
MOST_FRAMES = 10**12
"""Upper limit of options that count frames; no input has more."""


def check_values(parameters: Any) -> None:
    """Check that every value of a set of parameters is finite and in its range.

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
    """Convert values to the types of their parameters.

    Parameters
    ----------
    values
        Value of each parameter that is given, by name.
    types
        Type of each parameter that exists, by name.

    Returns
    -------
    dict
        The converted values by name.

    Raises
    ------
    ParameterError
        If a parameter of this name does not exist, or if the conversion would change the value, as of 2.5 to int.
    """
    out = {}
    for name, value in values.items():
        if name not in types:
            raise ParameterError(name, value, "no such parameter")
        out[name] = _convert(name, value, types[name])
    return out


def _convert(name: str, value: Any, kind: type) -> Any:
    """A value converted to a type, or a `ParameterError` if the conversion would change it."""
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
    """The range of numbers from `low` to `most`, both included."""
    return {"wanted": f"at least {low:g} and at most {most:.12g}", "check": lambda v: low <= v <= most}


def at_most(most: float) -> dict[str, Any]:
    """The range of numbers up to `most`, which is included."""
    return {"wanted": f"at most {most:.12g}", "check": lambda v: v <= most}


def above_zero(most: float = LARGEST) -> dict[str, Any]:
    """The range of positive numbers up to `most`, which is included."""
    return {"wanted": f"above 0 and at most {most:.12g}", "check": lambda v: 0 < v <= most}


def within(most: float) -> dict[str, Any]:
    """The range of numbers from -`most` to `most`; one value or all values of a tuple are checked."""
    return {
        "wanted": f"from {-most:.12g} to {most:.12g}",
        "check": lambda v: all(abs(each) <= most for each in (v if isinstance(v, tuple) else (v,))),
    }


def zero_or(low: float, most: float = LARGEST) -> dict[str, Any]:
    """The range of numbers from `low` to `most`, both included, and 0, which switches the parameter's effect off."""
    return {"wanted": f"0, or at least {low:g} and at most {most:.12g}", "check": lambda v: v == 0 or low <= v <= most}


def between(low: float, high: float, *, open: bool = False) -> dict[str, Any]:
    """The range of numbers from `low` to `high`; both limits are included unless the range is `open`."""
    if open:
        return {"wanted": f"between {low:g} and {high:g}, both excluded", "check": lambda v: low < v < high}
    return {"wanted": f"between {low:g} and {high:g}", "check": lambda v: low <= v <= high}


def one_of(*words: str) -> dict[str, Any]:
    """The range that consists of the given words."""
    return {"wanted": "one of " + ", ".join(words), "check": lambda v: v in words}


A_LEVEL: dict[str, Any] = {"wanted": "panel, group, detector, COLLECTION", "check": bool, "group": "learn"}
"""The range of names of levels of a detector, which its geometry may define."""
SHARE: dict[str, Any] = {"wanted": "above 0 and at most 1", "check": lambda v: 0 < v <= 1}
"""The range of fractions of a whole that is not empty."""
POSITIVE: dict[str, Any] = above_zero()
"""The range of positive numbers."""
AT_DISTANCE: dict[str, Any] = {
    "wanted": f"in mm: {NEAREST_DETECTOR:g} to {FARTHEST_DETECTOR:g}, or {-FARTHEST_DETECTOR:g} to below 0 for clen "
    "itself",
    "check": lambda v: NEAREST_DETECTOR <= v <= FARTHEST_DETECTOR or -FARTHEST_DETECTOR <= v < 0,
    "meant": (lambda v: 1e3 * v, "in m"),
}
"""The range of the distance of a detector."""
AT_WAVELENGTH: dict[str, Any] = {
    "wanted": f"at least {SHORTEST:g} and at most {LONGEST_WAVELENGTH:g} A",
    "check": lambda v: SHORTEST <= v <= LONGEST_WAVELENGTH,
    "meant": (lambda v: HC / v if v > 0 else v, "a photon energy in eV"),
}
"""The range of a wavelength."""
