"""DIALS tables and their experiment lists: which go together, and what old ones are."""

import gzip
import json
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from ffbidx_core.errors import InputError
from ffbidx_core.read import Source, read_blocks
from ffbidx_core.read.formats.open import open_spots
from ffbidx_core.read.geometry.any import parse_geometry, read_geometry
from tests.helpers.beamline import MADE_FOR_READING as MADE
from tests.helpers.beamline import geom_text
from tests.helpers.dials_files import SENSOR, columns, expt, packed, write_hdf5

NAMES = {0: "2", 1: "0", 2: "1"}
"""Experiments of the table, in another order than the list has them."""


def frames(path: Path, geometry=None) -> list[np.ndarray]:
    (block,) = read_blocks([Source(str(path))], geometry=geometry)
    return [block.spots[a:b] for a, b in zip(block.offsets[:-1], block.offsets[1:], strict=True)]


@pytest.fixture
def by_number(tmp_path: Path) -> list[np.ndarray]:
    """The spots of the frames, where table and list go by numbers."""
    (tmp_path / "plain.expt").write_text(json.dumps(expt(MADE)))
    (tmp_path / "plain.refl").write_bytes(packed(columns(MADE)))
    found = frames(tmp_path / "plain.refl", read_geometry(str(tmp_path / "plain.expt")))
    (tmp_path / "plain.expt").unlink()
    return found


@pytest.mark.parametrize("form", ["msgpack", "hdf5"])
def test_experiments_are_matched_by_their_identifiers(by_number, tmp_path: Path, form: str):
    path = tmp_path / "mixed.refl"
    if form == "msgpack":
        path.write_bytes(packed(columns(MADE), identifiers=NAMES))
    else:
        write_hdf5(path, columns(MADE))
        with h5py.File(path, "a") as file:
            for group in file["dials/processing"].values():
                group.attrs["experiment_ids"] = list(NAMES)
                group.attrs["identifiers"] = list(NAMES.values())
    (tmp_path / "mixed.expt").write_text(json.dumps(expt(MADE)))
    found = frames(path)
    for number, name in NAMES.items():
        np.testing.assert_array_equal(np.sort(found[int(name)], axis=0), np.sort(by_number[number], axis=0))


def test_a_table_of_another_list_is_refused_and_one_of_a_part_is_read(by_number, tmp_path: Path):
    geometry = parse_geometry("x", json.dumps(expt(MADE)))
    (tmp_path / "other.refl").write_bytes(packed(columns(MADE), identifiers={0: "x", 1: "y", 2: "z"}))
    with pytest.raises(InputError, match="belongs to another experiment list"):
        frames(tmp_path / "other.refl", geometry)
    (tmp_path / "part.refl").write_bytes(packed(columns(MADE), identifiers={0: "x", 1: "1", 2: "z"}))
    found = frames(tmp_path / "part.refl", geometry)
    assert [len(spots) for spots in found] == [0, len(by_number[1]), 0]


def test_experiments_that_share_an_identifier_are_refused(tmp_path: Path):
    content = expt(MADE)
    content["experiment"][1]["identifier"] = content["experiment"][0]["identifier"]
    (tmp_path / "twice.expt").write_text(json.dumps(content))
    (tmp_path / "twice.refl").write_bytes(packed(columns(MADE), identifiers=NAMES))
    with pytest.raises(InputError, match="2 experiments have the identifier 0: write both"):
        frames(tmp_path / "twice.refl")


def test_a_geometry_that_is_no_experiment_list_is_named_although_there_is_a_list(tmp_path: Path):
    (tmp_path / "strong.refl").write_bytes(packed(columns(MADE)))
    (tmp_path / "strong.expt").write_text(json.dumps(expt(MADE)))
    with pytest.raises(InputError, match=r"the geometry of this run is no experiment list: .* in another run"):
        frames(tmp_path / "strong.refl", parse_geometry("det.geom", geom_text()))
    assert len(frames(tmp_path / "strong.refl")) == len(MADE.cells)


def test_each_of_several_tables_finds_its_own_list(by_number, tmp_path: Path):
    for name, wavelength in (("a", 1.0), ("b", 1.1)):
        made = expt(MADE)
        made["beam"][0]["wavelength"] = wavelength
        (tmp_path / f"{name}.expt").write_text(json.dumps(made))
        (tmp_path / f"{name}.refl").write_bytes(packed(columns(MADE)))
    (block,) = read_blocks([Source(str(tmp_path / f"{name}.refl")) for name in "ab"])
    lengths = np.linalg.norm(block.spots, axis=1)
    half = block.offsets[3]
    np.testing.assert_allclose(lengths[half:] * 1.1, lengths[:half] * 1.0, rtol=1e-5)


def test_a_list_of_another_name_is_found_by_identifiers(by_number, tmp_path: Path):
    (tmp_path / "strong.refl").write_bytes(packed(columns(MADE), identifiers={0: "0", 1: "1", 2: "2"}))
    with pytest.raises(InputError, match="experiment list with -g"):
        frames(tmp_path / "strong.refl")
    (tmp_path / "imported.expt").write_text(json.dumps(expt(MADE)))
    for found, right in zip(frames(tmp_path / "strong.refl"), by_number, strict=True):
        np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("listed", ["strong.expt", "strong.expt.gz"])
def test_a_compressed_table_is_read(by_number, tmp_path: Path, listed: str):
    (tmp_path / "strong.refl.gz").write_bytes(gzip.compress(packed(columns(MADE))))
    content = json.dumps(expt(MADE)).encode()
    (tmp_path / listed).write_bytes(gzip.compress(content) if listed.endswith(".gz") else content)
    np.testing.assert_array_equal(np.concatenate(frames(tmp_path / "strong.refl.gz")), np.concatenate(by_number))


@pytest.mark.parametrize("content", [{"id": [1, 2]}, [0.1, 0.2], np.zeros(3)], ids=["dict", "list", "array"])
@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_is_named_with_the_way_out(tmp_path: Path, protocol: int, content: object):
    (tmp_path / "strong.pickle").write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(InputError, match=r"is a pickle .*as_file\('strong.refl'\)"):
        frames(tmp_path / "strong.pickle")


def test_a_data_block_is_named_with_the_way_out(tmp_path: Path):
    path = tmp_path / "datablock.json"
    path.write_text(json.dumps([{"__id__": "DataBlock", "imageset": []}]))
    for read in (read_geometry, lambda name: frames(Path(name))):
        with pytest.raises(InputError, match=r"is a data block of old DIALS .*dials\.import"):
            read(str(path))


def test_a_strategy_has_its_own_sensor_and_one_without_a_thickness_none():
    panels = parse_geometry("x", json.dumps(expt(MADE, sensor=SENSOR))).detector.panels
    own, without = expt(MADE, sensor=(1.0, 1.0)), expt(MADE, sensor=SENSOR)
    for panel in own["detector"][0]["panels"]:
        panel["px_mm_strategy"] |= {"t0": SENSOR[0], "mu": SENSOR[1]}
    for panel in without["detector"][0]["panels"]:
        del panel["thickness"], panel["mu"]
    assert parse_geometry("x", json.dumps(own)).detector.panels == panels
    assert {panel.sensor for panel in parse_geometry("x", json.dumps(without)).detector.panels} == {(0.0, 0.0)}


def test_a_row_on_a_panel_that_is_not_there_costs_its_frame(by_number, tmp_path: Path):
    table = columns(MADE)
    row = int(np.flatnonzero(table["id"] == 1)[0])
    table["panel"][row] = 7
    (tmp_path / "a.refl").write_bytes(packed(table))
    (tmp_path / "a.expt").write_text(json.dumps(expt(MADE)))
    (block,) = read_blocks([Source(str(tmp_path / "a.refl"))])
    assert block.status.tolist() == [1, 3, 1]
    assert any(f"1 rows, the first of them {row}, are on panels" in problem for problem in block.problems)
    table["panel"][:] = 7
    (tmp_path / "a.refl").write_bytes(packed(table))
    with pytest.raises(InputError, match="has the panel 7; the detector has 3"):
        frames(tmp_path / "a.refl")


@pytest.mark.parametrize("line", ["100.5 words 1.5 20.0", "100.5 200.5 1.5", "cut"])
def test_a_line_of_spot_xds_that_is_none_costs_its_image(tmp_path: Path, line: str):
    rows = [f"{100 + i} {200 + 3 * i} {i % 3 + 0.5} {10 + i}" for i in range(30)]
    (tmp_path / "SPOT.XDS").write_text("\n".join([*rows[:4], line, *rows[4:]]) + "\n")
    panel = "".join(f"p/{end}_{axis} = {n}\n" for end, n in (("min", 0), ("max", 999)) for axis in ("fs", "ss"))
    text = f"wavelength = 1 A\nclen = 0.1\nres = 10000\n{panel}p/corner_x = -500\np/corner_y = -500\n"
    geometry = parse_geometry("x", text)
    file = open_spots(str(tmp_path / "SPOT.XDS"), geometry)
    (block,) = read_blocks([Source(str(tmp_path / "SPOT.XDS"))], geometry=geometry)
    assert file.n_frames == 3
    assert block.status.tolist() == ([1, 1, 1] if line == "cut" else [1, 3, 1])
    assert "SPOT.XDS, line 5: " in block.problems[0]
