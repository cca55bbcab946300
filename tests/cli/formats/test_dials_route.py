"""From strong.refl and imported.expt to an experiment list and a reflection table, on the asymmetric detector."""

import itertools
import json
import os
import tracemalloc
from dataclasses import replace

import msgpack
import numpy as np
import pytest

from ffbidx_core.errors import OutputError
from ffbidx_core.read.formats.open import open_spots
from ffbidx_core.read.geometry.any import read_geometry
from ffbidx_core.read.results import read_run, results_in_pieces
from ffbidx_core.read.run_inputs import RunInputs
from ffbidx_core.write.formats.dials import _bytes_header, expt_pieces, refl_pieces
from ffbidx_core.write.record import record_of
from tests.helpers.beamline import DISTANCE, PANELS, WAVELENGTH, geom_text, write_cxi
from tests.helpers.beamline import MADE_FOR_READING as MADE
from tests.helpers.calls import QUICK
from tests.helpers.dials_files import TURN, columns, expt, write_dials
from tests.helpers.runs.dials import INDEX, MONO, are_true, crystals, spots_of


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


def test_an_image_that_is_indexed_twice_has_two_experiments_of_its_own(run, tmp_path):
    write_dials(tmp_path, MADE)
    for inputs, name in ((["strong.refl"], "once"), (["strong.refl", "strong.refl"], "twice")):
        ran = run("index", *inputs, *INDEX[2:], "-o", f"{name}.expt", "-o", f"{name}.refl")
        assert ran.status == 0, ran.err
    once, twice = (
        [row["identifier"] for row in json.loads((tmp_path / f"{name}.expt").read_text())["experiment"]]
        for name in ("once", "twice")
    )
    assert twice[: len(MADE.cells)] == once
    assert len(set(twice)) == 2 * len(MADE.cells)
    assert list(table_of(tmp_path / "twice.refl")[2].values()) == twice
    given, found = (open_spots(f"{name}.refl", None) for name in ("once", "twice"))
    spots_of_once, spots_of_twice = (
        [raw.spots for raw in file.read(np.arange(file.n_frames))] for file in (given, found)
    )
    np.testing.assert_array_equal(np.concatenate(spots_of_twice), np.concatenate([*spots_of_once, *spots_of_once]))


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


def test_memory_does_not_grow_with_the_run(run, tmp_path):
    """Both outputs of the same frames over and over: nearly all of it waits on the disk."""
    write_dials(tmp_path, MADE)
    assert run(*INDEX, "-o", "run.h5", "-o", "run.expt", "-o", "run.refl").status == 0
    header, _, record, _, _ = read_run("run.h5")
    inputs = replace(RunInputs.of_header(header, None, record, "run.h5"), made=record_of(header, record))

    def size_and_peak(write, times):
        pieces = itertools.chain.from_iterable(results_in_pieces("run.h5") for _ in range(times))
        tracemalloc.start()
        size = sum(len(piece) for piece in write(pieces, inputs.beside(str(tmp_path / "x"))))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size, peak

    for write, name in ((refl_pieces, "run.refl"), (expt_pieces, "run.expt")):
        once, peak = size_and_peak(write, 1)
        assert once == os.path.getsize(name)
        size, peak_of_many = size_and_peak(write, 60)
        # What is said of the run is there once.
        assert size > 15 * once
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
