"""The JSON schema of the options that a file for --config may hold."""

from __future__ import annotations

from typing import Any

import click

from ffbidx_cli.config import NO_SETTINGS, key_of, takes_several

KINDS = {"integer": "integer", "integer range": "integer", "float": "number", "float range": "number"}
"""The JSON types of click's numerical types."""


def schema_of(command: click.Command) -> dict[str, Any]:
    """The schema (JSON Schema 2020-12) of a command's options, keyed by their names in a file of options."""
    properties = {
        key_of(parameter): _of_parameter(parameter) for parameter in command.params if parameter.name not in NO_SETTINGS
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Options of ffbidx {command.name} in a file for --config",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _of_parameter(parameter: click.Parameter) -> dict[str, Any]:
    one = _of_value(parameter)
    text = parameter.help if isinstance(parameter, click.Option) and parameter.help else "Input files."
    if takes_several(parameter):
        number = {"minItems": parameter.nargs, "maxItems": parameter.nargs} if parameter.nargs > 1 else {}
        several = {"type": "array", "items": one, **number}
        return {"description": text, **(several if parameter.nargs > 1 else {"anyOf": [several, one]})}
    return {"description": text, **one}


def _of_value(parameter: click.Parameter) -> dict[str, Any]:
    kind = parameter.type
    if isinstance(parameter, click.Option) and (parameter.is_flag or parameter.secondary_opts):
        return {"type": "boolean"}
    if isinstance(kind, click.Choice):
        return {"enum": list(kind.choices)}
    if isinstance(kind, (click.IntRange, click.FloatRange)) and kind.min is not None:
        return {"type": KINDS[kind.name], "minimum": kind.min}
    return {"type": KINDS.get(kind.name, "string")}
