"""SPOT.XDS with XDS.INP or XPARM.XDS, on a tilted panel whose frame is not ours."""

import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.read.geometry.any import parse_geometry
from tests.helpers.beamline import CELL, WAVELENGTH, same_orientation
from tests.helpers.calls import QUICK
from tests.helpers.frames import OPERATORS, indices, random_rotation, rotation

MONO = "31,42,53,90,103,90"
PIXEL, SIZE, DISTANCE, ORIGIN = 0.2, (700, 620), 80.0, (300.3, 350.8)
# The beam along another axis, a detector that is tilted about it: y runs down, as is usual with XDS.
TURN = rotation(np.array([1.0, 0.2, 0.1]), 25.0)
BEAM = np.array([0, 0, 1.0]) @ TURN
X_AXIS = np.array([1.0, 0.02, 0.03]) / np.linalg.norm([1.0, 0.02, 0.03]) @ TURN
Y_AXIS = np.cross(np.cross(X_AXIS, np.array([0, 1.0, 0]) @ TURN), X_AXIS)
Y_AXIS /= np.linalg.norm(Y_AXIS)
NORMAL = np.cross(X_AXIS, Y_AXIS)


def peaks(cell):
    """x and y as XDS counts them, of a crystal in XDS's frame."""
    reciprocal = np.linalg.inv(cell).T
    q = (reciprocal.T @ indices(16, 21, 27)).T
    s1 = q + BEAM / WAVELENGTH
    near = (np.abs(np.linalg.norm(s1, axis=1) - 1 / WAVELENGTH) < 0.002) & (np.linalg.norm(q, axis=1) > 0.02)
    s1 = s1[near & (s1 @ NORMAL > 0)]
    places = s1 * (DISTANCE / (s1 @ NORMAL))[:, None]
    pixels = np.column_stack([places @ X_AXIS, places @ Y_AXIS]) / PIXEL + ORIGIN
    return pixels[((pixels > 1) & (pixels < SIZE)).all(axis=1)]


RNG = np.random.default_rng(2)
CELLS = [CELL @ random_rotation(RNG) for _ in range(2)]
PEAKS = [peaks(cell) for cell in CELLS]


def vector(values):
    return " ".join(f"{v:.9f}" for v in values)


XDS_INP = f"""! a comment with NX=3
 DETECTOR=PILATUS NX={SIZE[0]} NY={SIZE[1]}  QX={PIXEL}  QY={PIXEL} !pixels
 ORGX= {ORIGIN[0]} ORGY= {ORIGIN[1]}
 DETECTOR_DISTANCE= {DISTANCE}
 X-RAY_WAVELENGTH= {WAVELENGTH}
 INCIDENT_BEAM_DIRECTION= {vector(BEAM)}
 DIRECTION_OF_DETECTOR_X-AXIS= {vector(X_AXIS)}
 DIRECTION_OF_DETECTOR_Y-AXIS= {vector(Y_AXIS)}
"""
XPARM = f""" XPARM.XDS    VERSION Jan 1, 2024
 1 0.0 0.1 1.0 0.0 0.0
 {WAVELENGTH} {vector(BEAM / WAVELENGTH)}
 1 31 42 53 90 103 90
 31 0 0
 0 42 0
 0 0 53
 1 {SIZE[0]} {SIZE[1]} {PIXEL} {PIXEL}
 {ORIGIN[0]} {ORIGIN[1]} {DISTANCE}
 {vector(X_AXIS)}
 {vector(Y_AXIS)}
 {vector(NORMAL)}
"""


@pytest.fixture
def spots(tmp_path):
    lines = [
        f"{x:.4f} {y:.4f} {f + 0.5:.1f} {10 * i + 1}." for f, rows in enumerate(PEAKS) for i, (x, y) in enumerate(rows)
    ]
    (tmp_path / "SPOT.XDS").write_text("\n".join(lines) + "\n")
    (tmp_path / "XDS.INP").write_text(XDS_INP)
    (tmp_path / "XPARM.XDS").write_text(XPARM)
    return tmp_path / "SPOT.XDS"


@pytest.mark.parametrize("geometry", ["XDS.INP", "XPARM.XDS"])
def test_spots_and_geometry_of_xds(run, spots, geometry):
    ran = run("index", "SPOT.XDS", "-g", geometry, "--cell", MONO, *QUICK, "-o", "run.h5", "-o", "run.stream")
    assert ran.status == 0, ran.err
    found = read_results("run.h5")
    # The beam along +z, XDS's y as near to y as it can be.
    z = BEAM
    x = np.cross([0, 1.0, 0], z)
    x /= np.linalg.norm(x)
    turn = np.stack([x, np.cross(z, x), z])
    assert found.n_frames == len(found.crystals) == 2
    for cell, truth in zip(found.cells, CELLS, strict=True):
        assert same_orientation(cell, truth @ turn.T, OPERATORS)
    # The geometry in the stream is that of XDS.
    assert run("index", "run.stream", "--cell", MONO, *QUICK, "-o", "again.h5").status == 0
    again = read_results("again.h5")
    np.testing.assert_allclose(again.cells, found.cells, atol=0.1)


@pytest.mark.parametrize("geometry", ["XDS.INP", "XPARM.XDS"])
def test_options_take_the_place_of_the_files_numbers(run, spots, tmp_path, geometry):
    """A file that is wrong in distance, wavelength and beam, and what is right on the command line."""
    text = (tmp_path / geometry).read_text()
    wrong = text.replace(f" {DISTANCE}", " 99.0").replace(f"{ORIGIN[0]}", "322.2").replace(f"{ORIGIN[1]}", "331.1")
    wrong = wrong.replace(f"WAVELENGTH= {WAVELENGTH}", "WAVELENGTH= 1.0").replace(f"\n {WAVELENGTH}", "\n 1.0")
    assert wrong != text
    (tmp_path / geometry).write_text(wrong)
    # Where the beam meets the detector, in pixels from the corner of the first.
    hit = BEAM * DISTANCE / (BEAM @ NORMAL)
    centre = (hit @ X_AXIS / PIXEL + ORIGIN[0] - 0.5, hit @ Y_AXIS / PIXEL + ORIGIN[1] - 0.5)
    index = ("index", "SPOT.XDS", "-g", geometry, "--cell", MONO, *QUICK)
    right = ("--beam-centre", *centre, "--distance", DISTANCE, "--wavelength", WAVELENGTH)
    ran = run(*index, *right, "-o", "run.h5", "-o", "run.stream")
    assert ran.status == 0, ran.err
    found = read_results("run.h5")
    z = BEAM
    x = np.cross([0, 1.0, 0], z)
    x /= np.linalg.norm(x)
    assert len(found.crystals) == 2
    for k, truth in enumerate(CELLS):
        assert same_orientation(found.cells[k], truth @ np.stack([x, np.cross(z, x), z]).T, OPERATORS)
    assert run("convert", "run.h5", "-o", "later.stream").status == 0
    assert (tmp_path / "later.stream").read_bytes() == (tmp_path / "run.stream").read_bytes()


@pytest.mark.parametrize(("lines", "sensor"), [
    (" SENSOR_THICKNESS= 0.45 SILICON= 3.9\n", (0.45, 3.9)), (" SENSOR_THICKNESS= 0.45\n SILICON= -1\n", (0, 0)),
    ("", (0, 0)),
])  # fmt: skip
def test_a_sensor_of_known_absorption_is_corrected(lines, sensor):
    geometry = parse_geometry("x", XDS_INP + lines)
    assert geometry.detector.panels[0].sensor == sensor
    assert parse_geometry("x", geometry.text).detector.panels[0].sensor == sensor


@pytest.mark.parametrize("more", [" 1 -2 3", " 1 0 0 0"])
def test_further_columns(run, spots, more):
    spots.write_text("\n".join(line + more for line in spots.read_text().splitlines()))
    ran = run("index", "SPOT.XDS", "-g", "XDS.INP", "--cell", MONO, *QUICK, "-o", "x.h5")
    assert ran.status == 0, ran.err
    assert len(read_results("x.h5").crystals) == 2


def test_spots_in_reciprocal_space_with_intensities_are_no_pixels(run, text_file, cell_file):
    text_file.write_text("".join(line + " 12.5\n" for line in text_file.read_text().splitlines()))
    assert run("index", text_file, "--cell", cell_file, *QUICK).status == 0


@pytest.mark.parametrize(("change", "problem"), [
    (lambda text: text.replace("DETECTOR_DISTANCE= 80.0", "DETECTOR_DISTANCE="), "has no DETECTOR_DISTANCE"),
    (lambda text: text.replace(" ORGX=", " ORG="), "has no ORGX"),
    (lambda text: text + " SEGMENT= 1 100 1 100\n", "segment 1 has no DIRECTION_OF_SEGMENT_X-AXIS="),
    (lambda text: text.replace("QX=0.2", "QX=0"), "bad wavelength, distance, origin or pixel size"),
    (lambda text: text.replace("NX=700", "NX=inf"), "OverflowError"),
    (lambda text: text.replace("NX=700", "NX=nan"), "cannot be read"),
    (lambda text: text.replace("ORGX= 300.3", "ORGX= nan"), "bad wavelength"),
    (lambda text: text.replace("Y-AXIS= ", "Y-AXIS= 0 0 0 !"), "not a direction"),
    (lambda text: text.replace("BEAM_DIRECTION= ", "BEAM_DIRECTION= 1 2 !"), "not a vector"),
])  # fmt: skip
def test_bad_geometry(run, spots, tmp_path, change, problem):
    (tmp_path / "XDS.INP").write_text(change(XDS_INP))
    assert run("index", "SPOT.XDS", "-g", "XDS.INP", "--cell", MONO).is_one_line_error(2, "XDS.INP", problem)


def test_bad_xparm_and_bad_spots(run, spots, tmp_path):
    (tmp_path / "XPARM.XDS").write_text("\n".join(XPARM.splitlines()[:7]))
    assert run("index", "SPOT.XDS", "-g", "XPARM.XDS", "--cell", MONO).is_one_line_error(2, "XPARM.XDS")
    lines = spots.read_text().splitlines() * 4
    spots.write_text("\n".join([*lines, "1 2 words 4"]))
    # One line of many costs itself, most lines the file.
    assert f"line {len(lines) + 1}: '1 2 words 4' is not a spot" in run("inspect", "SPOT.XDS", "-g", "XDS.INP").out
    assert run("index", "SPOT.XDS", "--cell", MONO).is_one_line_error(2, "SPOT.XDS", "-g")
