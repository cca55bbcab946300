"""The committed sample data are what their script makes."""

import runpy

import h5py
import numpy as np
import pytest

from ffbidx_core.simulate import simulate
from tests.helpers.paths import ROOT

FOLDER = ROOT / "sample_data"


def test_the_frames_are_those_of_the_script():
    script = runpy.run_path(str(FOLDER / "make_sample_data.py"))
    frames = simulate(script["SCENARIO"], script["FRAMES"], script["SEED"])
    assert (FOLDER / "lysozyme.h5").stat().st_size < 1e6
    with h5py.File(FOLDER / "lysozyme.h5") as file:
        # Machines may differ in the last digit.
        assert file["spots"][()] == pytest.approx(frames.spots, abs=1e-6)
        assert np.array_equal(file["truth/hkl"][()], frames.hkl)
        assert np.array_equal(file["truth/lattice"][()], frames.lattice)
        assert file["cells"][()] == pytest.approx(frames.input_cells)
    kinds = np.unique(np.diff(frames.cell_offsets)).tolist()
    assert kinds == [0, 1, 2]
