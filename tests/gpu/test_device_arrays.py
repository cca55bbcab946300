"""Spots that lie on the GPU already, as a spot finder there leaves them."""

import numpy as np
import pytest

import ffbidx
from ffbidx_core.backends.cuda.driver import why_no_cuda
from tests.helpers.frames import CELL, frames_of

pytestmark = pytest.mark.skipif(bool(why_no_cuda()), reason=why_no_cuda() or "there is a GPU")


@pytest.mark.parametrize("protocol", ["cupy", "dlpack"])
def test_arrays_on_the_device_give_what_host_arrays_give(protocol):
    import cupy

    class Exported:
        """Only DLPack, as other libraries' arrays."""

        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    spots, offsets, _ = frames_of(5)
    spots = spots.astype(np.float32)
    spots[offsets[3]] = np.nan
    on_device = cupy.asarray(spots)
    indexer = ffbidx.Indexer(backend="cuda")
    given = on_device if protocol == "cupy" else Exported(on_device)
    found = indexer.run_batch(given, offsets, CELL[None])
    wanted = indexer.run_batch(spots, offsets, CELL[None])
    for name in ("cells", "scores", "input_cell", "n_left_out"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    assert np.isinf(found.scores[3]).all()
    assert np.isfinite(found.scores[4]).all()
    for here, there in zip(
        indexer.crystals_batch(found, given, offsets), indexer.crystals_batch(wanted, spots, offsets), strict=True
    ):
        np.testing.assert_array_equal(here, there)
