import dataclasses
import json

import numpy as np
import pytest

from ffbidx_core.errors import CellError, ParameterError
from ffbidx_core.model.cell import cell_parameters
from ffbidx_core.simulate import Scenario

CELLS = ((79.0, 79.0, 38.0, 90.0, 90.0, 90.0), (40.0, 50.0, 60.0, 80.0, 95.0, 105.0))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("wavelength", 0.0),
        ("distance", -1.0),
        ("distance", float("nan")),
        ("d_min", float("inf")),
        ("pixel_size", 0.0),
        ("detector_size", (0, 5)),
        ("spot_radius", 0.0),
        ("mosaicity", -1e-3),
        ("b_factor", -1.0),
        ("blank_share", 1.1),
        ("lattices", (2, 1)),
        ("n_spots", (5, 4)),
        ("n_spots", (-1, 4)),
        ("false_share", (0.5, 1.5)),
        ("false_spots", (-1, 0)),
        ("lattice_scale", (0.0, 1.0)),
        ("position_noise", -0.1),
        ("cell_error", (0.0, 0.0, 0.9)),
        ("distance_error", -0.6),
        ("beam_centre_error", (float("nan"), 0.0)),
        ("centring", "Z"),
        ("false_place", "sky"),
        ("cells", ()),
        ("d_min", 60.0),
    ],
)
def test_a_setting_out_of_range_is_named(name, value):
    with pytest.raises(ParameterError) as caught:
        Scenario(**{"cells": CELLS, name: value})
    assert caught.value.name == name


def test_an_impossible_cell_is_refused():
    with pytest.raises(CellError):
        Scenario(cells=((10.0, 10.0, 10.0, 30.0, 30.0, 90.0),))


def test_json_holds_every_setting():
    scenario = Scenario(cells=CELLS, n_spots=None, beam_centre=(1.0, 2.0))
    settings = json.loads(scenario.as_json())
    assert set(settings) == {f.name for f in dataclasses.fields(Scenario)}
    settings = {name: tuple(map(tuple, value)) if name == "cells" else value for name, value in settings.items()}
    again = Scenario(**{name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()})
    assert again == scenario


def test_the_input_cell_is_wrong_by_what_was_asked():
    cells = cell_parameters(Scenario(cells=CELLS, cell_error=(0.01, -0.02, 0.0)).input_cells)
    assert cells == pytest.approx(np.array(CELLS) * [1.01, 0.98, 1, 1, 1, 1])


def test_the_beam_meets_the_middle_unless_told():
    assert Scenario(cells=CELLS, detector_size=(100, 51)).detector.beam_centre == (50, 25.5)
    assert Scenario(cells=CELLS, beam_centre=(7.0, 8.0)).detector.beam_centre == (7, 8)
