"""The search for unknown cells on the GPU."""

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.cell_search import find_cells
from ffbidx_core.devices.devices import OneDevice
from ffbidx_core.model.records.batch import to_host
from ffbidx_core.model.unknown.scan import VectorScan
from tests.helpers.runs.unknown_cells import frames_of


@pytest.mark.parametrize("code", ["aP", "oC", "hR"])
def test_the_cell_is_the_one_that_the_processors_find(code, gpu):
    frames = frames_of(code, 60)
    mine, other = (find_cells(frames, OneDevice(each)).cells[0] for each in (gpu, get_backend("cpu")))
    assert mine.symmetry.lattice.code == other.symmetry.lattice.code == code
    np.testing.assert_allclose(mine.symmetry.lattice.parameters, other.symmetry.lattice.parameters, rtol=2e-4)


def test_the_lattices_of_a_frame_do_not_depend_on_the_batch(gpu):
    low = frames_of("oP", 70, false_share=(0.5, 0.5)).low()
    scan = VectorScan.make(100.0, np.split(np.linalg.norm(low.spots, axis=1), low.offsets[1:-1]))

    def lattices(frames):
        spots = gpu.load(frames.spots, frames.offsets)
        vectors = gpu.refine_scanned(spots, gpu.scan_vectors(spots, scan), scan)
        return [to_host(each) for each in gpu.join_vectors(spots, vectors)]

    together = lattices(low)
    for frame in (0, 63, 64, 69):
        for one, every in zip(lattices(low.take(np.array([frame]))), together, strict=True):
            assert one[0].tobytes() == every[frame].tobytes()
