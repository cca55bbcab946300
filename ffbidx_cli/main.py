"""The `ffbidx` program: it finds the commands and turns exceptions into exit statuses, and imports only click."""

from __future__ import annotations

import atexit
import errno
import gc
import importlib
import io
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import click
import click.shell_completion

from ffbidx_cli import ARGUMENTS
from ffbidx_cli.signals import Leave, StopSignals
from ffbidx_core.errors import FfbidxError, OutputError, ParameterError

COMMANDS = {
    "index": "Index frames: spots and input cells in, crystals out.",
    "cell": "Find the unknown unit cell of spots.",
    "serve": "Index spot lists that arrive as messages while the detector runs.",
    "replay": "Send the frames of files to a live server, and measure its delays.",
    "merge": "Join the results of shares, or of several runs, to one file.",
    "table": "Show the crystals of a results file.",
    "convert": "Convert spots of any format to HDF5, results to the formats of other programs.",
    "inspect": "Show what a spot file, a results file or a geometry file holds.",
    "report": "Report on a run in pictures and words, as one HTML page.",
    "diagnose": "Say what is wrong with a run, and what to type next.",
    "geometry": "Refine the positions of detector panels, and write the geometry file.",
    "show": "Draw a frame with its observed and predicted spots, or a page of frames.",
    "doctor": "Examine the installation (GPU, backends, files) and say how to fix it.",
    "bench": "Measure frames per second and the share indexed, on simulated stills.",
    "help": "Show help on a command, a group of options, or a topic.",
    "completion": "Print or install the script that completes commands, options and files.",
    "simulate": "Simulate stills: a spot file together with its true crystals.",
}
"""Every command with its line in the help of the program, so that this help imports none of them."""

FOLDERS = {"serve": "live.", "replay": "live."}
"""The subfolder of each command whose module is not directly in the folder of commands."""

DEVICE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""System errors that are caused by the disk of the output, wherever they are raised."""

COLLECT_AFTER = 20_000
"""Number of new Python objects after which garbage is collected. The program creates 200,000 at its start, nearly none
of them garbage, and Python would search them after every 700 objects."""

NAMES_OF_FILES = ("INPUT...", "SPOTS...", "RESULTS", "RESULTS...", "FILE", "CELL", "DIR")
"""Placeholders for names of files and directories in the help."""


class FileName(click.types.StringParamType):
    """The type of a parameter that is the name of a file or directory, which a shell completes as such."""

    def __init__(self, metavar: str) -> None:
        self._kind = "dir" if metavar == "DIR" else "file"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Leave the completion of the name to the shell."""
        return [click.shell_completion.CompletionItem(incomplete, type=self._kind)]


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands, in the order in which the help lists them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(
            f"ffbidx_cli.commands.{FOLDERS.get(cmd_name, '')}{cmd_name}"
        ).command
        for parameter in command.params:
            if parameter.metavar in NAMES_OF_FILES and parameter.type is click.STRING:
                parameter.type = FileName(parameter.metavar)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; the context keeps them for commands that report how they were called."""
        ctx.meta[ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names; an unknown name is an error that suggests a similar one."""
        name = click.utils.make_str(args[0])
        if name not in COMMANDS and not name.startswith("-"):
            import difflib

            like = difflib.get_close_matches(name, COMMANDS, n=1)
            meant = f"did you mean 'ffbidx {like[0]}'?" if like else f"there are {', '.join(COMMANDS)}"
            raise click.UsageError(f"no such command {name!r}; {meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="ffbidx", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Index serial crystallography stills: lists of spots in, crystals out."""
    ctx.obj = StopSignals()
    ctx.obj.install()


def _speak_any_locale() -> None:
    """Make streams escape characters that their encoding lacks, instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="backslashreplace")


def _collect_rarely() -> None:
    """Make this process collect garbage rarely at its start, and not at its end, when all memory is released."""
    gc.set_threshold(COLLECT_AFTER)
    atexit.register(gc.freeze)


def main(args: Sequence[str] | None = None) -> int:
    """Run the program.

    Parameters
    ----------
    args
        The arguments; by default those of the process.

    Returns
    -------
    int
        The exit status, see docs/status.md.
    """
    if args is None:
        _collect_rarely()
    args = sys.argv[1:] if args is None else list(args)
    _speak_any_locale()
    with warnings.catch_warnings():
        if "--debug" not in args:
            # Warnings of libraries address programmers and do not belong on a user's terminal.
            warnings.simplefilter("ignore")
        return _run(args)


def _run(args: Sequence[str]) -> int:
    try:
        status = int(cli.main(args, prog_name="ffbidx", standalone_mode=False) or 0)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except Leave as leave:
        _leave(leave.status)
    except (BrokenPipeError, SystemExit):
        # The reader of our output has gone; click raises SystemExit if it notices first.
        _drop_output()
        return 0
    except click.Abort:
        return 130
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return error.exit_code
    except Exception as error:
        if isinstance(error, OSError):
            _drop_output()
        message, status = _explain(error, args)
        print(f"ffbidx: {message}", file=sys.stderr)
        return status


def _explain(error: Exception, args: Sequence[str]) -> tuple[str, int]:
    """One line for an exception of a call, and its exit status; with --debug the traceback is printed first."""
    debug = "--debug" in args
    if debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, click.ClickException):
        return _one_line(_click_message(error)), error.exit_code
    if isinstance(error, ParameterError):
        option = "--" + error.name.replace("_", "-")
        text = f"{option}: {_shown(error.value)} is out of range, it must be {error.wanted}"
        return _one_line(text + _what_to_type(error, args)), error.exit_status
    if isinstance(error, FfbidxError):
        return _one_line(str(error) + _what_to_type(error, args)), error.exit_status
    if isinstance(error, OSError) and error.errno in DEVICE_ERRORS:
        return _one_line(f"{error.filename or 'output'}: {error.strerror}"), OutputError.exit_status
    mend = "" if debug else "; run again with --debug and report what it shows"
    return _one_line(f"internal error: {type(error).__name__}: {error}{mend}"), 1


def _what_to_type(error: FfbidxError, args: Sequence[str]) -> str:
    """The command line of a call with the wrong value of an option replaced, where an error knows the right one."""
    import shlex

    if (instead := error.instead) is None:
        return ""
    words, option = [*args], instead.option
    for number, word in enumerate(args):
        is_value = number > 0 and args[number - 1] == option
        if is_value and instead.typed in ("", word):
            words[number] = instead.value
        elif word.startswith(f"{option}=") and instead.typed in ("", word.partition("=")[2]):
            words[number] = f"{option}={instead.value}"
    if words == args:
        return f"; give {option} {instead.value}"
    condition = f"if {instead.condition}, " if instead.condition else ""
    return f"; {condition}type {shlex.join(['ffbidx', *words])}"


def _click_message(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    mend = f" (see '{context.command_path} --help')" if context else ""
    text = error.format_message().rstrip(".")
    if isinstance(error, click.NoSuchOption) and error.ctx is not None:
        text = _no_such_option(error.option_name, error.ctx)
    return text + mend


def _no_such_option(name: str, context: click.Context) -> str:
    """The message about an option that the command does not have, with the most similar one that it has."""
    import difflib

    parameters = context.command.get_params(context)
    known = [each for parameter in parameters for each in (*parameter.opts, *parameter.secondary_opts)]
    like = difflib.get_close_matches(name, (each for each in known if each.startswith("-")), n=1)
    return f"no such option {name}{f'; did you mean {like[0]}?' if like else ''}"


def _shown(value: Any) -> str:
    return ",".join(f"{v:g}" for v in value) if isinstance(value, tuple) else str(value)


def _one_line(text: str) -> str:
    """The text without line breaks and other control characters, which names of files may contain."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)


def _drop_output() -> None:
    """Redirect standard output so that the interpreter's flush at exit cannot fail."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        sys.stdout = None  # type: ignore[assignment]


def _leave(status: int) -> NoReturn:
    """End the process without waiting for running threads."""
    sys.stderr.flush()
    os._exit(status)
