"""Which spots of a frame are taken, and in which order."""

from collections.abc import Callable

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffbidx_core.model.records.frame import FrameBlock, FrameStatus
from ffbidx_core.read.sift import first_occurrences
from tests.helpers.spot_files import COUNTS, MakeFile, blocks, good_spots


def test_padding_and_duplicates_are_left_out_and_counted(hdf5_file: MakeFile) -> None:
    def poke(file: h5py.File) -> None:
        spots = good_spots()
        spots[1] = spots[0]
        spots[2] = [0, -0.0, 9e-7]
        # The same spot in another frame is none of its duplicates; minus zero is zero.
        spots[4] = spots[0]
        spots[8], spots[9] = [0.0, 0.1, 0.2], [-0.0, 0.1, 0.2]
        file["spots"][:] = spots

    (block,) = blocks(hdf5_file(poke))
    assert block.n_left_out == 3
    assert block.n_spots.tolist() == [2, 0, 3, 4]
    assert block.offsets.tolist() == [0, 2, 2, 5, 9]


@pytest.mark.parametrize("value", [np.nan, np.inf, -1000.0])
def test_a_bad_spot_spoils_its_frame_only(hdf5_file: MakeFile, value: float) -> None:
    def poke(file: h5py.File) -> None:
        file["spots"][5, 1] = value
        file["spots"][6] = 0

    path = hdf5_file(poke)
    (block,) = blocks(path)
    assert block.status.tolist() == [1, 1, FrameStatus.BAD_SPOTS, 1]
    assert block.n_spots.tolist() == list(COUNTS)
    assert block.offsets.tolist() == [0, 4, 4, 4, 9]
    assert block.n_left_out == 0
    assert len(block.problems) == 1
    assert block.problems[0].startswith(f"{path}, frame 2: spot 1 is (")
    assert ("are these pixels?" in block.problems[0]) is bool(np.isfinite(value))


def test_float64_beyond_float32_is_a_bad_spot_without_a_warning(hdf5_file: MakeFile) -> None:
    def poke(file: h5py.File) -> None:
        del file["spots"]
        file["spots"] = np.full((12, 3), 1e300)

    (block,) = blocks(hdf5_file(poke))
    assert block.status.tolist() == [3, 1, 3, 3]


def test_resolution_limits(text_file: MakeFile) -> None:
    path = text_file("0.1 0 0\n0 0.2 0\n0 0 0.25\n0.3 0.4 0\n0 0 0\n")

    def kept(**limits: float) -> list[float]:
        (block,) = blocks(path, **limits)
        assert block.n_spots == [len(block.spots)]
        assert block.n_left_out == 1
        return np.linalg.norm(block.spots.astype(float), axis=1).round(3).tolist()

    assert kept() == [0.1, 0.2, 0.25, 0.5]
    assert kept(d_min=3.9) == [0.1, 0.2, 0.25]
    assert kept(d_max=6.0) == [0.2, 0.25, 0.5]
    assert kept(d_min=4.5, d_max=6.0) == [0.2]
    assert kept(d_min=20.0) == []


few = st.sampled_from([0.1, 0.2, -0.1])


@given(st.lists(st.tuples(st.integers(0, 2), few, few, few), max_size=30))
def test_first_occurrences(rows: list[tuple[float, ...]]) -> None:
    rows.sort(key=lambda row: row[0])
    table = np.array(rows).reshape(-1, 4)
    found = first_occurrences(table[:, 1:].astype(np.float32), table[:, 0].astype(np.int64))
    assert found.tolist() == [row not in rows[:i] for i, row in enumerate(rows)]


def test_first_occurrences_when_keys_collide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ffbidx_core.read.sift._MIX", np.zeros(3, np.uint64))
    spots = np.float32([[1, 2, 3], [1, 2, 4], [1, 2, 3], [1, 2, 3]])
    assert first_occurrences(spots, np.array([0, 0, 0, 1])).tolist() == [True, True, False, True]


def with_intensity(values: np.ndarray) -> Callable[[h5py.File], None]:
    def poke(file: h5py.File) -> None:
        file["intensity"] = values

    return poke


def test_spots_come_by_falling_intensity_where_that_is_asked_for_and_known(
    hdf5_file: MakeFile, text_file: MakeFile
) -> None:
    intensity = np.array([3, 1, np.nan, 2, 5, 5, 7, -1, 0, 4, np.inf, 9.0])
    known, unknown = hdf5_file(with_intensity(intensity)), text_file("30 0 0 0 40 0 0 0 50\n0.1 0.2 0.3\n0.2 0.1 0.4\n")
    (block,) = blocks(known, unknown, by_intensity=True)
    assert block.by_intensity is not None
    assert block.by_intensity.tolist() == [True] * 4 + [False]
    # Equal ones keep their order, nan is the weakest.
    order = [0, 3, 1, 2, 6, 4, 5, 10, 11, 9, 8, 7]
    np.testing.assert_array_equal(block.spots[:12], good_spots()[order])
    np.testing.assert_array_equal(block.spots[12:], np.float32([[0.1, 0.2, 0.3], [0.2, 0.1, 0.4]]))
    (plain,) = blocks(known, unknown)
    assert plain.by_intensity is None
    np.testing.assert_array_equal(plain.spots[:12], good_spots())
    np.testing.assert_array_equal(plain.offsets, block.offsets)


def test_padding_and_limits_apply_to_spots_by_intensity(hdf5_file: MakeFile) -> None:
    def poke(file: h5py.File) -> None:
        file["intensity"] = np.arange(12.0)
        file["spots"][5] = 0
        file["spots"][11] = file["spots"][8]

    (block,) = blocks(hdf5_file(poke), by_intensity=True)
    (plain,) = blocks(hdf5_file(poke))
    assert (block.n_left_out, block.n_spots.tolist()) == (plain.n_left_out, plain.n_spots.tolist()) == (2, [4, 0, 2, 4])
    assert {tuple(row) for row in block.spots.tolist()} == {tuple(row) for row in plain.spots.tolist()}
    np.testing.assert_array_equal(block.spots[4:6], good_spots()[[6, 4]])


def test_parts_of_blocks_know_their_order(hdf5_file: MakeFile, text_file: MakeFile) -> None:
    known = hdf5_file(with_intensity(np.arange(12.0)))
    (block,) = blocks(known, by_intensity=True)
    (other,) = blocks(text_file("0.1 0.2 0.3\n"), by_intensity=True)
    joined = FrameBlock.joined([block[1:3], other])
    assert joined.by_intensity is not None
    assert joined.by_intensity.tolist() == [True, True, False]
    assert FrameBlock.joined([block[1:3], *blocks(known)]).by_intensity is None
