"""Every number that a command takes has a largest sensible value, and what memory cannot hold names its option."""

import click
import pytest

from ffbidx_cli.main import COMMANDS, cli
from ffbidx_cli.options import Drift
from ffbidx_core.devices.memory import memory_of_options
from ffbidx_core.errors import UsageError

CELL = ("--cell", "79,79,38,90,90,90")
ARGUMENTS = {
    "index": ("spots.h5", *CELL, "-o", "out.h5"),
    "cell": ("spots.h5",),
    "serve": (*CELL, "--stdin"),
    "replay": ("spots.h5", "--to", "ipc://nowhere"),
    "simulate": (*CELL, "-o", "out.h5"),
    "convert": ("spots.h5", "-o", "out.h5"),
    "inspect": ("spots.h5",),
    "table": ("spots.h5",),
    "show": ("spots.h5",),
    "geometry": ("spots.h5", "-o", "out.geom"),
}
"""Arguments with which each command gets as far as its options."""
NUMBERS = (click.types.IntParamType, click.types.FloatParamType, click.Tuple, Drift)


def options_with_numbers(command: str) -> list[click.Option]:
    found = cli.get_command(click.Context(cli), command)
    return [each for each in found.params if isinstance(each, click.Option) and isinstance(each.type, NUMBERS)]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_number_has_a_largest_value(run, spots_file, command):
    if command in ("serve", "replay"):
        pytest.importorskip("zmq")
    for option in options_with_numbers(command):
        name = option.opts[-1]
        # What is no integer is refused as such.
        huge = str(10**30) if "int" in str(option.type).lower() else "1e30"
        for value in (huge, "nan", "inf"):
            values = [f"{value},{value}"] if isinstance(option.type, Drift) else [value] * option.nargs
            ran = run(command, *ARGUMENTS.get(command, ("spots.h5",)), name, *values)
            assert ran.is_one_line_error(2, name), (command, name, value, ran.err)


def test_commands_with_numbers_are_tried():
    assert sum(len(options_with_numbers(command)) for command in COMMANDS) > 150


def test_the_option_that_needs_the_most_memory_is_named():
    sizes = {"lattices": (1, 10), "frames": (5000, 100)}
    with (
        pytest.raises(UsageError, match="--frames: 5000 needs more memory") as caught,
        memory_of_options(sizes, "buy memory"),
    ):
        raise MemoryError("Unable to allocate 9 GiB")
    assert caught.value.exit_status == 2
    assert "9 GiB" in str(caught.value)
    with pytest.raises(UsageError, match="buy memory"), memory_of_options({"frames": (100, 100)}, "buy memory"):
        raise MemoryError


def test_a_simulation_that_memory_cannot_hold_names_an_option(run):
    ran = run("simulate", *CELL, "-o", "out.h5", "--d-min", "0.0001", "--frames", "1")
    assert ran.is_one_line_error(2, "--d-min")
    ran = run("simulate", *CELL, "-o", "out.h5", "--angle-spread", "60", "--lattices", "9", "9")
    assert ran.is_one_line_error(2, "--angle-spread")
