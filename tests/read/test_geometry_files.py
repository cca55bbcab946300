"""CrystFEL geometry files, against another program's reader and the detector they were made of."""

import io
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cfel_fmt.geometry import load_crystfel_geometry

from ffbidx_core.errors import InputError, UsageError
from ffbidx_core.model.detector.geometry_file import geometry_text
from ffbidx_core.model.detector.panels import NO_PANEL, Reading
from ffbidx_core.read.formats.per_frame import DISTANCE as DISTANCE_OF
from ffbidx_core.read.geometry.any import parse_geometry, read_geometry
from ffbidx_core.read.geometry.choose import GeometryChanges
from tests.helpers.beamline import DISTANCE, HEIGHT, PANELS, WAVELENGTH, WIDTH, geom_text

TextFile = Callable[..., str]
SIMPLE = """wavelength = 1.2 A
clen = 0.1
res = 10000
p0/min_fs = 0
p0/max_fs = 99
p0/min_ss = 0
p0/max_ss = 49
p0/corner_x = -50
p0/corner_y = -25
"""


def some_pixels(n: int = 200) -> np.ndarray:
    rng = np.random.default_rng(5)
    panel = rng.integers(0, len(PANELS), n)
    return np.column_stack([rng.uniform(0, WIDTH, n), rng.uniform(0, HEIGHT, n) + panel * HEIGHT, panel])


def true_places(pixels: np.ndarray) -> np.ndarray:
    places = []
    for fs, ss, number in pixels:
        panel = PANELS[int(number)]
        places.append(panel.corner + (0, 0, DISTANCE) + fs * panel.fast + (ss - number * HEIGHT) * panel.slow)
    return np.array(places)


def test_pixels_are_where_the_detector_has_them():
    detector = parse_geometry("x", geom_text()).detector
    pixels = some_pixels()
    np.testing.assert_array_equal(detector.find_panels(pixels[:, 0], pixels[:, 1]), pixels[:, 2])
    places = true_places(pixels)
    np.testing.assert_allclose(detector.positions(pixels, DISTANCE), places, atol=1e-5)
    s1 = places / np.linalg.norm(places, axis=1, keepdims=True) / WAVELENGTH
    np.testing.assert_allclose(detector.spots(pixels, WAVELENGTH, DISTANCE), s1 - (0, 0, 1 / WAVELENGTH), atol=1e-7)


@pytest.mark.parametrize("text", [geom_text(), SIMPLE])
def test_another_reader_finds_the_same_panels(text: str):
    # That reader knows no units.
    theirs = load_crystfel_geometry(io.StringIO(text.replace(" eV", "").replace(" m\n", "\n"))).detector["panels"]
    ours = parse_geometry("x", text)
    assert [panel.name for panel in ours.detector.panels] == list(theirs)
    for panel in ours.detector.panels:
        other, size = theirs[panel.name], 1e3 / theirs[panel.name]["res"]
        assert panel.first == (other["orig_min_fs"], other["orig_min_ss"])
        assert panel.last == (other["orig_max_fs"], other["orig_max_ss"])
        for vector, name in ((panel.fast, "fs"), (panel.slow, "ss"), (panel.corner[:2], "cn")):
            theirs_in_mm = [other[name + axis] * size for axis in "xyz"[: len(vector)]]
            np.testing.assert_allclose(vector, theirs_in_mm, atol=1e-12)


def test_the_text_that_is_made_of_a_geometry_reads_back():
    made = parse_geometry("x", geom_text() + "bad1/min_x = 3\nbad1/max_x = 4\nbad1/min_y = 1\nbad1/max_y = 2\n")
    again = parse_geometry("x", geometry_text(made))
    pixels = some_pixels()
    np.testing.assert_allclose(again.detector.positions(pixels, 1), made.detector.positions(pixels, 1), atol=1e-5)
    assert (again.wavelength, again.distance, again.detector.bad) == (made.wavelength, made.distance, made.detector.bad)


def test_points_between_panels_are_on_none():
    detector = parse_geometry("x", geom_text()).detector
    fs, ss = (
        np.array([-0.1, 0.0, WIDTH - 0.01, WIDTH + 0.01, 5, 5]),
        np.array([5.0, 0, 5, 5, 3 * HEIGHT + 0.01, HEIGHT]),
    )
    assert detector.find_panels(fs, ss).tolist() == [NO_PANEL, 0, 0, NO_PANEL, NO_PANEL, 1]


def test_points_on_several_panels_are_on_none():
    twice = SIMPLE + SIMPLE[SIMPLE.index("p0") :].replace("p0", "p1")
    assert parse_geometry("x", twice).detector.find_panels(np.array([5.0]), np.array([5.0])).tolist() == [NO_PANEL]


REGION = "bad1/min_fs = 10\nbad1/max_fs = 10\nbad1/min_ss = 0\nbad1/max_ss = 49\n"


@pytest.mark.parametrize(
    ("lines", "usable"),
    [
        (f"bad1/panel = p0\n{REGION}", [True, False, False, True]),
        (f"bad1/panel = p1\n{REGION}", [True] * 4),
        ("bad_b/min_x = -41\nbad_b/max_x = -39.05\nbad_b/min_y = -9\nbad_b/max_y = 9\n", [True, False, False, True]),
        ("p0/no_index = 1\n", [False] * 4),
    ],
)
def test_bad_regions(lines: str, usable: list[bool]):
    pixels = np.array([[8.9, 25, 0], [10, 25, 0], [10.9, 25, 0], [11, 25, 0]])
    assert parse_geometry("x", SIMPLE + lines).detector.usable(pixels).tolist() == usable


def test_defaults_are_for_panels_that_come_after_them():
    text = SIMPLE.replace("clen = 0.1", "clen = 0.1\ncoffset = 0.001") + "coffset = 0.5\nres = 20000\n"
    panel = parse_geometry("x", text).detector.panels[0]
    assert panel.corner == pytest.approx((-5, -2.5, 1))


@pytest.mark.parametrize(
    ("lines", "wavelength"),
    [
        ("wavelength = 1.2 A", 1.2),
        ("wavelength = 1.2e-10 m", 1.2),
        ("wavelength = 1.2e-10", 1.2),
        ("photon_energy = 10000", 1.239842),
        ("photon_energy = 10 keV", 1.239842),
        ("electron_voltage = 200 kV", 0.0250793),
    ],
)
def test_units_of_the_wavelength(lines: str, wavelength: float):
    from ffbidx_core.read.formats.per_frame import WAVELENGTH

    reading = parse_geometry("x", SIMPLE.replace("wavelength = 1.2 A", lines)).wavelength
    assert reading is not None
    assert WAVELENGTH.converted(reading, np.array([reading.value])) == pytest.approx([wavelength], rel=1e-5)


def test_old_files_have_a_distance_for_each_panel():
    second = (
        SIMPLE[SIMPLE.index("p0") :].replace("p0", "p1").replace("_ss = 0", "_ss = 50").replace("_ss = 49", "_ss = 99")
    )
    text = SIMPLE.replace("clen = 0.1\n", "") + "p0/clen = 0.2\n" + second + "p1/clen = 0.25\n"
    found = parse_geometry("x", text)
    assert found.distance is not None
    assert found.distance.value == 0.2
    assert [panel.corner[2] for panel in found.detector.panels] == pytest.approx([0, 50])


def test_detector_shifts_and_the_beam_centre():
    shifted = parse_geometry("x", SIMPLE + "detector_shift_x = 0.5 mm\ndetector_shift_y = -0.001\n")
    assert shifted.detector.panels[0].corner == pytest.approx((-4.5, -3.5, 0))
    moved = GeometryChanges(beam_centre=(40, 20)).apply(parse_geometry("x", SIMPLE))
    np.testing.assert_allclose(moved.detector.spots(np.array([[40, 20, 0.0]]), 1.2, 100), [[0, 0, 0]], atol=1e-12)
    again = parse_geometry("x", moved.text)
    np.testing.assert_allclose(again.detector.panels[0].corner, moved.detector.panels[0].corner, atol=1e-7)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: "", "no panels"),
        (lambda text: text + "words\n", "line 10"),
        (lambda text: text.replace("res = 10000\n", ""), "panel p0: has no res"),
        (lambda text: text.replace("p0/max_fs = 99", "p0/max_fs = many"), "panel p0: max_fs"),
        (lambda text: text.replace("p0/max_fs = 99", "p0/max_fs = -9"), "panel p0: ends before"),
        (lambda text: text.replace("res = 10000", "res = -1"), "res = -1"),
        (lambda text: text + "p0/fs = 3w\n", "panel p0, fs"),
        (lambda text: text + "p0/fs = 0x\n", "panel p0, fs.* zero"),
        (lambda text: text.replace("1.2 A", "1.2 parsec"), "parsec"),
        (lambda text: text.replace("1.2 A", "-1 A"), "not above 0"),
        (lambda text: text.replace("clen = 0.1", "clen = 0,1"), "clen = 0,1 is neither"),
        (lambda text: text + "bad1/min_fs = 3\n", "bad1: has no min_ss"),
        (lambda text: text + "p0/corner_x = nan\n", "corner_x"),
    ],
)
def test_bad_files_say_what_is_wrong(text_file: TextFile, change: Callable[[str], str], problem: str):
    with pytest.raises(InputError, match=problem) as caught:
        read_geometry(text_file(change(SIMPLE), "det.geom"))
    assert "det.geom" in str(caught.value)


SEVERAL = SIMPLE.replace("1.2 A", "1.2 parsec").replace("clen = 0.1", "clen = 0,1").replace("res = 10000\n", "words\n")
"""Four faults: a line that is no assignment, the units of the wavelength, the distance, and no `res`."""


def test_all_faults_of_a_file_come_with_the_first():
    second_panel = "".join(f"{line}\n" for line in SIMPLE.replace("p0/", "p1/").splitlines() if line.startswith("p1/"))
    with pytest.raises(InputError) as caught:
        parse_geometry("det.geom", SEVERAL + second_panel)
    first, further = caught.value, [str(fault) for fault in caught.value.further]
    assert str(first).startswith("det.geom, line 3: 'words' is not")
    assert str(first).endswith("and 3 further faults (ffbidx inspect lists all)")
    assert "'parsec'" in further[0]
    assert "clen = 0,1" in further[1]
    # The panels lack the same; they are one fault with a number.
    assert further[2].startswith("det.geom, panel p0: has no res")
    assert further[2].endswith("(and in 1 further place)")
    assert pickle.loads(pickle.dumps(first)).problem == first.problem


def test_a_single_fault_is_as_it_is():
    with pytest.raises(InputError) as caught:
        parse_geometry("det.geom", SIMPLE + "words\n")
    assert caught.value.further == ()
    assert "further" not in str(caught.value)


@pytest.mark.parametrize(
    ("word", "used"), [("true", False), ("1", False), ("0", True), ("false", True), ("yes", False)]
)
def test_a_panel_that_is_not_indexed_is_named_by_a_number_or_a_word(word: str, used: bool):
    (panel,) = parse_geometry("x", SIMPLE + f"p0/no_index = {word}\n").detector.panels
    assert panel.used is used


@pytest.mark.parametrize("name", ["beam_energy", "LCLS/photon_energy_eV", "/LCLS/photon_energy_eV"])
def test_a_header_is_a_path_and_an_option_takes_its_place(name: str):
    geometry = parse_geometry("x", SIMPLE.replace("wavelength = 1.2 A", f"photon_energy = {name}"))
    assert geometry.wavelength == Reading(None, name, "eV")
    assert GeometryChanges(wavelength=1.5).apply(geometry).wavelength == Reading(1.5, unit="A")


@pytest.mark.parametrize("unit", ["mm", "millimetre", "millimeters", "1e-3 m", "m", "um", "microns"])
def test_units_of_a_distance_are_those_of_udunits(unit: str):
    factor = {"m": 1e3, "um": 1e-3, "microns": 1e-3}.get(unit, 1.0)
    geometry = parse_geometry("x", SIMPLE.replace("clen = 0.1", f"clen = {100 / factor} {unit}"))
    assert DISTANCE_OF.number(geometry.distance) == pytest.approx(100)


@pytest.mark.parametrize(("coffset", "given"), [(0.58, 100.0), (-0.22, 150.0), (0.0, 80.0), (0.58, -480.0)])
def test_the_option_is_the_distance_of_the_detector_whatever_its_offset(coffset: float, given: float):
    geometry = GeometryChanges(distance=given).apply(parse_geometry("x", f"coffset = {coffset}\n" + SIMPLE))
    (place,) = geometry.detector.positions(np.array([[0, 0, 0]]), DISTANCE_OF.number(geometry.distance))
    # Below 0 it is the encoder's reading itself.
    assert place[2] == pytest.approx(given if given > 0 else given + 1e3 * coffset)


def test_a_reading_that_puts_the_detector_before_the_sample_is_refused():
    geometry = parse_geometry("x", "coffset = 0.1\n" + SIMPLE)
    with pytest.raises(UsageError, match="--distance -150: puts the detector before the sample"):
        GeometryChanges(distance=-150.0).apply(geometry)


def test_lines_without_effect_get_a_note():
    text = SIMPLE + "p0/cofset = 0.1\ncorner_x = -60\nadu_per_photon = 1\n; a comment\ngroup_a = p0\nphoton_enrgy = 1\n"
    found = parse_geometry("det.geom", text).notes
    assert found == (
        "det.geom, line 10: cofset is not a key of a geometry, the line has no effect",
        "det.geom, line 15: photon_enrgy is not a key of a geometry, the line has no effect",
        "det.geom, line 11: corner_x is a default for panels that are mentioned after it, and none is: the line has no "
        "effect",
    )
    assert parse_geometry("x", SIMPLE).notes == parse_geometry("x", geom_text()).notes == ()
    assert GeometryChanges(distance=90.0).apply(parse_geometry("det.geom", text)).notes == found


def test_pixels_too_small_to_be_pixels_are_refused(tmp_path: Path):
    path = tmp_path / "XDS.INP"
    path.write_text("DETECTOR_DISTANCE= 80\nORGX= 1 ORGY= 2\nNX= 9 NY= 9 QX= 1e-320 QY= 0.1\nX-RAY_WAVELENGTH= 1\n")
    with pytest.raises(InputError, match="pixel size"):
        read_geometry(str(path))
