"""Options that commands share. Those of the parameters are made from `Parameters`: no default is written here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import click

from ffbidx_core.parameters import PRESETS, Parameters

SECTIONS = {
    "indexer": "Size of the problem",
    "run": "Sampling and refinement, as published",
    "crystals": "Separation of crystals, as published",
    "search": "Levers of the search",
    "accept": "What is a crystal",
    "polish": "The last fit",
    "learn": "The run's own cell and beam",
}
"""Sections of the help, by the group of the parameters in them."""

Decorator = Callable[[Any], Any]


class SectionedOption(click.Option):
    """An option that the help shows in a section of its own."""

    def __init__(self, *args: Any, section: str = "", **kwargs: Any) -> None:
        self.section = section
        super().__init__(*args, **kwargs)


class SectionedCommand(click.Command):
    """A command whose help has a section for each group of parameters."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        rows: dict[str, list[tuple[str, str]]] = {title: [] for title in ("Options", *SECTIONS.values())}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if isinstance(parameter, click.Option) and record is not None:
                rows[getattr(parameter, "section", "") or "Options"].append(record)
        for title, records in rows.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records, col_max=34)


class Shard(click.ParamType):  # type: ignore[type-arg]
    """K/N or `slurm`."""

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Number, from 1, and count."""
        from ffbidx_core.read.spans import parse_shard

        return value if isinstance(value, tuple) else parse_shard(value)


class Drift(click.ParamType):  # type: ignore[type-arg]
    """A share of length, as a fraction or in percent, and an angle in degrees: 0.05,3 or 5%,3."""

    name = "length,angle"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Two numbers; a length with a percent sign is divided by 100."""
        try:
            length, angle = (part.strip() for part in value.split(","))
            share = float(length.removesuffix("%")) / (100 if length.endswith("%") else 1)
            return share, float(angle)
        except ValueError:
            self.fail(f"{value!r} is not LENGTH,ANGLE such as 5%,3 or 0.05,3", param, ctx)


def parameter_options(function: Any) -> Any:
    """Give a command one option for every parameter; those not given arrive as None."""
    for field in reversed(dataclasses.fields(Parameters)):
        function = _parameter_option(field)(function)
    return click.option(
        "--preset",
        type=click.Choice(PRESETS),
        default=PRESETS[0],
        show_default=True,
        help="Values of the options below: what indexes most frames, nearly that in less time, or as published.",
    )(function)


def chosen_parameters(preset: str, options: Mapping[str, Any]) -> tuple[Parameters, dict[str, Any]]:
    """The preset's parameters with the options given by hand, and those options alone.

    Raises
    ------
    ParameterError
        For a value out of its range.
    """
    names = {field.name for field in dataclasses.fields(Parameters)}
    given = {name: value for name, value in options.items() if name in names and value is not None}
    return Parameters.preset(preset, **given), given


def _parameter_option(field: dataclasses.Field[Any]) -> Decorator:
    name = field.name.replace("_", "-")
    kind: type = type(field.default)
    arguments: dict[str, Any] = {
        "cls": SectionedOption,
        "section": SECTIONS[field.metadata["group"]],
        "default": None,
        "help": f"{_sentence(field.metadata['help'])}  [{_values(field)}]",
    }
    if kind is bool:
        return click.option(f"--{name}/--no-{name}", **arguments)
    if kind is tuple:
        return click.option(f"--{name}", type=Drift(), metavar="LENGTH,ANGLE", **arguments)
    if kind is str:
        arguments["metavar"] = field.metadata["wanted"].removeprefix("one of ").replace(", ", "|")
    return click.option(f"--{name}", type=kind, **arguments)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _values(field: dataclasses.Field[Any]) -> str:
    """The value of a parameter in each preset, equal ones together."""
    names: dict[str, list[str]] = {}
    for preset in PRESETS:
        names.setdefault(_value(getattr(Parameters.preset(preset), field.name)), []).append(preset)
    if len(names) == 1:
        return f"default: {next(iter(names))}"
    return ", ".join(f"{' and '.join(presets)}: {value}" for value, presets in names.items())


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return f"{value[0]:.3g},{value[1]:g}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _together(*options: Decorator) -> Decorator:
    """Several option decorators as one, in the order of the help."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


input_options = _together(
    click.argument("inputs", nargs=-1, metavar="INPUT..."),
    click.option(
        "--cell",
        "cells",
        multiple=True,
        metavar="CELL",
        help=(
            "Unit cell: a file (CrystFEL .cell, PDB, mmCIF, XDS, DIALS .expt, or 6 or 9 numbers), or "
            "a,b,c,alpha,beta,gamma in A and degrees, a centring letter after them if it is not P. Repeat it for cells "
            "that compete on every frame. Without it each input's own cells serve."
        ),
    ),
    click.option("--d-min", type=float, metavar="A", help="Use spots up to this resolution only."),
    click.option("--d-max", type=float, metavar="A", help="Use spots from this resolution on only."),
    click.option("--max-frames", type=int, metavar="N", help="Stop after this many frames."),
    click.option(
        "--shard",
        type=Shard(),
        metavar="K/N",
        help=(
            "Take the Kth of N shares of the frames, for `ffbidx merge`; the output gets .K-of-N in its name. slurm: K "
            "and N from the job array, or else from the tasks of the job."
        ),
    ),
    click.option(
        "--open-timeout",
        type=float,
        metavar="S",
        help=("Of several inputs leave out one that does not open within S seconds; 0: wait for ever.  [default: 30]"),
    ),
    click.option("--every", type=int, default=1, show_default=True, metavar="N", help="Take every Nth frame only."),
)

follow_options = _together(
    click.option(
        "--follow/--no-follow",
        default=None,
        help=(
            "Index files while they grow (HDF5 in SWMR mode) and as they appear, until --stop-file, --stop-after or a "
            "signal ends the run."
        ),
    ),
    click.option(
        "--stop-file", metavar="FILE", help=("With --follow: once FILE exists, index what is there by then and end.")
    ),
    click.option(
        "--stop-after", type=float, metavar="S", help=("With --follow: end after S seconds without a new frame.")
    ),
)

geometry_options = _together(
    click.option(
        "-g",
        "--geometry",
        metavar="FILE",
        help=(
            "Geometry for peaks in detector pixels: CrystFEL .geom, DIALS .expt, XDS.INP, XPARM.XDS, or "
            "an HDF5 file with NXmx entries."
        ),
    ),
    click.option(
        "--half-pixel-shift/--no-half-pixel-shift",
        default=None,
        help=(
            "Whether peaks are numbers of pixels, so that half a pixel is added.  [default: as is usual in their "
            "format]"
        ),
    ),
    click.option(
        "--beam-centre",
        nargs=2,
        type=float,
        default=None,
        metavar="FS SS",
        help=(
            "Shift the detector so that the beam meets its first panel here, in pixels from the corner of the first."
        ),
    ),
    click.option(
        "--beam-shift",
        nargs=2,
        type=float,
        default=None,
        metavar="X Y",
        help=(
            "The beam meets the detector so far from where it is taken to, in mrad along x and y; for spots without "
            "pixels, too (`ffbidx diagnose` finds it)."
        ),
    ),
    click.option("--distance", type=float, metavar="MM", help="Distance of the detector."),
    click.option("--wavelength", type=float, metavar="A", help="Wavelength."),
)

output_options = _together(
    click.option(
        "-o",
        "--output",
        "outputs",
        multiple=True,
        metavar="FILE",
        help=(
            "Results: .h5 or .hdf5 a results file, .txt or .tsv a text table, .csv, .stream and .sol for CrystFEL, "
            ".expt and .refl for DIALS, - the text table on standard output. Repeat it for several.  "
            "[default: STEM.ffbidx.h5, STEM of the first input]"
        ),
    ),
    click.option(
        "--format",
        "output_format",
        metavar="WORD",
        help=(
            "Format of the first output, where its suffix does not say it: hdf5, table, csv, stream, sol, expt, refl."
        ),
    ),
    click.option("--overwrite", is_flag=True, help="Replace the output if it is there."),
    click.option(
        "--resume",
        is_flag=True,
        help=("Go on with the run of the same arguments that was stopped or died; begin it if there is none."),
    ),
    click.option(
        "--save-every",
        type=float,
        metavar="S",
        help=(
            "Save finished frames to OUTPUT.parts so often, in seconds: so much work is lost at most.  [default: 30]"
        ),
    ),
    click.option(
        "--keep-spots",
        is_flag=True,
        help=("Keep all spots in the results file, with the crystal and the Miller indices of each."),
    ),
    click.option(
        "--keep",
        type=click.Choice(["crystals", "all"]),
        default="crystals",
        show_default=True,
        help="Which cells a results file holds.",
    ),
)

where_options = _together(
    click.option("--backend", default="auto", show_default=True, metavar="auto|cuda|cpu", help="Where to compute."),
    click.option(
        "--device",
        metavar="N|N,N|all",
        help="GPU to use, or several.  [default: INDEXER_GPU_DEVICE, else the current one]",
    ),
    click.option(
        "--threads", type=click.IntRange(min=1), metavar="N", help="Threads to compute with.  [default: all cores]"
    ),
)

backend_options = _together(
    where_options,
    click.option("--batch-size", type=int, metavar="N", help="Frames that are computed together."),
    click.option(
        "--dask",
        metavar="ADDRESS|local:N",
        help=(
            "Compute on the workers of a dask scheduler (its address, or the file that it wrote), or on N new ones on "
            "this machine, one for each GPU."
        ),
    ),
)

message_options = _together(
    click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON on standard output."),
    click.option(
        "--log-json", metavar="FILE", help=("Write how far the run is to a file, a line of JSON about every second.")
    ),
    click.option("-q", "--quiet", is_flag=True, help="Errors only."),
    click.option("-v", "--verbose", is_flag=True, help="Say more: parameters, every problem as it comes."),
)


def debug_option(function: Any) -> Any:
    """Declare --debug, which `main` looks for in the arguments itself."""
    return click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")(function)
