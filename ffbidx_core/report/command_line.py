"""The command line of a run, reconstructed from the options in its results."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from ..parameters import PRESETS, Parameters

DEFAULTS = (("every", 1), ("preset", PRESETS[0]), ("keep", "crystals"), ("backend", "auto"))
"""Options whose default values need not be typed."""


def command_line(config: Mapping[str, Any]) -> str:
    """A command line that repeats the run.

    Parameters
    ----------
    config
        Options keyed by their names without leading dashes, with the values in force; inputs are under `inputs`.
        Options with the value of the preset are left out.
    """
    if not config:
        return ""
    preset = str(config.get("preset", PRESETS[0]))
    usual = {name.replace("_", "-"): value for name, value in dataclasses.asdict(Parameters.preset(preset)).items()}
    words = ["ffbidx", "index", *map(str, config.get("inputs", []))]
    for name, value in config.items():
        is_usual = _same(value, usual[name]) if name in usual else value in (None, False)
        if name == "inputs" or is_usual or (name, value) in DEFAULTS:
            continue
        words += _words(name, value)
    return shlex.join(words)


def _words(name: str, value: Any) -> Iterator[str]:
    """Yield the words of an option as it is typed."""
    if isinstance(value, bool):
        yield f"--{name}" if value else f"--no-{name}"
        return
    several = value if isinstance(value, list) else [value]
    if several and all(isinstance(each, float | int) for each in several) and len(several) > 1:
        yield from (f"--{name}", *(f"{each:g}" for each in several))
        return
    for each in several:
        yield from (f"--{name}", f"{each:g}" if isinstance(each, float) else str(each))


def _same(value: Any, usual: Any) -> bool:
    return bool(value == (",".join(map(str, usual)) if isinstance(usual, tuple) else usual))
