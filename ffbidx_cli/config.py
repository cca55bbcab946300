"""Options from a file: a TOML file, or a results file, which holds the options of its run."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from ffbidx_core.errors import InputError, UsageError
from ffbidx_core.run.request import RunRequest

PREFIX = "FFBIDX"
"""Start of the names of environment variables that set options: `FFBIDX_BATCH_SIZE=32` is `--batch-size 32`."""
NO_SETTINGS = (
    "config",
    "print_config",
    "help_all",
    "debug",
    "dry_run",
    "as_json",
    "log_json",
    "quiet",
    "verbose",
    *(field.name for field in dataclasses.fields(RunRequest) if not field.metadata.get("is_setting", True)),
)
"""Parameters on which the results of a run do not depend, so that a file of options does not set them."""


def config_options(function: Any) -> Any:
    """Declare --config and --print-config."""
    function = click.option(
        "--print-config",
        is_flag=True,
        help=("Write the options in force to standard output as TOML, for --config, and exit."),
    )(function)
    return click.option(
        "--config",
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=_use_config,
        help=(
            "Options from a TOML file, named as on the command line, or those of the run that made a results file or "
            "the output OUTPUT of OUTPUT.toml. The command line takes precedence, then variables such as "
            "FFBIDX_BATCH_SIZE, then the file."
        ),
    )(function)


def _use_config(context: click.Context, parameter: click.Parameter, path: str | None) -> None:
    if path is not None:
        context.default_map = {**(context.default_map or {}), **load_config(path, context.command)}


def load_config(path: str, command: click.Command) -> dict[str, Any]:
    """The options in a file, keyed by the names of the command's parameters.

    Raises
    ------
    InputError
        If the file is neither TOML nor a results file that holds the options of its run.
    UsageError
        If the file sets an option that the command does not have.
    """
    from ffbidx_core.read.files.content import read_text

    text = read_text(path)
    if text is None:
        from ffbidx_core.read.results import read_run

        values = read_run(path)[2].config
        if not values:
            raise InputError(path, "does not hold the options of its run")
    else:
        values = _parsed(path, text)
    known = {key_of(parameter): parameter for parameter in command.params}
    options: dict[str, Any] = {}
    for name, value in values.items():
        found = known.get(name.replace("_", "-"))
        if found is None or found.name in NO_SETTINGS or found.name is None:
            raise UsageError(f"{path}: there is no option {name} that a file can set")
        options[found.name] = [value] if takes_several(found) and not isinstance(value, list) else value
    return options


def _parsed(path: str, text: str) -> dict[str, Any]:
    import tomllib

    from ffbidx_core.write.record import options_among

    try:
        return options_among(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(path, f"is not TOML: {error}") from None


def key_of(parameter: click.Parameter) -> str:
    """The name of a parameter in a file of options: its long option without dashes, `inputs` for the argument."""
    names = [name for name in parameter.opts if name.startswith("--")]
    return names[0].removeprefix("--") if names else str(parameter.name)


def takes_several(parameter: click.Parameter) -> bool:
    """Whether a parameter has several values."""
    return parameter.nargs != 1 or (isinstance(parameter, click.Option) and parameter.multiple)
