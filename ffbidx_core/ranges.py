"""How a parameter is declared: its default, its presets, and the range that it must be in, in words and as a test."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def param(default: Any, help: str, wanted: str = "", group: str = "run", *, check: Any = None, **presets: Any) -> Any:
    """A field: `default` is the published value (levers: off); `best=`, `fast=` are those of the presets.

    `fast` is `best` where it is not given. `wanted` is the range in words, `check` the same as a predicate.
    """
    return field(
        default=default,
        metadata={"help": help, "wanted": wanted, "group": group, "check": check, "presets": presets},
    )


def at_least(low: float) -> dict[str, Any]:
    """Numbers from `low` on."""
    return {"wanted": f"at least {low:g}", "check": lambda v: v >= low}


def zero_or(low: float) -> dict[str, Any]:
    """0, which switches something off, or numbers from `low` on."""
    return {"wanted": f"0 or at least {low:g}", "check": lambda v: v == 0 or v >= low}


def between(low: float, high: float, *, open: bool = False) -> dict[str, Any]:
    """Numbers between two, which are in the range themselves unless it is `open`."""
    if open:
        return {"wanted": f"between {low:g} and {high:g}, both excluded", "check": lambda v: low < v < high}
    return {"wanted": f"between {low:g} and {high:g}", "check": lambda v: low <= v <= high}


def one_of(*words: str) -> dict[str, Any]:
    """One of some words."""
    return {"wanted": "one of " + ", ".join(words), "check": lambda v: v in words}


SHARE: dict[str, Any] = {"wanted": "above 0 and at most 1", "check": lambda v: 0 < v <= 1}
POSITIVE: dict[str, Any] = {"wanted": "above 0", "check": lambda v: v > 0}
