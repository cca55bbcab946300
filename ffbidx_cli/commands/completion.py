"""ffbidx completion: the script by which a shell completes commands, options and files."""

from __future__ import annotations

import os
from pathlib import Path

import click

PLACES = {
    "bash": "~/.local/share/bash-completion/completions/ffbidx",
    "zsh": "~/.zfunc/_ffbidx",
    "fish": "~/.config/fish/completions/ffbidx.fish",
}
"""The file in which each shell looks for the completion of a command."""
FROM_WHEN = {
    "bash": "it is used in new shells (package bash-completion)",
    "zsh": "it is used in new shells once ~/.zshrc has: fpath+=~/.zfunc; autoload -Uz compinit; compinit",
    "fish": "it is used in new shells",
}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(PLACES)))
@click.option("--install", is_flag=True, help="Write the script to the place where the shell looks for it.")
def command(shell: str, install: bool) -> None:
    """Print the script that completes commands, options and files in a shell.

    For the running shell: eval "$(ffbidx completion bash)". For all new shells: ffbidx completion bash --install.
    """
    from click.shell_completion import get_completion_class

    from ffbidx_cli.main import cli
    from ffbidx_core.write.atomic import make_directory, write_file

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(cli, {}, "ffbidx", "_FFBIDX_COMPLETE").source()
    if not install:
        click.echo(script)
        return
    path = Path(os.path.expanduser(PLACES[shell]))
    for folder in (*reversed(path.parents[:-1]), path.parent):
        make_directory(str(folder))
    write_file(str(path), script.encode() + b"\n", overwrite=True)
    click.echo(f"{path}: {FROM_WHEN[shell]}", err=True)
