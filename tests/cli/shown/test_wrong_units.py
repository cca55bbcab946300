"""Values of options in another unit than that of the option end with the command line to type."""

import shlex

import pytest

from tests.helpers.calls import MONO, write_spots
from tests.helpers.frames import frame


@pytest.mark.parametrize(
    ("typed", "right"),
    [
        (["--cell", "79,79,38,90,90,1.5708"], ["--cell", "79,79,38,90,90,90"]),
        (["--cell=79,79,38,1.5708,1.5708,2.0944,P"], ["--cell=79,79,38,90,90,120"]),
        (["--cell", MONO, "--cell", "79 79 38 90 1.5708 90"], ["--cell", MONO, "--cell", "79,79,38,90,90,90"]),
        (["--cell", "rad.cell"], ["--cell", "31,42,53,90,103,90"]),
        (["--cell", MONO, "--distance", "0.08"], ["--cell", MONO, "--distance", "80"]),
        (["--cell", MONO, "--wavelength", "9500"], ["--cell", MONO, "--wavelength", "1.3051"]),
    ],
)
def test_angles_in_radians_and_other_units_end_with_the_command_line_to_type(run, tmp_path, typed, right):
    write_spots(tmp_path / "run.cxi", [frame(0)[1]])
    (tmp_path / "rad.cell").write_text("31 42 53 1.5708 1.7977 1.5708\n")
    ran = run("index", "run.cxi", *typed)
    assert ran.is_one_line_error(2, "type ffbidx index")
    words = shlex.split(ran.err.rpartition("type ffbidx ")[2])
    assert words == ["index", "run.cxi", *right]


def test_a_cell_in_a_file_of_options_has_no_command_line_but_the_option(run, tmp_path):
    write_spots(tmp_path / "run.cxi", [frame(0)[1]])
    (tmp_path / "run.toml").write_text('cell = ["79,79,38,90,90,1.5708"]\n')
    ran = run("index", "run.cxi", "--config", "run.toml")
    assert ran.is_one_line_error(2, "gamma 1.5708 looks like radians", "; give --cell 79,79,38,90,90,90")
