"""Options shared by commands, generated from `RunRequest` and `Parameters`, which hold all defaults and ranges."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
from click.types import StringParamType

from ffbidx_core.nouns import are, counted
from ffbidx_core.parameters import PRESETS, Parameters
from ffbidx_core.ranges import LARGEST, MOST_FRAMES
from ffbidx_core.run.request import names_of
from ffbidx_core.run.sections import Experiment, Following, Inputs, Machine, Method, Outputs, Where
from ffbidx_core.write.formats.names import LEDGER, PARTS_SUFFIX

Decorator = Callable[[Any], Any]


class ShareType(click.ParamType):  # type: ignore[type-arg]
    """The type of --shard: K/N or `slurm`."""

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """The number of the share, counted from 1, and the number of shares."""
        from ffbidx_core.read.spans import parse_share

        return value if isinstance(value, tuple) else parse_share(value)


class Drift(click.ParamType):  # type: ignore[type-arg]
    """The type of --max-drift: a relative length (a fraction or per cent) and an angle (degrees), as 0.05,3 or 5%,3."""

    name = "length,angle"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """The relative length as a fraction, and the angle in degrees."""
        try:
            length, angle = (part.strip() for part in value.split(","))
            share = float(length.removesuffix("%")) / (100 if length.endswith("%") else 1)
            return share, float(angle)
        except ValueError:
            self.fail(f"{value!r} is not LENGTH,ANGLE such as 5%,3 or 0.05,3", param, ctx)


def section_options(section: type) -> Decorator:
    """The options of a section of `RunRequest`, in the order of its fields."""

    def decorate(function: Any) -> Any:
        for field in reversed(dataclasses.fields(section)):
            if field.metadata.get("kind") is not None:
                function = _request_option(field)(function)
        return function

    return decorate


class Finite(click.FloatRange):
    """The type of a finite number within a range; Click itself takes nan for any range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number: float = super().convert(value, param, ctx)
        return number if math.isfinite(number) else self.fail(f"{value} is not a finite number", param, ctx)


COUNT = click.IntRange(min=1, max=LARGEST)
"""The type of a number of things that are made, drawn or repeated."""

FRAMES = click.IntRange(min=1, max=MOST_FRAMES)
"""The type of a number of frames, or of lines about them, that are read."""

TYPES = {"shard": ShareType(), "threads": COUNT}
"""Types of options that are checked when they are read, because commands without a request also have them."""


def _request_option(field: dataclasses.Field[Any]) -> Decorator:
    names, asked, default = names_of(field), field.metadata, field.default
    if not names[-1].startswith("-"):
        return click.argument(field.name, nargs=-1, metavar=names[-1])
    arguments: dict[str, Any] = {"help": asked["help"], "metavar": asked["metavar"] or None}
    if asked["kind"] is bool:
        flags = {"default": None} if default is None else {"is_flag": True}
        text = f"{names[-1]}/--no-{names[-1].removeprefix('--')}" if default is None else names[-1]
        return click.option(text, field.name, **arguments, **flags)
    words = asked["wanted"].removeprefix("one of ")
    is_choice = words != asked["wanted"]
    arguments["type"] = TYPES.get(field.name, click.Choice(words.split(", ")) if is_choice else asked["kind"])
    if asked["numbers"] != 1:
        arguments |= {"multiple": True} if asked["numbers"] == 0 else {"nargs": asked["numbers"], "default": None}
    elif default is not None:
        arguments |= {"default": default, "show_default": True}
    return click.option(*names, field.name, **arguments)


def parameter_options(function: Any) -> Any:
    """Add the preset and one option per parameter to a command; options that are not given arrive as None."""
    for field in reversed(dataclasses.fields(Parameters)):
        function = _parameter_option(field)(function)
    return section_options(Method)(function)


R = TypeVar("R", bound=Method)


def request_of(options: Mapping[str, Any], kind: type[R]) -> R:
    """The request that the values of a command's options describe.

    Parameters
    ----------
    kind
        The class of the request, `RunRequest` or another one.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.
    """
    _, given = chosen_parameters(options["preset"], options)
    names = {field.name for field in dataclasses.fields(kind) if field.metadata.get("kind") is not None}
    return kind(**{name: value for name, value in options.items() if name in names}, parameters=given)


def chosen_parameters(preset: str, options: Mapping[str, Any]) -> tuple[Parameters, dict[str, Any]]:
    """The parameters of the preset changed by explicit options, and these options alone.

    Raises
    ------
    ParameterError
        If a value is out of its range.
    """
    names = {field.name for field in dataclasses.fields(Parameters)}
    given = {name: value for name, value in options.items() if name in names and value is not None}
    return Parameters.preset(preset, **given), given


def _parameter_option(field: dataclasses.Field[Any]) -> Decorator:
    name = field.name.replace("_", "-")
    kind: type = type(field.default)
    arguments: dict[str, Any] = {
        "default": None,
        "help": f"{sentence(field.metadata['help'])}  [{_values(field)}]",
    }
    if kind is bool:
        return click.option(f"--{name}/--no-{name}", **arguments)
    if kind is tuple:
        return click.option(f"--{name}", type=Drift(), metavar="LENGTH,ANGLE", **arguments)
    if kind is str:
        arguments["metavar"] = field.metadata["wanted"].removeprefix("one of ").replace(", ", "|")
    return click.option(f"--{name}", type=kind, **arguments)


def sentence(text: str) -> str:
    """The help of a field or setting as a sentence."""
    return text[0].upper() + text[1:] + "."


def _values(field: dataclasses.Field[Any]) -> str:
    """The values of a parameter in the presets, as text; presets with equal values are grouped."""
    names: dict[str, list[str]] = {}
    for preset, parameters in _presets().items():
        names.setdefault(_value(getattr(parameters, field.name)), []).append(preset)
    if len(names) == 1:
        return f"default: {next(iter(names))}"
    return ", ".join(f"{' and '.join(presets)}: {value}" for value, presets in names.items())


@functools.cache
def _presets() -> dict[str, Parameters]:
    """The parameters of each preset."""
    return {name: Parameters.preset(name) for name in PRESETS}


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return f"{value[0]:.3g},{value[1]:g}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _together(*options: Decorator) -> Decorator:
    """One decorator that adds several options, in the order of the help."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


input_options = section_options(Inputs)
follow_options = section_options(Following)
geometry_options = section_options(Experiment)
output_options = section_options(Outputs)
where_options = section_options(Where)
machine_options = section_options(Machine)

message_options = _together(
    click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON on standard output."),
    click.option(
        "--log-json",
        metavar="FILE",
        help=("Write the progress of the run to a file, a line of JSON about every second."),
    ),
    click.option("-q", "--quiet", is_flag=True, help="Errors only."),
    click.option("-v", "--verbose", is_flag=True, help="Print more: parameters, and every problem as it occurs."),
)


json_option = click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace existing files.")


def debug_option(function: Any) -> Any:
    """Declare --debug, for which `main` itself looks in the arguments."""
    return click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")(function)


TYPED = "ffbidx.typed"
"""Key of the names as the user typed them, by the names of the files that are read, in the meta of a context."""


class ResultsName(StringParamType):
    """The name of a results file; that of a run that has not ended is replaced by a file with its results so far."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name of the results file that a command reads."""
        if ctx is None or not _is_under_way(value):
            return value
        from ffbidx_core.errors import InputError, OutputError
        from ffbidx_core.write.parts.under_way import join_so_far

        folder = tempfile.mkdtemp(prefix="ffbidx-")
        ctx.call_on_close(lambda: shutil.rmtree(folder, ignore_errors=True))
        joined = os.path.join(folder, os.path.basename(value))
        try:
            n_frames = join_so_far(value, joined)
        except (InputError, OutputError):
            if _is_under_way(value):
                raise
            # The run has ended in the meantime.
            return value
        if not n_frames:
            return value
        ctx.meta.setdefault(TYPED, {})[joined] = value
        click.echo(
            f"{value}: the run has not ended; its first {counted(n_frames, 'frame')} {are(n_frames)} saved", err=True
        )
        return joined


RESULTS = ResultsName()


def _is_under_way(results: str) -> bool:
    """Whether a run with these results has saved parts and has not ended."""
    return os.path.lexists(os.path.join(results + PARTS_SUFFIX, LEDGER))


def as_typed(results: str) -> str:
    """The name that the user typed for a file of results, for texts that are shown."""
    typed: dict[str, str] = click.get_current_context().meta.get(TYPED, {})
    return typed.get(results, results)
