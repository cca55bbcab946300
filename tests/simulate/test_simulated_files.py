import json

import h5py
import numpy as np
import pytest

from ffbidx_core.errors import OutputError
from ffbidx_core.read.blocks import read_blocks
from ffbidx_core.read.files.inputs import Source
from ffbidx_core.simulate import Scenario, simulate, write_frames

SCENARIO = Scenario(
    cells=((79.0, 79.0, 38.0, 90.0, 90.0, 90.0),),
    n_spots=(10, 40),
    false_share=(0.2, 0.2),
    lattices=(0, 2),
    cell_error=(0.01, 0.01, 0.0),
    distance_error=0.01,
)


@pytest.fixture
def frames():
    return simulate(SCENARIO, 12, seed=3)


@pytest.fixture
def path(tmp_path, frames):
    path = tmp_path / "stills.h5"
    write_frames(str(path), frames)
    return path


def test_the_file_holds_spots_and_truth(path, frames):
    with h5py.File(path) as file:
        for name, expected in {
            "spots": frames.spots,
            "offsets": frames.offsets,
            "intensity": frames.intensity,
            "cells": frames.input_cells,
            "truth/cells": frames.cells,
            "truth/cell_offsets": frames.cell_offsets,
            "truth/lattice": frames.lattice,
            "truth/hkl": frames.hkl,
            "truth/input_cell": frames.input_cell,
        }.items():
            assert file[name].dtype == expected.dtype
            assert np.array_equal(file[name][()], expected), name
        assert file["spots"].attrs["units"] == "1/angstrom"
        assert np.array_equal(file["pixel"][:, :2], frames.pixels)
        assert not file["pixel"][:, 2].any()
        assert file["wavelength"][()].tolist() == [1.0] * 12
        assert json.loads(file.attrs["scenario"]) == json.loads(SCENARIO.as_json())
        assert file.attrs["seed"] == 3
        assert "clen = 0.202 m" in file.attrs["geometry"]


def test_the_truth_predicts_the_spots(path):
    with h5py.File(path) as file:
        lattice, spots = file["truth/lattice"][()], file["spots"][()]
        cells, hkl = file["truth/cells"][()], file["truth/hkl"][()]
    true = lattice >= 0
    # Cell times spot is the Miller indices: off by the spot radius and the noise, and by 1 % of the wrong distance.
    indices = np.einsum("nij,nj->ni", cells[lattice[true]], spots[true] * 1.01)
    assert np.abs(indices - hkl[true]).max() < 0.5
    assert np.abs(indices - hkl[true]).mean() < 0.08


def test_the_reader_gives_the_frames_back(path, frames):
    blocks = list(read_blocks([Source(str(path))]))
    spots = np.concatenate([block.spots for block in blocks])
    assert np.array_equal(spots, frames.spots)
    assert [name for block in blocks for name in block.ids] == [f"3-{i}" for i in range(12)]
    assert not [problem for block in blocks for problem in block.problems]
    assert np.array_equal(blocks[0].cells, frames.input_cells)


def test_the_same_frames_make_the_same_bytes(path, frames, tmp_path):
    write_frames(str(tmp_path / "again.h5"), frames)
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


def test_a_file_that_is_there_is_kept(path, frames):
    before = path.read_bytes()
    with pytest.raises(OutputError):
        write_frames(str(path), simulate(SCENARIO, 1))
    assert path.read_bytes() == before
    write_frames(str(path), simulate(SCENARIO, 1), overwrite=True)
    assert path.read_bytes() != before


def test_frames_without_spots_can_be_written(tmp_path):
    empty = simulate(Scenario(cells=SCENARIO.cells, lattices=(0, 0), n_spots=(0, 0)), 2)
    write_frames(str(tmp_path / "empty.h5"), empty)
    with h5py.File(tmp_path / "empty.h5") as file:
        assert file["spots"].shape == (0, 3)
        assert file["offsets"][()].tolist() == [0, 0, 0]
