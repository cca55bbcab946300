"""strong.refl and imported.expt as input: stills and scans, sensors, and what cannot be used."""

import json
import tracemalloc
from dataclasses import replace

import h5py
import numpy as np
import pytest

from ffbidx_core.read.geometry.any import read_geometry
from tests.helpers.beamline import MADE_FOR_READING as MADE
from tests.helpers.calls import QUICK
from tests.helpers.dials_files import KINDS, SENSOR, TURN, columns, expt, packed, write_dials, write_hdf5
from tests.helpers.runs.dials import INDEX, MONO, are_true, crystals, spots_of


@pytest.mark.parametrize("stills", [True, False])
def test_stills_and_scans_in(run, tmp_path, stills):
    write_dials(tmp_path, MADE, stills=stills)
    ran = run(*INDEX, "-o", "run.h5", "-o", "run.stream")
    assert ran.status == 0, ran.err
    assert are_true(crystals("run.h5"))
    text = (tmp_path / "run.stream").read_text()
    if stills:
        assert text.count("Image filename: /data/run.h5\nEvent: //11\n") == 1
    else:
        assert text.count("Image filename: /data/img_0006.cbf\nEvent: //\n") == 1
    assert "tilted/" not in text
    # Its geometry is CrystFEL's, and the stream an input again.
    assert run("index", "run.stream", "--cell", MONO, *QUICK, "-o", "again.h5").status == 0
    assert are_true(crystals("again.h5"))


def test_the_parallax_in_the_sensor_is_corrected(run, tmp_path):
    write_dials(tmp_path, MADE)
    true, _ = spots_of(tmp_path / "strong.refl", read_geometry(str(tmp_path / "imported.expt")))
    write_dials(tmp_path, MADE, sensor=SENSOR)
    geometry = read_geometry(str(tmp_path / "imported.expt"))
    seen, _ = spots_of(tmp_path / "strong.refl", geometry)
    # The ray is taken from where it is seen to be, not from where it comes in: a hundredth of the correction.
    assert np.linalg.norm(seen - true, axis=1).max() < 2e-5
    detector = geometry.detector
    bare = replace(detector, panels=tuple(replace(panel, sensor=(0.0, 0.0)) for panel in detector.panels))
    assert np.linalg.norm(spots_of(tmp_path / "strong.refl", replace(geometry, detector=bare))[0] - true,
                          axis=1).max() > 5e-4  # fmt: skip
    ran = run(*INDEX, "-o", "run.h5", "-o", "run.stream", "-o", "run.expt", "-o", "run.refl", "--keep-spots")
    assert ran.status == 0, ran.err
    assert "parallax" not in ran.err
    assert are_true(crystals("run.h5"))
    # Whatever the geometry is written to, it brings back the same spots.
    for path, made in (("run.stream", None), ("run.refl", read_geometry("run.expt"))):
        again, _ = spots_of(path, made)
        assert len(again) == len(seen)
        assert np.linalg.norm(again[:, None] - seen, axis=2).min(axis=1).max() < 2e-5


def test_half_a_pixel_is_added_when_it_is_asked_for(run, tmp_path):
    write_dials(tmp_path, MADE)
    geometry = read_geometry(str(tmp_path / "imported.expt"))
    _, plain = spots_of(tmp_path / "strong.refl", geometry)
    _, shifted = spots_of(tmp_path / "strong.refl", replace(geometry, half_pixel_shift=True))
    np.testing.assert_allclose(shifted[:, :2] - plain[:, :2], 0.5)


def test_tables_in_hdf5(run, tmp_path):
    write_dials(tmp_path, MADE)
    write_hdf5(tmp_path / "strong.refl", columns(MADE))
    assert run(*INDEX, "-o", "run.h5").status == 0
    assert are_true(crystals("run.h5"))


def test_a_beam_along_another_axis_gives_the_same_crystals(run, tmp_path):
    """The frame of the list is free: all of it turned as a whole, the crystals are what they were."""
    write_dials(tmp_path, MADE)
    content = expt(MADE)
    swap = np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])
    content["beam"][0]["direction"] = (swap @ content["beam"][0]["direction"]).tolist()
    hierarchy = content["detector"][0]["hierarchy"]
    hierarchy["fast_axis"], hierarchy["slow_axis"] = swap[:, 0].tolist(), swap[:, 1].tolist()
    (tmp_path / "imported.expt").write_text(json.dumps(content))
    ran = run(*INDEX, "-o", "run.expt", "-o", "run.h5")
    assert ran.status == 0, ran.err
    found = json.loads((tmp_path / "run.expt").read_text())
    cells = [[crystal[f"real_space_{axis}"] for axis in "abc"] for crystal in found["crystal"]]
    assert are_true(np.array(cells), TURN @ swap.T)


def test_cells_of_experiment_lists_are_input_cells(run, tmp_path):
    write_dials(tmp_path, MADE)
    assert run(*INDEX, "-o", "run.expt").status == 0
    assert run(*INDEX[:4], "--cell", "run.expt", *QUICK, "-o", "run.h5").status == 0
    assert are_true(crystals("run.h5"))


def test_columns_that_are_not_read_take_no_memory_for_long(tmp_path):
    """Shoeboxes are most of a table: two of them, of which one at a time passes by."""
    write_dials(tmp_path, MADE)
    geometry = read_geometry(str(tmp_path / "imported.expt"))
    expected, _ = spots_of(tmp_path / "strong.refl", geometry)
    table = columns(MADE)
    n, boxes = len(table["id"]), bytes(20 * 2**20)
    data = {"a": ["Shoebox<>", [n, boxes]]}
    data |= {name: [KINDS[name], [n, values.tobytes()]] for name, values in table.items()}
    (tmp_path / "strong.refl").write_bytes(packed(table, data=data | {"z": ["Shoebox<>", [n, boxes]]}))
    tracemalloc.start()
    found, _ = spots_of(tmp_path / "strong.refl", geometry)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found, expected)
    assert peak < 2 * len(boxes)


BAD_TABLES = {
    "no list": (None, "-g"),
    "cut off": (lambda table: packed(table)[:-100], "reflection table"),
    "no panel": (lambda table: packed({k: v for k, v in table.items() if k != "panel"}), "panel"),
    "an experiment too many": (lambda table: packed(table | {"id": table["id"] + np.int32(1)}), "experiment 3"),
    "a panel too many": (lambda table: packed(table | {"panel": table["panel"] + np.uint64(1)}), "panel 3"),
    "fewer rows": (lambda table: packed(table, nrows=3), "rows"),
    "columns of another kind": (lambda table: packed(table, data={k: ["int", 3] for k in table}), "id"),
    "no table": (lambda table: packed(table, data=3), "reflection table"),
}


@pytest.mark.parametrize("kind", BAD_TABLES)
def test_bad_tables(run, tmp_path, kind):
    write_dials(tmp_path, MADE)
    change, problem = BAD_TABLES[kind]
    if change is None:
        assert run("index", "strong.refl", "--cell", MONO).is_one_line_error(2, "strong.refl", problem)
        return
    (tmp_path / "strong.refl").write_bytes(change(columns(MADE)))
    assert run(*INDEX).is_one_line_error(2, "strong.refl", problem)


BAD_LISTS = {
    "words": (lambda content: "{words", "imported.expt"),
    "other JSON": (lambda content: "{}", "__id__"),
    "no experiments": (lambda content: json.dumps(content | {"experiment": []}), "without experiments"),
    "images that are no list": (lambda content: json.dumps(_without_images(content)), "imported.expt"),
    "no detector": (lambda content: json.dumps(content | {"detector": []}), "imported.expt"),
}


def _without_images(content):
    content["imageset"][0]["images"] = 1.5
    return content


@pytest.mark.parametrize("kind", BAD_LISTS)
def test_bad_lists(run, tmp_path, kind):
    write_dials(tmp_path, MADE)
    change, problem = BAD_LISTS[kind]
    (tmp_path / "imported.expt").write_text(change(expt(MADE)))
    assert run(*INDEX).is_one_line_error(2, problem)


def test_a_list_as_an_input_and_numbers_that_are_none(run, tmp_path):
    write_dials(tmp_path, MADE)
    assert run("index", "imported.expt", "--cell", MONO).is_one_line_error(2, "imported.expt", ".refl")
    table = columns(MADE)
    table["xyzobs.px.value"] = table["xyzobs.px.value"].copy()
    table["xyzobs.px.value"][np.flatnonzero(table["id"] == 1)[0], 0] = np.nan
    (tmp_path / "strong.refl").write_bytes(packed(table))
    ran = run(*INDEX, "--json", "-o", "x.h5")
    assert ran.status == 3
    assert (ran.summary["status"]["bad_spots"], ran.summary["indexed"]) == (1, 2)
    with h5py.File("x.h5") as file:
        assert file["frame/index"][()].tolist() == [0, 1, 2]
