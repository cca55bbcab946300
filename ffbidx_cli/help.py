"""The help of a command with many options: the most important ones first, the others in groups."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import click

from ffbidx_core.parameters import Parameters
from ffbidx_core.run.sections import Experiment, Following, Inputs, Machine, Method, Outputs

GROUPS = {
    "input": "Input",
    "cell": "Cell",
    "geometry": "Geometry",
    "search": "Search and fit",
    "acceptance": "Acceptance",
    "output": "Output",
    "machine": "Machine",
    "messages": "Messages",
}
"""The title of each group of options, keyed by its name in `ffbidx help`."""

FIRST = (
    "cells", "geometry", "outputs", "overwrite", "resume", "d_min", "max_frames", "shard", "preset", "backend",
)  # fmt: skip
"""Names of the most important options."""

_OF_SECTION: dict[Any, str] = {
    Inputs: "input",
    Following: "input",
    Experiment: "geometry",
    Outputs: "output",
    Machine: "machine",
    Method: "search",
}
_OF_PARAMETERS = {"crystals": "acceptance", "accept": "acceptance", "learn": "cell"}
_OF_NAME = {
    **{field.name: word for section, word in _OF_SECTION.items() for field in dataclasses.fields(section)},
    **{field.name: _OF_PARAMETERS.get(field.metadata["group"], "search") for field in dataclasses.fields(Parameters)},
    "cells": "cell",
    "config": "input",
    "dry_run": "output",
    "print_config": "output",
}
"""The group of each option, keyed by the option's name; options that are not listed are about messages."""
COLUMN = 34
"""Largest width, in characters, of an option whose help is on the same line."""


def group_of(parameter: click.Parameter) -> str:
    """The name of the group to which an option of `ffbidx index` belongs."""
    return _OF_NAME.get(str(parameter.name), "messages")


class GroupedCommand(click.Command):
    """A command whose help shows the most important options, and with --help-all all options in groups.

    Parameters
    ----------
    example
        A command line with which the help begins.
    """

    def __init__(self, *args: Any, example: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the usage, and the example below it."""
        super().format_usage(ctx, formatter)
        if self.example:
            formatter.write_usage(self.example, prefix="Example: ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the most important options, or all options if the context asks for them."""
        if ctx.meta.get(HELP_ALL):
            for title, rows in groups_of(self, ctx):
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=COLUMN)
            return
        parameters = {parameter.name: parameter for parameter in self.params}
        shown = [*(parameters[name] for name in (*FIRST, "help_all")), self.get_help_option(ctx)]
        rows = [row for each in shown if each is not None and (row := each.get_help_record(ctx)) is not None]
        with formatter.section("The most important options"):
            formatter.write_dl(rows, col_max=COLUMN)
        formatter.write_paragraph()
        formatter.write_text(
            f"--help-all shows all options, 'ffbidx help GROUP' those of one group: {', '.join(GROUPS)}."
        )


def groups_of(command: click.Command, ctx: click.Context) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the title and the help records of each group of a command's options."""
    rows: dict[str, list[tuple[str, str]]] = {word: [] for word in GROUPS}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if isinstance(parameter, click.Option) and record is not None:
            rows[group_of(parameter)].append(record)
    return ((GROUPS[word], records) for word, records in rows.items() if records)


HELP_ALL = "ffbidx.help_all"
"""Key in `click.Context.meta` that makes the help of a command show all options."""


def _show_all(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[HELP_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


help_all_option = click.option(
    "--help-all",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_all,
    help="Show all options, in groups.",
)
"""The decorator that declares --help-all of a `GroupedCommand`."""
