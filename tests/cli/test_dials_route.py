"""From strong.refl and imported.expt to an experiment list and a reflection table, on the asymmetric detector."""

import itertools
import json
import os
import tracemalloc
from dataclasses import replace

import h5py
import msgpack
import numpy as np
import pytest
from beamline import DISTANCE, PANELS, WAVELENGTH, geom_text, same_orientation, write_cxi
from beamline import MADE_FOR_READING as MADE
from calls import QUICK
from dials_files import KINDS, SENSOR, TURN, columns, expt, packed, write_dials, write_hdf5
from frames import OPERATORS

from ffbidx_core import read_results
from ffbidx_core.errors import OutputError
from ffbidx_core.read.geom import read_geometry
from ffbidx_core.read.open import open_spots
from ffbidx_core.read.results import read_run, results_in_pieces
from ffbidx_core.write.dials import _bytes_header, expt_pieces, refl_pieces
from ffbidx_core.write.frames import Setup

MONO = "31,42,53,90,103,90"
INDEX = ("index", "strong.refl", "-g", "imported.expt", "--cell", MONO, *QUICK)


UNTURNED = np.eye(3)


def are_true(cells, turn=UNTURNED):
    return len(cells) == len(MADE.cells) and all(
        same_orientation(cell, truth @ turn, OPERATORS) for cell, truth in zip(cells, MADE.cells, strict=True)
    )


def crystals(path):
    found = read_results(path)
    return found.cells[found.crystals]


def table_of(path):
    """Name and columns of a reflection table."""
    name, version, content = msgpack.unpackb(path.read_bytes(), strict_map_key=False)
    kinds = {
        "int": ("<i4", 1), "std::size_t": ("<u8", 1), "double": ("<f8", 1), "vec3<double>": ("<f8", 3),
        "cctbx::miller::index<>": ("<i4", 3),
    }  # fmt: skip
    found = {}
    for key, (kind, (n, blob)) in content["data"].items():
        dtype, width = kinds[kind]
        found[key] = np.frombuffer(blob, dtype).reshape(n, width)
        assert n == content["nrows"]
    return name, version, content["identifiers"], found


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


def spots_of(path, geometry):
    """Spots and panels of all frames of a file."""
    file = open_spots(str(path), geometry)
    raws = list(file.read(np.arange(file.n_frames)))
    return np.concatenate([raw.spots for raw in raws]), np.concatenate([raw.peaks.pixels for raw in raws])


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


def test_options_change_the_list(run, tmp_path):
    """A list that is wrong in all, and what is right on the command line; what is written for DIALS has it, too."""
    panel = PANELS[0]
    fs, ss, _ = np.linalg.solve(np.column_stack([panel.fast, panel.slow, [0, 0, 1]]), -panel.corner)
    # The beam passes nearest to the second panel.
    normal = np.cross(PANELS[1].fast, PANELS[1].slow)
    distance = (PANELS[1].corner + np.array([0, 0, DISTANCE])) @ normal / normal[2]
    write_dials(tmp_path, MADE)
    content = expt(MADE)
    content["beam"][0]["wavelength"] = 1.1
    content["detector"][0]["hierarchy"]["origin"] = [6.0, -3.0, -25.0]
    (tmp_path / "imported.expt").write_text(json.dumps(content))
    right = ("--beam-centre", fs, ss, "--distance", distance, "--wavelength", WAVELENGTH)
    ran = run(*INDEX, *right, "-o", "run.expt", "-o", "run.refl", "-o", "run.h5")
    assert ran.status == 0, ran.err
    assert are_true(crystals("run.h5"))
    found, true = json.loads((tmp_path / "run.expt").read_text()), expt(MADE)
    assert found["beam"][0]["wavelength"] == WAVELENGTH
    np.testing.assert_allclose(found["detector"][0]["hierarchy"]["origin"], [0, 0, 0], atol=1e-6)
    assert found["detector"][0]["panels"] == true["detector"][0]["panels"]
    # Later, the results know how they were made.
    assert run("convert", "run.h5", "-o", "later.refl").status == 0
    assert (tmp_path / "later.refl").read_bytes() == (tmp_path / "run.refl").read_bytes()


def test_all_spots_of_what_was_indexed_once_are_read_again(run, tmp_path):
    """Two lattices on an image are two experiments, and the spots of neither have none: one frame has them all."""
    # As if the first two stills were one image.
    two = type(MADE)(MADE.cells[:2], [np.concatenate(MADE.peaks[:2])], [np.concatenate(MADE.intensity[:2])])
    write_dials(tmp_path, type(MADE)([None], two.peaks, two.intensity))
    ran = run(*INDEX, "-o", "run.expt", "-o", "run.refl", "-o", "run.h5")
    assert ran.status == 0, ran.err
    assert len(crystals("run.h5")) == 2
    listed = json.loads((tmp_path / "run.expt").read_text())
    assert [row["imageset"] for row in listed["experiment"]] == [0, 0]
    file = open_spots("run.refl", read_geometry("run.expt"))
    assert file.n_frames == 1
    assert len(spots_of("run.refl", read_geometry("run.expt"))[0]) == len(two.peaks[0])
    again = run("index", "run.refl", "-g", "run.expt", "--cell", MONO, *QUICK, "-o", "again.h5")
    assert (again.status, "on no image" in again.err) == (0, False)
    assert len(crystals("again.h5")) == 2


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


def test_list_and_table_out(run, tmp_path):
    write_dials(tmp_path, MADE)
    ran = run(*INDEX, "-o", "run.expt", "-o", "run.refl", "-o", "run.h5")
    assert ran.status == 0, ran.err
    found = json.loads((tmp_path / "run.expt").read_text())
    given = expt(MADE)
    assert found["detector"] == given["detector"]
    assert found["beam"] == given["beam"]
    cells = [[crystal[f"real_space_{axis}"] for axis in "abc"] for crystal in found["crystal"]]
    assert are_true(np.array(cells), TURN)
    assert [row["crystal"] for row in found["experiment"]] == [0, 1, 2]
    assert [found["imageset"][row["imageset"]]["single_file_indices"] for row in found["experiment"]] == [
        [10],
        [11],
        [12],
    ]

    name, version, identifiers, table = table_of(tmp_path / "run.refl")
    assert (name, version) == ("dials::af::reflection_table", 2)
    assert identifiers == {i: row["identifier"] for i, row in enumerate(found["experiment"])}
    number, indexed = table["id"][:, 0], table["id"][:, 0] >= 0
    assert len(number) == sum(len(peaks) for peaks in MADE.peaks)
    assert indexed.mean() > 0.75
    np.testing.assert_array_equal(table["flags"][:, 0] & 4 > 0, indexed)
    # rlp = s1 - s0 is near to the reciprocal lattice of its crystal, in this very frame.
    for i, cell in enumerate(cells):
        mine = number == i
        predicted = table["miller_index"][mine] @ np.linalg.inv(cell).T
        assert np.linalg.norm(table["rlp"][mine] - predicted, axis=1).max() < 0.004
        np.testing.assert_array_equal(table["imageset_id"][mine, 0], i)
    np.testing.assert_allclose(
        table["s1"] - table["rlp"], np.tile([0, 0, -1 / WAVELENGTH], (len(number), 1)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.norm(table["s1"], axis=1), 1 / WAVELENGTH)
    given_places = {tuple(np.round(row, 6)) for row in columns(MADE)["xyzobs.px.value"]}
    assert {tuple(np.round(row, 6)) for row in table["xyzobs.px.value"]} == given_places


def test_from_crystfel_to_dials_and_back(run, tmp_path):
    write_cxi(tmp_path / "run.cxi", MADE)
    (tmp_path / "det.geom").write_text(geom_text())
    ran = run(
        "index", "run.cxi", "-g", "det.geom", "--cell", MONO, *QUICK, "-o", "run.expt", "-o", "run.refl", "-o", "run.h5"
    )
    assert ran.status == 0, ran.err
    found = json.loads((tmp_path / "run.expt").read_text())
    cells = [[crystal[f"real_space_{axis}"] for axis in "abc"] for crystal in found["crystal"]]
    assert are_true(np.array(cells), TURN)
    # The same detector as DIALS would have it, whatever its groups are.
    _, _, _, table = table_of(tmp_path / "run.refl")
    for place, panel, s1 in zip(table["xyzobs.px.value"], table["panel"][:, 0], table["s1"], strict=True):
        model = found["detector"][0]["panels"][panel]
        fast, slow, origin = (np.array(model[key]) for key in ("fast_axis", "slow_axis", "origin"))
        ray = origin + place[0] * model["pixel_size"][0] * fast + place[1] * model["pixel_size"][1] * slow
        np.testing.assert_allclose(ray / np.linalg.norm(ray), s1 * WAVELENGTH, atol=1e-6)
    assert run("index", "run.refl", "-g", "run.expt", "--cell", MONO, *QUICK, "-o", "again.h5").status == 0
    assert are_true(crystals("again.h5"))
    assert run("convert", "run.h5", "-o", "later.expt", "-o", "later.refl").status == 0
    for suffix in (".expt", ".refl"):
        assert (tmp_path / f"later{suffix}").read_bytes() == (tmp_path / f"run{suffix}").read_bytes()


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


def test_memory_does_not_grow_with_the_run(run, tmp_path):
    """Both outputs of the same frames over and over: nearly all of it waits on the disk."""
    write_dials(tmp_path, MADE)
    assert run(*INDEX, "-o", "run.h5", "-o", "run.expt", "-o", "run.refl").status == 0
    header, _, record, _, _ = read_run("run.h5")
    setup = Setup.of_header(header, None, record, "run.h5")

    def size_and_peak(write, times):
        pieces = itertools.chain.from_iterable(results_in_pieces("run.h5") for _ in range(times))
        tracemalloc.start()
        size = sum(len(piece) for piece in write(pieces, setup.beside(str(tmp_path / "x"))))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size, peak

    for write, name in ((refl_pieces, "run.refl"), (expt_pieces, "run.expt")):
        once, peak = size_and_peak(write, 1)
        assert once == os.path.getsize(name)
        size, peak_of_many = size_and_peak(write, 60)
        assert size > 25 * once
        # A megabyte is handed on at a time.
        assert peak_of_many < peak + 2.5 * 2**20
    assert size_and_peak(refl_pieces, 60)[0] > 7e6
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("size", [0, 255, 256, 65535, 65536, 70000])
def test_pieces_of_bytes_begin_as_messagepack_has_them(size):
    assert msgpack.packb(bytes(size)) == _bytes_header(size) + bytes(size)


def test_a_table_of_too_many_spots_is_refused():
    with pytest.raises(OutputError, match="at most 178956970 spots"):
        _bytes_header(2**32)


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
    "no detector": (lambda content: json.dumps(content | {"detector": []}), "imported.expt"),
    "two detectors": (lambda content: json.dumps(_two_detectors(content)), "several different detectors"),
}


def _two_detectors(content):
    other = json.loads(json.dumps(content["detector"][0]))
    other["panels"][0]["origin"][0] += 1
    content["detector"].append(other)
    content["experiment"][1]["detector"] = 1
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
