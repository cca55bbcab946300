"""`ffbidx simulate`: makes stills whose true crystals are known."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from ffbidx_cli.options import COUNT, Finite, debug_option, overwrite_option, sentence
from ffbidx_core.model.basis import CENTRINGS
from ffbidx_core.nouns import counted
from ffbidx_core.simulate.scenario import FALSE_PLACES, Scenario

WORDS = {"centring": CENTRINGS, "false_place": FALSE_PLACES}


def setting_options(function: Any) -> Any:
    """Add one option to a command for every setting of a `Scenario` except its cells, with the setting's default."""
    for field in reversed(dataclasses.fields(Scenario)):
        if field.name not in ("cells", "panels"):
            function = _setting_option(field)(function)
    return function


def _setting_option(field: dataclasses.Field[Any]) -> Any:
    default = field.default
    arguments: dict[str, Any] = {"default": default, "show_default": default is not None}
    arguments["help"] = sentence(field.metadata["help"])
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


@click.command("simulate")
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
        "Geometry file of a detector with many panels, in any format that `ffbidx index -g` reads; it gives panels, "
        "distance and wavelength instead of the options of a flat detector."
    ),
)
@click.option(
    "--panels-off",
    default=0.0,
    show_default=True,
    type=Finite(min=0, max=1000),
    metavar="PX",
    help="With -g: displace the panels from the positions in the file by PX pixels (rms), in their rigid groups.",
)
@click.option("--frames", default=100, show_default=True, type=COUNT, help="Frames to simulate.")
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(min=0, max=2**63 - 1),
    help="Seed of the random numbers; the same seed gives the same frames.",
)
@setting_options
@click.option("--all-spots", is_flag=True, help="Keep all visible spots, whatever --n-spots says.")
@overwrite_option
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
    """Simulate stills with known crystals.

    The spots go to an HDF5 file that `ffbidx index` reads, with the true crystals in /truth. If an option takes two
    numbers, these are the ends of a range from which each frame draws its own value, unless the help says otherwise.
    """
    from ffbidx_cli.console import working
    from ffbidx_core.devices.memory import memory_of_options
    from ffbidx_core.errors import UsageError
    from ffbidx_core.simulate import simulate, write_frames
    from ffbidx_core.write.check import check_output
    from ffbidx_core.write.formats.names import is_hdf5

    if not is_hdf5(output):
        raise UsageError(f"-o {output}: simulated frames are written as .h5 or .hdf5")
    if all_spots:
        settings["n_spots"] = None
    scenario = Scenario(cells=tuple(_cell(text) for text in cells), **settings)
    if geometry is not None:
        scenario = _on_panels(scenario, geometry, panels_off, seed)
    elif panels_off:
        raise UsageError("--panels-off needs a detector of many panels: give its geometry file with -g FILE")
    check_output(output, overwrite)
    sizes = {"frames": (frames, 1000), "lattices": (scenario.lattices[1], 10)}
    sizes["false_spots"] = scenario.false_spots[1], 1000
    with (
        memory_of_options(sizes, "the cell has too many reflections: make --d-min larger"),
        working("simulating frames"),
    ):
        simulated = simulate(scenario, frames, seed)
        write_frames(output, simulated, overwrite)
    click.echo(
        f"{output}: {counted(frames, 'frame')}, {counted(len(simulated.spots), 'spot')}, "
        f"{counted(len(simulated.cells), 'lattice')}",
        err=True,
    )


def _on_panels(scenario: Scenario, path: str, off: float, seed: int) -> Scenario:
    """The scenario on the detector of a geometry file, with its panels displaced by `off` pixels (rms)."""
    import numpy as np

    from ffbidx_core.errors import UsageError
    from ffbidx_core.model.detector.panels import Geometry
    from ffbidx_core.read.geometry.any import read_geometry
    from ffbidx_core.simulate.many_panels import ManyPanels

    given = read_geometry(path)
    if not isinstance(given, Geometry):
        raise UsageError(f"-g {path}: a detector's geometry is wanted, not a shift of the beam alone")
    # If the file refers to numbers in another file, the options of the flat detector are used instead.
    if (wave := given.wavelength) is not None and wave.value is not None:
        scenario = dataclasses.replace(scenario, wavelength=wave.angstrom)
    detector = ManyPanels.of(given, scenario.distance)
    if off != 0:
        # The panels have random numbers of their own, so the crystals of a seed are the same on any detector.
        detector = detector.disturbed(off, np.random.default_rng((seed, 1)))
    return scenario.with_panels(detector)


def _cell(text: str) -> tuple[float, ...]:
    """The six parameters (angstrom, degrees) of a cell that is given as numbers or as a file."""
    from ffbidx_core.errors import UsageError
    from ffbidx_core.model.cell import cell_parameters
    from ffbidx_core.read.cells.input_cell import read_cell

    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        return tuple(cell_parameters(read_cell(text)).tolist())
    if len(numbers) != 6:
        raise UsageError(f"--cell {text}: has {counted(len(numbers), 'number')}, a cell has 6: a,b,c,alpha,beta,gamma")
    return numbers
