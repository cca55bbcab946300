import numpy as np
import pytest

from ffbidx_core.cell_search.verdict import INDEXED_WITHIN
from ffbidx_core.diagnose.columns import read_columns
from ffbidx_core.model.cell import reciprocal
from ffbidx_core.model.crystal import miller_indices
from ffbidx_core.report.cell_picture import best_frames
from tests.helpers.runs.diagnosed import index, spots_of

CELLS = {"tI": (79.0, 79.0, 38.0, 90.0, 90.0, 90.0), "hR": (61.0, 61.0, 90.0, 90.0, 90.0, 120.0)}


@pytest.mark.parametrize(("code", "centring"), [("tI", "I"), ("hR", "H")])
def test_spots_near_to_reflections_that_the_centring_allows_are_explained(code, centring):
    spots = spots_of(12, cells=(CELLS[code],), centring=centring, false_share=(0.4, 0.4))
    path = index(spots, ",".join(f"{number:g}" for number in CELLS[code]) + f",{centring}", learn_cell=0)
    found = read_columns(path)
    drawn = list(best_frames(path, found, {"parameters": CELLS[code], "bravais": code}))
    assert drawn
    for (indices, near), given in drawn:
        # Indices are all that is known of the spots; the input cell has the crystal's lengths within a share of 1e-3.
        hkl = miller_indices(indices @ reciprocal(given), given, centring)
        distance = np.linalg.norm((indices - hkl) @ reciprocal(given), axis=1)
        sure = np.abs(distance - INDEXED_WITHIN) > 1e-4
        np.testing.assert_array_equal(near[sure], (distance < INDEXED_WITHIN)[sure])
        assert 0.3 < near.mean() < 0.9
