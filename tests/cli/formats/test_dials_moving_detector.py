"""Experiment lists and reflection tables of runs in which the detector moves from frame to frame."""

import json

import numpy as np
import pytest

from ffbidx_core.read.geometry.any import read_geometry
from tests.cli.formats.test_dials_route import table_of
from tests.helpers.beamline import (
    CELL,
    DISTANCE,
    PANELS,
    WAVELENGTH,
    Stills,
    geom_text,
    peaks_of,
    same_orientation,
    write_cxi,
)
from tests.helpers.calls import MONO, QUICK
from tests.helpers.dials_files import SENSOR, TURN
from tests.helpers.frames import OPERATORS, random_rotation
from tests.helpers.runs.dials import spots_of

PLACES = ((0.0, 0.0, DISTANCE), (0.0, 0.0, 1.25 * DISTANCE), (3.0, -2.0, DISTANCE), (0.0, 0.0, DISTANCE + 2e-5))
"""Displacement along x and y, and distance, mm, of the detector on each frame; the last is as good as the first."""


@pytest.fixture
def moving(tmp_path) -> Stills:
    """The files run.cxi and det.geom of frames on which the detector is at the places."""
    rng = np.random.default_rng(5)
    cells = [CELL @ random_rotation(rng) for _ in PLACES]
    peaks = [peaks_of(cell, distance=z, shift=(x, y)) for cell, (x, y, z) in zip(cells, PLACES, strict=True)]
    made = Stills(cells, peaks, [np.ones(len(p)) for p in peaks])
    x, y, distance = np.array(PLACES).T
    write_cxi(tmp_path / "run.cxi", made, **{"/x": x, "/y": y, "/clen": distance / 1e3})
    text = "detector_shift_x = /x mm\ndetector_shift_y = /y mm\n" + geom_text(clen="/clen m")
    (tmp_path / "det.geom").write_text(text)
    return made


def test_streams_and_kept_spots_have_the_place_of_each_frame(run, tmp_path, moving):
    outputs = ("-o", "run.h5", "--keep-spots", "-o", "run.stream", "-o", "run.expt")
    ran = run("index", "run.cxi", "-g", "det.geom", "--cell", MONO, *QUICK, *outputs)
    assert ran.status == 0, ran.err
    expected, _ = spots_of("run.cxi", read_geometry("det.geom"))
    again, _ = spots_of("run.stream", None)
    np.testing.assert_allclose(again, expected, atol=2e-5)
    (tmp_path / "run.cxi").unlink()
    assert run("convert", "run.h5", "-o", "later.stream", "-o", "later.expt").status == 0
    assert (tmp_path / "later.expt").read_bytes() == (tmp_path / "run.expt").read_bytes()
    again, _ = spots_of("later.stream", None)
    np.testing.assert_allclose(again, expected, atol=2e-5)


def in_the_models(listed: dict, table: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The points of a table's indexed spots by the detector of their experiment, in mm and by their pixels (n, 3)."""
    places = []
    for number, panel, mm, px in zip(
        table["id"][:, 0], table["panel"][:, 0], table["xyzobs.mm.value"], table["xyzobs.px.value"], strict=True
    ):
        model = listed["detector"][listed["experiment"][number]["detector"]]["panels"][panel]
        fast, slow, origin = (np.array(model[key]) for key in ("fast_axis", "slow_axis", "origin"))
        size = model["pixel_size"]
        places.append([origin + x * fast + y * slow for x, y in (mm[:2], px[:2] * size)])
    by_mm, by_pixels = np.array(places).transpose(1, 0, 2)
    return by_mm, by_pixels


def test_each_place_of_the_detector_is_a_model_that_its_experiments_share(run, tmp_path, moving):
    ran = run("index", "run.cxi", "-g", "det.geom", "--cell", MONO, *QUICK, "-o", "run.expt", "-o", "run.refl")
    assert ran.status == 0, ran.err
    listed = json.loads((tmp_path / "run.expt").read_text())
    for crystal, truth in zip(listed["crystal"], moving.cells, strict=True):
        cell = np.array([crystal[f"real_space_{axis}"] for axis in "abc"])
        assert same_orientation(cell, truth @ TURN, OPERATORS)
    assert [row["detector"] for row in listed["experiment"]] == [0, 1, 2, 0]
    for detector, (x, y, z) in zip(listed["detector"], PLACES, strict=False):
        for panel, truth in zip(detector["panels"], PANELS, strict=True):
            np.testing.assert_allclose(panel["origin"], TURN @ (truth.corner + np.array([x, y, z])), atol=1e-6)
    # The ray to each spot is that to its place on the detector of its experiment.
    _, _, _, table = table_of(tmp_path / "run.refl")
    indexed = {name: column[table["id"][:, 0] >= 0] for name, column in table.items()}
    for places in in_the_models(listed, indexed):
        rays = places / np.linalg.norm(places, axis=1, keepdims=True)
        np.testing.assert_allclose(rays, indexed["s1"] * WAVELENGTH, atol=1e-6)
    expected, _ = spots_of("run.cxi", read_geometry("det.geom"))
    again, _ = spots_of("run.refl", read_geometry("run.expt"))
    assert len(again) == len(expected)
    np.testing.assert_allclose(again, expected, atol=1e-6)


def test_parallax_is_that_of_the_displaced_detector(run, tmp_path, moving):
    sensors = [f"; sensor of {panel.name}: {SENSOR[0]} mm, absorption {SENSOR[1]}/mm" for panel in PANELS]
    (tmp_path / "det.geom").write_text("\n".join([(tmp_path / "det.geom").read_text(), *sensors]))
    ran = run("index", "run.cxi", "-g", "det.geom", "--cell", MONO, *QUICK, "-o", "run.expt", "-o", "run.refl")
    assert ran.status == 0, ran.err
    listed = json.loads((tmp_path / "run.expt").read_text())
    _, _, _, table = table_of(tmp_path / "run.refl")
    indexed = {name: column[table["id"][:, 0] >= 0] for name, column in table.items()}
    by_mm, by_pixels = in_the_models(listed, indexed)
    np.testing.assert_allclose(by_mm / np.linalg.norm(by_mm, axis=1, keepdims=True), indexed["s1"] * WAVELENGTH,
                               atol=1e-6)  # fmt: skip
    assert np.linalg.norm(by_mm - by_pixels, axis=1).max() > 0.1
