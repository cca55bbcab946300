"""`ffbidx simulate`: stills with known truth."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from ffbidx_cli.options import debug_option
from ffbidx_core.model.lattice import CENTRINGS
from ffbidx_core.simulate.scenario import FALSE_PLACES, Scenario

WORDS = {"centring": CENTRINGS, "false_place": FALSE_PLACES}


def setting_options(function: Any) -> Any:
    """Give a command one option for every setting of a `Scenario` but its cells; no default is written here."""
    for field in reversed(dataclasses.fields(Scenario)):
        if field.name not in ("cells", "panels"):
            function = _setting_option(field)(function)
    return function


def _setting_option(field: dataclasses.Field[Any]) -> Any:
    default, text = field.default, field.metadata["help"]
    arguments: dict[str, Any] = {"default": default, "show_default": default is not None}
    arguments["help"] = text[0].upper() + text[1:] + "."
    if field.name in WORDS:
        arguments["type"] = click.Choice(WORDS[field.name])
    elif field.name == "beam_centre":
        arguments.update(nargs=2, type=float, metavar="X Y")
    elif isinstance(default, tuple):
        ends = "LOW HIGH" if field.metadata["range"] else "X Y"
        arguments.update(nargs=len(default), type=type(default[0]), metavar="A B C" if len(default) == 3 else ends)
    else:
        arguments["type"] = type(default)
    return click.option("--" + field.name.replace("_", "-"), **arguments)


@click.command()
@click.option("-o", "--output", required=True, metavar="FILE", help="Spot file to write, .h5 or .hdf5.")
@click.option(
    "--cell",
    "cells",
    required=True,
    multiple=True,
    metavar="CELL",
    help=(
        "Unit cell of the crystals: a file with 6 or 9 numbers, or a,b,c,alpha,beta,gamma in A and degrees. Repeat it "
        "for several kinds of crystal."
    ),
)
@click.option(
    "-g",
    "--geometry",
    metavar="FILE",
    help=(
        "Geometry file of a detector of many panels, in any format that `ffbidx index -g` reads: it gives panels, "
        "distance and wavelength, in the place of the options of a flat detector."
    ),
)
@click.option(
    "--panels-off",
    default=0.0,
    show_default=True,
    type=click.FloatRange(min=0),
    metavar="PX",
    help="With -g: panels are elsewhere than the file says, by so many pixels (rms), in their rigid groups.",
)
@click.option("--frames", default=100, show_default=True, type=click.IntRange(min=1), help="Frames to simulate.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Same seed, same frames.")
@setting_options
@click.option("--all-spots", is_flag=True, help="All spots that are seen, whatever --n-spots says.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it is there.")
@debug_option
def command(
    output: str,
    cells: tuple[str, ...],
    geometry: str | None,
    panels_off: float,
    frames: int,
    seed: int,
    all_spots: bool,
    overwrite: bool,
    **settings: Any,
) -> None:
    """Simulate stills with known truth.

    The spots go to an HDF5 file that `ffbidx index` reads, with the true crystals in /truth. Two numbers of an option
    are the ends of a range from which each frame draws its own, unless the help says otherwise.
    """
    from ffbidx_cli.console import working
    from ffbidx_core.errors import UsageError
    from ffbidx_core.simulate import simulate, write_frames
    from ffbidx_core.write.check import check_output

    if not output.lower().endswith((".h5", ".hdf5")):
        raise UsageError(f"-o {output}: simulated frames are written as .h5 or .hdf5")
    if all_spots:
        settings["n_spots"] = None
    scenario = Scenario(cells=tuple(_cell(text) for text in cells), **settings)
    if geometry is not None:
        scenario = _on_panels(scenario, geometry, panels_off, seed)
    elif panels_off:
        raise UsageError("--panels-off needs a detector of many panels: give its geometry file with -g FILE")
    check_output(output, overwrite)
    with working("simulating frames"):
        simulated = simulate(scenario, frames, seed)
        write_frames(output, simulated, overwrite)
    click.echo(f"{output}: {frames} frames, {len(simulated.spots)} spots, {len(simulated.cells)} lattices", err=True)


def _on_panels(scenario: Scenario, path: str, off: float, seed: int) -> Scenario:
    """The scenario on the detector of a geometry file, whose panels are elsewhere by so many pixels."""
    import numpy as np

    from ffbidx_core.errors import UsageError
    from ffbidx_core.model.detector.panels import Geometry
    from ffbidx_core.read.geometry.any import read_geometry
    from ffbidx_core.simulate.many_panels import ManyPanels

    given = read_geometry(path)
    if not isinstance(given, Geometry):
        raise UsageError(f"-g {path}: a detector's geometry is wanted, not a shift of the beam alone")
    # Options of a flat detector serve where the file has the numbers elsewhere.
    if (wave := given.wavelength) is not None and wave.value is not None:
        scenario = dataclasses.replace(scenario, wavelength=wave.angstrom)
    detector = ManyPanels.of(given, scenario.distance)
    if off != 0:
        # A stream of numbers of its own: the crystals of a seed are the same on any detector.
        detector = detector.disturbed(off, np.random.default_rng((seed, 1)))
    return scenario.with_panels(detector)


def _cell(text: str) -> tuple[float, ...]:
    """The six parameters of a cell that is written out, or that a file holds."""
    from ffbidx_core.errors import UsageError
    from ffbidx_core.model.cell import cell_parameters
    from ffbidx_core.read.cells.input_cell import read_cell

    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        return tuple(cell_parameters(read_cell(text)).tolist())
    if len(numbers) != 6:
        raise UsageError(f"--cell {text}: has {len(numbers)} numbers, a cell has 6: a,b,c,alpha,beta,gamma")
    return numbers
