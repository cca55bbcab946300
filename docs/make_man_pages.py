"""Makes a manual page of the program and of each of its commands.

python docs/make_man_pages.py FOLDER
"""

import sys
from importlib.metadata import version
from pathlib import Path

import click
from click_man.core import write_man_pages

from ffbidx_cli.main import COMMANDS, cli


def main(folder: str) -> None:
    """Write the pages; the commands of the group are loaded first, since click-man asks the group for those it has."""
    context = click.Context(cli, info_name="ffbidx")
    for name, line in COMMANDS.items():
        command = cli.get_command(context, name)
        assert command is not None
        command.short_help = line.rstrip(".")
        cli.commands[name] = command
    cli.short_help = "index serial crystallography stills"
    Path(folder).mkdir(parents=True, exist_ok=True)
    write_man_pages("ffbidx", cli, version=version("ffbidx"), target_dir=folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
