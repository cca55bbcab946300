"""Units that the type checker holds apart."""

import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT

HEAD = """
import numpy as np
from ffbidx_core.model.detector.beam_shift import BeamShift, Radian, ShiftAlone
from ffbidx_core.model.detector.pixels import spots_of_moved_detector

spots, wavelength = np.zeros((4, 3)), np.ones(4)
"""
RIGHT = """
shift = BeamShift(mrad=(1.5, -0.5))
ShiftAlone(shift)
spots_of_moved_detector(spots, wavelength, shift.radian)
BeamShift.from_radian(Radian(np.array([0.0015, -0.0005])))
"""
WRONG = {
    "mrad to a formula": "spots_of_moved_detector(spots, wavelength, BeamShift(mrad=(1.5, -0.5)).mrad)",
    "a shift without its unit to a formula": "spots_of_moved_detector(spots, wavelength, np.array([1.5, -0.5]))",
    "a shift scaled by hand to a formula": (
        "spots_of_moved_detector(spots, wavelength, 1e3 * BeamShift(mrad=(1.5, -0.5)).radian)"
    ),
    "radian to a geometry": "ShiftAlone(BeamShift(mrad=(1.5, -0.5)).radian)",
    "radian as mrad": "BeamShift(mrad=Radian(np.array([0.0015, -0.0005])))",
    "mrad as radian": "BeamShift.from_radian(BeamShift(mrad=(1.5, -0.5)).mrad)",
    "numbers without their unit": "BeamShift((1.5, -0.5))",
}


@pytest.fixture(scope="module")
def errors(tmp_path_factory):
    """The errors that the type checker finds in each of the wrong lines, and in the right ones, by their names."""
    snippets = {"right": RIGHT} | WRONG
    folder = tmp_path_factory.mktemp("snippets")
    paths = {name: folder / f"snippet_{k}.py" for k, name in enumerate(snippets)}
    for name, path in paths.items():
        path.write_text(f"{HEAD}{snippets[name]}\n")
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), *map(str, paths.values())]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    errors = [line for line in output.splitlines() if ": error: " in line]
    return {name: [line for line in errors if f"/{path.name}:" in line] for name, path in paths.items()}


def test_a_beam_shift_in_the_right_unit_passes_the_type_checker(errors):
    assert errors["right"] == []


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_unit_of_a_beam_shift_is_a_type_error(errors, name):
    (error,) = errors[name]
    assert error.endswith(("[arg-type]", "[call-arg]"))
