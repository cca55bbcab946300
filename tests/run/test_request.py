"""The request of a run: where its fields are options, the rules between them, and what of it is recorded."""

import dataclasses
from pathlib import Path

import pytest

from ffbidx_cli.commands.index import command
from ffbidx_cli.options import request_of
from ffbidx_core.devices.memory import memory_explained
from ffbidx_core.errors import ParameterError, UsageError
from ffbidx_core.parameters import Parameters
from ffbidx_core.run.request import RunRequest

FIELDS = {field.name: field for field in dataclasses.fields(RunRequest)}
OF_ARRAYS = {"spots", "offsets"}
OF_THE_COMMAND = {"help_all", "dry_run", "as_json", "log_json", "quiet", "verbose", "debug", "config", "print_config"}


def asked(*arguments: str) -> RunRequest:
    return request_of(command.make_context("index", ["x.h5", *arguments]).params, RunRequest)


def test_every_field_is_an_option_and_every_option_is_asked_or_of_the_command_alone() -> None:
    options = {parameter.name for parameter in command.params}
    parameters = {field.name for field in dataclasses.fields(Parameters)}
    assert set(FIELDS) - options == OF_ARRAYS | {"parameters"}
    assert options - set(FIELDS) - parameters == OF_THE_COMMAND


def test_a_command_without_options_asks_for_what_the_defaults_are() -> None:
    found, plain = asked(), RunRequest("x.h5")
    assert {name: getattr(found, name) for name in FIELDS} == {name: getattr(plain, name) for name in FIELDS}


def test_values_of_options_arrive_in_the_request() -> None:
    found = asked(
        "--beam-shift", "1", "2", "--no-follow", "--shard", "2/3", "-o", "a.h5", "-o", "b.txt", "--searches", "2"
    )
    assert (found.beam_shift, found.follow, found.share, found.outputs) == ((1, 2), False, (2, 3), ("a.h5", "b.txt"))
    assert found.parameters == {"searches": 2}
    assert found.parameters_in_force == Parameters.preset("best", searches=2, max_output_cells=32)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"outputs": "-", "resume": True}, UsageError, "-o - leaves nothing to resume"),
        ({"overwrite": True, "resume": True}, UsageError, "--overwrite starts again"),
        ({"outputs": "-", "shard": "1/2"}, UsageError, "--shard and -o -"),
        ({"outputs": "x.txt", "keep_spots": True}, UsageError, "--keep-spots keeps them in a results file"),
        ({"outputs": ["x.h5", Path("x.h5")]}, UsageError, "named twice"),
        ({"stop_after": 3.0}, UsageError, "it goes with --follow"),
        ({"follow": True, "dask": "local:2"}, UsageError, "--follow and --dask"),
        ({"save_every": -1.0}, ParameterError, "save_every = -1.0 is out of range: at least 0"),
        ({"beam_shift": (0.0, 300.0)}, ParameterError, "two numbers below 200 mrad"),
        ({"preset": "published", "parameters": {"retry": True}}, ParameterError, "off with --accept count"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        RunRequest("x.h5", **changes).check()


def test_what_a_file_of_options_says_of_the_end_of_following_is_left_alone_without_it() -> None:
    RunRequest("x.h5", follow=False, stop_file="stop", stop_after=3.0).check()


def test_one_name_is_as_good_as_a_list_of_one() -> None:
    for one in ("x.h5", Path("x.h5")):
        assert RunRequest(one).input_names == RunRequest([one]).input_names == ["x.h5"]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"parameters": {"num_halfsphere_points": 10**12}}, "num_halfsphere_points"),
        ({"batch_size": 10**9}, "batch_size"),
        ({"wavelength": 12400.0}, "wavelength"),
        ({"distance": 1e9}, "distance"),
        ({"d_min": 1e300}, "d_min"),
        ({"max_frames": 10**20}, "max_frames"),
    ],
)
def test_every_number_has_a_largest_sensible_value(options: dict, name: str):
    with pytest.raises(ParameterError, match=f"{name} = .* is out of range"):
        RunRequest("x.h5", **options).check()


def test_what_memory_cannot_hold_names_the_option():
    wanted = r"--num-halfsphere-points: 900000 needs more memory.*make it smaller; .*7 TiB"
    with pytest.raises(UsageError, match=wanted), memory_explained(Parameters(num_halfsphere_points=900_000), None):
        raise MemoryError("Unable to allocate 7 TiB")
