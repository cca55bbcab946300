"""SPOT.XDS of a detector of two segments, one of them tilted, whose own system is turned and shifted."""

import json

import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.model.detector.panels import Detector
from ffbidx_core.read.geometry.any import parse_geometry
from tests.cli.formats.test_dials_itself import dials
from tests.cli.formats.test_xds_route import BEAM, DISTANCE, MONO, ORIGIN, PIXEL, TURN, XDS_INP, XPARM, vector
from tests.helpers.beamline import CELL, WAVELENGTH, same_orientation
from tests.helpers.calls import QUICK
from tests.helpers.frames import OPERATORS, indices, random_rotation, rotation

SYSTEM = rotation(np.array([0.2, 1.0, 0.4]), 4.0) @ TURN
"""Rows: the axes of the detector's system in XDS's laboratory."""


def segment(pixels, origin, distance, tilt):
    """Pixels x1 x2 y1 y2 from 1, origin in pixels, distance, and axes (rows) in the detector's system."""
    return pixels, origin, distance, rotation(np.array([0.3, 1.0, 0.0]), tilt)


SEGMENTS = (segment((1, 700, 1, 300), (3.4, -2.2), 0.6, 1.5), segment((1, 700, 321, 620), (-1.3, 4.1), -2.0, -9.0))


def peaks(cell):
    """x, y and number of the segment, of a crystal in XDS's laboratory."""
    q = (np.linalg.inv(cell) @ indices(16, 21, 27)).T
    s1 = q + BEAM / WAVELENGTH
    s1 = s1[(np.abs(np.linalg.norm(s1, axis=1) - 1 / WAVELENGTH) < 0.002) & (np.linalg.norm(q, axis=1) > 0.02)]
    centre = np.array([-ORIGIN[0] * PIXEL, -ORIGIN[1] * PIXEL, DISTANCE]) @ SYSTEM
    found = []
    for number, (pixels, origin, distance, own) in enumerate(SEGMENTS, start=1):
        x, y, normal = own @ SYSTEM
        for ray in s1:
            # centre + distance * normal + a x + b y = t ray
            a, b, t = np.linalg.solve(np.column_stack([x, y, -ray]), -centre - distance * normal)
            column, row = a / PIXEL + origin[0], b / PIXEL + origin[1]
            if t > 0 and pixels[0] <= column <= pixels[1] and pixels[2] <= row <= pixels[3]:
                found.append((column, row, number))
    return np.array(found)


RNG = np.random.default_rng(4)
CELLS = [CELL @ random_rotation(RNG) for _ in range(2)]
PEAKS = [peaks(cell) for cell in CELLS]


def with_axes(text, system):
    """A geometry with other axes of the detector's system."""
    lines = [line for line in text.splitlines() if "AXIS" not in line]
    axes = [f" DIRECTION_OF_DETECTOR_{n}-AXIS= {vector(v)}" for n, v in zip("XY", system[:2], strict=True)]
    return "\n".join([*lines, *axes]) + "\n"


def inp(system=SYSTEM):
    text = with_axes(XDS_INP, system) + " REFINE_SEGMENT= POSITION\n"
    for (x1, x2, y1, y2), origin, distance, own in SEGMENTS:
        text += f" SEGMENT= {x1} {x2} {y1} {y2} ! of the detector\n"
        text += "".join(f"  DIRECTION_OF_SEGMENT_{n}-AXIS= {vector(v)}\n" for n, v in zip("XY", own[:2], strict=True))
        text += f"  SEGMENT_DISTANCE= {distance} SEGMENT_ORGX= {origin[0]} SEGMENT_ORGY= {origin[1]}\n"
    return text


def xparm():
    lines = XPARM.splitlines()
    lines[7] = lines[7].replace(" 1 ", " 2 ", 1)
    lines[9:12] = [vector(v) for v in SYSTEM]
    for number, (pixels, origin, distance, own) in enumerate(SEGMENTS, start=1):
        lines.append(f"{number} {' '.join(map(str, pixels))}")
        lines.append(f"{origin[0]} {origin[1]} {distance} {vector(own[0])} {vector(own[1])}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def spots(tmp_path):
    lines = [f"{x:.4f} {y:.4f} {f + 0.5} {i + 5}. {int(s)}" for f, rows in enumerate(PEAKS)
             for i, (x, y, s) in enumerate(rows)]  # fmt: skip
    (tmp_path / "SPOT.XDS").write_text("\n".join(lines) + "\n")
    (tmp_path / "XDS.INP").write_text(inp())
    (tmp_path / "XPARM.XDS").write_text(xparm())
    return tmp_path / "SPOT.XDS"


@pytest.mark.parametrize("hkl", ["", " 1 -2 3"])
@pytest.mark.parametrize("geometry", ["XDS.INP", "XPARM.XDS"])
def test_crystals_on_segments(run, spots, geometry, hkl):
    assert all(len(set(rows[:, 2])) == 2 and len(rows) > 50 for rows in PEAKS)
    spots.write_text("\n".join(line + hkl for line in spots.read_text().splitlines()))
    ran = run("index", "SPOT.XDS", "-g", geometry, "--cell", MONO, *QUICK, "-o", "run.h5", "-o", "run.stream")
    assert ran.status == 0, ran.err
    found = read_results("run.h5")
    x = np.cross([0, 1.0, 0], BEAM)
    x /= np.linalg.norm(x)
    turn = np.stack([x, np.cross(BEAM, x), BEAM])
    assert found.n_frames == len(found.crystals) == 2
    for k, truth in enumerate(CELLS):
        assert same_orientation(found.cells[k], truth @ turn.T, OPERATORS)
        assert found.n_indexed[k] > 0.9 * len(PEAKS[k])
    assert run("index", "run.stream", "--cell", MONO, *QUICK, "-o", "again.h5").status == 0
    np.testing.assert_allclose(read_results("again.h5").cells, found.cells, atol=0.1)
    assert run("inspect", "SPOT.XDS", "-g", geometry, "--json").summary["panels"] == 2


@pytest.mark.parametrize(("change", "problem"), [
    (lambda text: text.replace("SEGMENT_DISTANCE= 0.6", ""), "segment 1 has no SEGMENT_DISTANCE="),
    (lambda text: text.replace("SEGMENT= 1 700 321 620", "SEGMENT= 1 700"), "segment 2 has no SEGMENT= with 4"),
    (lambda text: text.replace("SEGMENT= 1 700 321 620", "SEGMENT= 1 700 321 20"), "pixels 1 to 700, 321 to 20"),
])  # fmt: skip
def test_bad_segments(run, spots, tmp_path, change, problem):
    (tmp_path / "XDS.INP").write_text(change(inp()))
    assert run("index", "SPOT.XDS", "-g", "XDS.INP", "--cell", MONO).is_one_line_error(2, "XDS.INP", problem)


def test_an_xparm_that_ends_too_early(run, spots, tmp_path):
    for n, problem in ((2, "says that it has 2 segments, and describes 1"), (4, "does not describe its segments")):
        (tmp_path / "XPARM.XDS").write_text("\n".join(xparm().splitlines()[:-n]))
        assert run("index", "SPOT.XDS", "-g", "XPARM.XDS", "--cell", MONO).is_one_line_error(2, problem)


THEIRS = """
import json
from rstbx.cftbx.coordinate_frame_helpers import import_xds_inp
made = import_xds_inp("XDS.INP")
panels = zip(made._panel_origin, made._panel_fast, made._panel_slow)
print(json.dumps([[list(v) for v in panel] for panel in panels] + [list(made.get_sample_to_source())]))
"""


def test_another_program_has_the_segments_where_they_are(tmp_path, monkeypatch):
    """Cctbx, which takes the axes of the detector's system for those of the laboratory: so they are here."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "XDS.INP").write_text(inp(np.eye(3)) + " ROTATION_AXIS= 1 0 0\n")
    *panels, source = json.loads(dials(THEIRS).splitlines()[-1])
    ours = parse_geometry("x", inp(np.eye(3)))
    moved = Detector(ours.detector.panels).moved((0, 0, ours.distance.value)).panels
    for panel, (origin, fast, slow) in zip(moved, panels, strict=True):
        theirs = np.array([origin, np.array(fast) * PIXEL, np.array(slow) * PIXEL, -np.array(source)])
        mine = np.array([panel.corner, panel.fast, panel.slow, (0, 0, 1)])
        # The same up to a turn of the laboratory, which keeps lengths, angles and the hand.
        products, others = mine @ mine.T, theirs @ theirs.T
        np.testing.assert_allclose(products[1:, 1:], others[1:, 1:], atol=1e-6)
        # Half a pixel from corner to centre: there along the axes of the whole detector, here of the segment, 9 degrees
        # off.
        near = 0.5 * np.sqrt(2) * PIXEL * np.sin(np.radians(9)) * np.linalg.norm(mine[1:], axis=1)
        assert (np.abs(products[0, 1:] - others[0, 1:]) < near).all()
        assert np.linalg.det(mine[:3]) == pytest.approx(np.linalg.det(theirs[:3]), rel=1e-3)
