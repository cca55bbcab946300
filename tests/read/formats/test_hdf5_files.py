"""HDF5 spot files in all the ways that are taken."""

import subprocess
import sys
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from tests.helpers.hdf5_changes import Hdf5File, remove, replace, set_units
from tests.helpers.spot_files import CELL, COUNTS, OFFSETS, blocks, good_spots


def test_a_good_file(hdf5_file: Hdf5File) -> None:
    path = hdf5_file()
    (block,) = blocks(path)
    np.testing.assert_array_equal(block.spots, good_spots())
    np.testing.assert_array_equal(block.offsets, OFFSETS)
    np.testing.assert_array_equal(block.n_spots, COUNTS)
    np.testing.assert_array_equal(block.cells, [CELL])
    np.testing.assert_array_equal(block.indices, range(4))
    assert (block.spots.dtype, block.n_spots.dtype, block.status.dtype) == (np.float32, np.int32, np.uint8)
    assert block.sources == [path] * 4
    assert block.ids == [""] * 4
    assert (block.n_left_out, block.problems) == (0, [])


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("options", [{}, {"chunks": (2, 3), "compression": "gzip", "fletcher32": True}])
@pytest.mark.parametrize("offsets_dtype", ["<i4", ">u8", "u1"])
def test_every_number_type_that_is_taken(hdf5_file: Hdf5File, dtype: str, options: dict, offsets_dtype: str) -> None:
    def poke(file: h5py.File) -> None:
        replace("spots", good_spots().astype(dtype), **options)(file)
        replace("offsets", OFFSETS.astype(offsets_dtype))(file)

    (block,) = blocks(hdf5_file(poke))
    np.testing.assert_array_equal(block.spots, good_spots())
    np.testing.assert_array_equal(block.offsets, OFFSETS)


@pytest.mark.parametrize("units", ["1/nm", b"1/nm", np.bytes_("1/nm")])
def test_nanometres_are_converted(hdf5_file: Hdf5File, units: object) -> None:
    def poke(file: h5py.File) -> None:
        file["spots"][:] = good_spots() * 10
        set_units(units)(file)

    (block,) = blocks(hdf5_file(poke))
    np.testing.assert_allclose(block.spots, good_spots(), rtol=3e-7)
    assert block.problems == []


def test_missing_units_are_assumed_and_said_once(hdf5_file: Hdf5File) -> None:
    def poke(file: h5py.File) -> None:
        del file["spots"].attrs["units"]

    first, second = hdf5_file(poke, "1.h5"), hdf5_file(poke, "2.h5")
    found = blocks(first, second, frames_per_block=2)
    assert [block.problems for block in found] == [
        ["an input's /spots: no attribute units, 1/angstrom assumed (noted once)"],
        [],
        [],
        [],
    ]
    np.testing.assert_array_equal(found[0].spots, good_spots()[:4])
    assert blocks(first)[0].problems == [f"{first}, /spots: no attribute units, 1/angstrom assumed (noted once)"]


@pytest.mark.parametrize("dtype", [h5py.string_dtype("utf-8"), h5py.string_dtype("ascii"), "S8"])
def test_frame_names(hdf5_file: Hdf5File, dtype: object) -> None:
    names = np.array(["one", "", "three", "4"], dtype="S5" if dtype == "S8" else object)
    (block,) = blocks(hdf5_file(replace("frame_id", names, dtype=dtype)))
    assert block.ids == ["one", "", "three", "4"]


def test_names_that_are_no_utf8_do_not_stop_a_run(hdf5_file: Hdf5File) -> None:
    (block,) = blocks(hdf5_file(replace("frame_id", np.array([b"\xff\xfe", b"b", b"c", b"d"]))))
    assert block.ids == [r"\xff\xfe", "b", "c", "d"]


def test_spots_alone_are_one_frame(hdf5_file: Hdf5File) -> None:
    (block,) = blocks(hdf5_file(remove("offsets", "cells")))
    np.testing.assert_array_equal(block.offsets, [0, sum(COUNTS)])
    assert block.cells is None


def test_other_datasets_are_tolerated(hdf5_file: Hdf5File) -> None:
    def poke(file: h5py.File) -> None:
        file["intensity"] = np.ones(sum(COUNTS))
        file["pixel"] = np.ones((sum(COUNTS), 3))
        file["truth/cells"] = np.zeros((1, 3, 3))
        file["elsewhere"] = h5py.ExternalLink("nothere.h5", "/")

    assert blocks(hdf5_file(poke))[0].n_frames == 4


def test_rows_that_belong_to_no_frame_are_not_read(hdf5_file: Hdf5File) -> None:
    (block,) = blocks(hdf5_file(replace("offsets", [2, 4, 4, 9])))
    np.testing.assert_array_equal(block.spots, good_spots()[2:9])
    np.testing.assert_array_equal(block.offsets, [0, 2, 2, 7])


def test_a_user_block_and_any_suffix_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "spots.txt"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["spots"] = good_spots()
        file["spots"].attrs["units"] = "1/angstrom"
    np.testing.assert_array_equal(blocks(str(path))[0].spots, good_spots())


def test_a_link_inside_the_file_is_followed(hdf5_file: Hdf5File) -> None:
    def poke(file: h5py.File) -> None:
        file.move("spots", "entry/peaks/xyz")
        file["entry/spots"] = h5py.SoftLink("peaks/xyz")
        file["spots"] = h5py.SoftLink("/entry/spots")

    np.testing.assert_array_equal(blocks(hdf5_file(poke))[0].spots, good_spots())


def test_compressed_data_needs_its_filter_only(hdf5_file: Hdf5File) -> None:
    path = hdf5_file(replace("spots", good_spots(), chunks=(12, 3), **hdf5plugin.Bitshuffle()))
    script = f"""
import sys
from ffbidx_core.read import Source, read_blocks
plugin = sys.modules["hdf5plugin"] = None
try:
    list(read_blocks([Source({path!r})]))
except Exception as error:
    print(error)
del sys.modules["hdf5plugin"]
print(sum(block.spots.sum(dtype=float) for block in read_blocks([Source({path!r})])))
"""
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    missing, total = output.splitlines()
    assert missing.startswith(f"{path}, /spots: is compressed with bitshuffle, which is not installed: pip install")
    assert float(total) == pytest.approx(good_spots().sum(dtype=float))
