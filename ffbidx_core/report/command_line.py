"""The command line of a run, reconstructed from the options in its results."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any

from ..diagnose.advice import as_typed
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
        words += as_typed(name, value)
    return shlex.join(words)


def _same(value: Any, usual: Any) -> bool:
    return bool(value == (",".join(map(str, usual)) if isinstance(usual, tuple) else usual))
