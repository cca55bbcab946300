"""The help of a command with many options: those that matter first, the rest by groups."""

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
"""Title of each group of options, by the word that names it in `ffbidx help`."""

FIRST = (
    "cells", "geometry", "outputs", "overwrite", "resume", "d_min", "max_frames", "shard", "preset", "backend",
)  # fmt: skip
"""Names of the options that matter most."""

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
"""The word of an option's group by the option's name; all others are about messages."""
COLUMN = 34
"""Width of the longest option beside which its help stands."""


def group_of(parameter: click.Parameter) -> str:
    """The word of the group that an option of `ffbidx index` belongs to."""
    return _OF_NAME.get(str(parameter.name), "messages")


class GroupedCommand(click.Command):
    """A command whose help shows the options that matter first, and all of them by groups with --help-all.

    Parameters
    ----------
    example
        A command line that the help begins with.
    """

    def __init__(self, *args: Any, example: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the usage, and the example under it."""
        super().format_usage(ctx, formatter)
        if self.example:
            formatter.write_usage(self.example, prefix="Example: ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options that matter first, or all of them where the context asks for all."""
        if ctx.meta.get(HELP_ALL):
            for title, rows in groups_of(self, ctx):
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=COLUMN)
            return
        parameters = {parameter.name: parameter for parameter in self.params}
        shown = [*(parameters[name] for name in (*FIRST, "help_all")), self.get_help_option(ctx)]
        rows = [row for each in shown if each is not None and (row := each.get_help_record(ctx)) is not None]
        with formatter.section("Options that matter most"):
            formatter.write_dl(rows, col_max=COLUMN)
        formatter.write_paragraph()
        formatter.write_text(
            f"All options are shown by --help-all, those of one group by 'ffbidx help GROUP': {', '.join(GROUPS)}."
        )


def groups_of(command: click.Command, ctx: click.Context) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Title and help records of each group of a command's options."""
    rows: dict[str, list[tuple[str, str]]] = {word: [] for word in GROUPS}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if isinstance(parameter, click.Option) and record is not None:
            rows[group_of(parameter)].append(record)
    return ((GROUPS[word], records) for word, records in rows.items() if records)


HELP_ALL = "ffbidx.help_all"
"""Key in `click.Context.meta` by which the help of a command shows all options."""


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
    help="Show all options, by groups.",
)
"""Declares --help-all of a `GroupedCommand`."""
