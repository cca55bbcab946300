"""Cells of real frames that other programs have solved."""

import numpy as np
import pytest

from ffbidx_core.cell_search import Frames, find_cells
from ffbidx_core.read import expand_inputs, read_blocks
from tests.helpers.paths import SHARED

REAL = SHARED / "data" / "real"


@pytest.mark.skipif(not REAL.exists(), reason="needs the shared frames")
@pytest.mark.parametrize(
    ("name", "code", "parameters"),
    [
        ("i04_weak_slices", "tP", (57.8, 57.8, 150.0, 90, 90, 90)),
        ("p42_pseudo_still", "tP", (42.24, 42.24, 39.7, 90, 90, 90)),
    ],
)
def test_the_cell_of_real_frames_is_found(name, code, parameters, devices):
    frames = Frames.of_blocks(read_blocks(expand_inputs([str(REAL / f"{name}.h5")])), 30)
    (found,) = find_cells(frames, devices).cells
    assert found.symmetry.lattice.code == code
    np.testing.assert_allclose(found.symmetry.lattice.parameters, parameters, rtol=3e-3)


@pytest.mark.skipif(not REAL.exists(), reason="needs the shared frames")
def test_three_crystals_that_scatter_by_percents_offer_the_true_symmetry(devices):
    frames = Frames.of_blocks(read_blocks(expand_inputs([str(REAL / "pal_lysozyme.h5")])), 30)
    (found,) = find_cells(frames, devices).cells
    tetragonal = next(each for each in found.table if each.lattice.code == "tP")
    np.testing.assert_allclose(tetragonal.lattice.parameters, (79.2, 79.2, 38.0, 90, 90, 90), rtol=0.02)
