"""Geometry files with moved panels: what is written, and that all else stays byte for byte."""

import json

import numpy as np
import pytest

from ffbidx_core.errors import UsageError
from ffbidx_core.model.detector.panels import Geometry
from ffbidx_core.model.detector.placed import PlacedPanels
from ffbidx_core.read.geometry.any import parse_geometry
from ffbidx_core.read.geometry.xds import parse_xds_geometry
from ffbidx_core.write.formats.json_numbers import with_numbers
from ffbidx_core.write.formats.refined import refined_text
from tests.helpers.panels.detectors import many_panels
from tests.helpers.paths import SHARED

OLD_FILE = """; an old file, with CRLF\r
clen = /LCLS/detector_1/EncoderValue\r
coffset = 0.58 ; a default\r
detector_shift_x = 0.2 mm\r
res = 9090.91\r
fs = x\r
rigid_group_q0 = a,b\r
a/min_fs = 0\r
a/max_fs = 193\r
a/min_ss = 0\r
a/max_ss = 184\r
a/corner_x = 10.5\r
a/corner_y =-20 ; by hand\r
a/ss = y\r
\r
b/min_fs = 194\r
b/max_fs = 387\r
b/min_ss = 0\r
b/max_ss = 184\r
b/corner_x = 300\r
b/corner_x = 210.5\r
b/corner_y = -20\r
b/ss = -0.01x +1.0y\r
b/coffset = 0.5801"""
DISTANCE = -480.0


def placed(geometry, distance):
    return PlacedPanels.of(geometry.detector, distance)


def moved(panels, which, motion=(1.25, -0.5, 2.0, 1.0, -2.0, 3.0)):
    motions = np.zeros((panels.n_panels, 6))
    motions[which] = motion
    return panels.moved(motions)


def test_unmoved_panels_leave_every_byte():
    for text, distance in ((OLD_FILE, DISTANCE), (many_panels(), 93.0)):
        geometry = parse_geometry("x", text)
        assert refined_text(geometry, placed(geometry, distance), distance) == text


@pytest.mark.parametrize("which", [0, 1, [0, 1]])
def test_moved_panels_of_an_old_file_read_back(which):
    geometry = parse_geometry("x", OLD_FILE)
    panels = moved(placed(geometry, DISTANCE), which)
    text = refined_text(geometry, panels, DISTANCE)
    back = placed(parse_geometry("x", text), DISTANCE)
    for name in ("corner", "fast", "slow"):
        assert np.allclose(getattr(back, name), getattr(panels, name), atol=1e-6 if name == "corner" else 1e-9), name
    # The lines of others stay, and so do comments, line ends and the unused first of two values.
    others = {0: "b/", 1: "a/"}.get(which if isinstance(which, int) else -1, "none")
    kept = [line for line in OLD_FILE.splitlines(keepends=True) if line.startswith(others)]
    assert "".join(kept) in text
    assert text.startswith(OLD_FILE[: OLD_FILE.index("a/min_fs")])
    assert "b/corner_x = 300\r\n" in text
    assert text.replace("\r\n", "").count("\n") == 0
    if which == 0:
        assert " ; by hand\r\n" in text
        assert text.count("a/coffset = ") == text.count("a/fs = ") == 1


def test_only_the_values_that_change_are_written():
    geometry = parse_geometry("x", many_panels())
    panels = moved(placed(geometry, 93.0), 5, (1.5, 0, 0, 0, 0, 0))
    before, after = many_panels().splitlines(), refined_text(geometry, panels, 93.0).splitlines()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert [a.split(" =")[0] for a, _ in changed] == ["q0a5/corner_x"]
    assert float(changed[0][1].split("=")[1]) == pytest.approx(float(changed[0][0].split("=")[1]) + 1.5, abs=1e-5)


def test_bytes_that_are_no_text_stay():
    text = "; \udcff\udce4\n" + many_panels(2, 2)
    geometry = parse_geometry("x", text)
    found = refined_text(geometry, moved(placed(geometry, 93.0), 0), 93.0)
    assert found.encode("utf-8", "surrogateescape").startswith(b"; \xff\xe4\n")


def test_a_format_without_panels_to_move_is_refused():
    text = (
        "NX= 100 NY= 100 QX= 0.1 QY= 0.1 ORGX= 50 ORGY= 50 DETECTOR_DISTANCE= 100 X-RAY_WAVELENGTH= 1.0\n"
        "INCIDENT_BEAM_DIRECTION= 0 0 1\nDIRECTION_OF_DETECTOR_X-AXIS= 1 0 0\nDIRECTION_OF_DETECTOR_Y-AXIS= 0 1 0\n"
    )
    geometry = parse_xds_geometry("XDS.INP", text)
    assert isinstance(geometry, Geometry)
    panels = placed(geometry, 100.0)
    with pytest.raises(UsageError, match="CrystFEL"):
        refined_text(Geometry(geometry.detector, text="no geometry/x = 1"), panels, 100.0)


def test_numbers_of_a_json_text_change_and_nothing_else_does():
    text = '{ "a" : [1.50,\n 2e0, {"b\\"c": [ 7 ]}] , "d":{}, "e":[], "f": "1.50"}'
    numbers = {("a", 0): 3.0, ("a", 2, 'b"c', 0): -0.25, ("x", 1): 9.0}
    assert with_numbers(text, numbers) == '{ "a" : [3.0,\n 2e0, {"b\\"c": [ -0.25 ]}] , "d":{}, "e":[], "f": "1.50"}'
    assert with_numbers(text, {}) == text


LIST = SHARED / "data" / "xfel_metrology" / "experiments.json"


@pytest.mark.skipif(not LIST.exists(), reason="the real data is not beside the project")
def test_panels_move_in_the_hierarchy_of_an_experiment_list():
    text = LIST.read_text()
    geometry = parse_geometry("experiments.json", text)
    distance = geometry.distance.value
    before = placed(geometry, distance)
    assert refined_text(geometry, before, distance) == text
    panels = moved(before, [3, 40])
    found = refined_text(geometry, panels, distance)
    back = parse_geometry("refined.expt", found)
    after = placed(back, back.distance.value)
    for name in ("corner", "fast", "slow"):
        assert np.allclose(getattr(after, name), getattr(panels, name), atol=1e-8), name
    old, new = json.loads(text), json.loads(found)
    lists = (each["detector"][0]["panels"] for each in (old, new))
    assert [i for i, pair in enumerate(zip(*lists, strict=True)) if pair[0] != pair[1]] == [3, 40]
    for each in (old, new):
        del each["detector"][0]["panels"]
    assert old == new
