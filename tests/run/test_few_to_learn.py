"""A run whose sample is too small to find another scale."""

import numpy as np

import ffbidx_core
from tests.helpers.calls import MONO, write_spots
from tests.helpers.frames import false_spots, frame


def test_no_other_scale_is_named_where_none_was_found(tmp_path):
    """Two clear frames and a blank one teach nothing; the others have too few spots to learn from."""
    rng = np.random.default_rng(4)
    pieces = [frame(0, 60)[1], frame(1, 60)[1], false_spots(rng, 60), *(false_spots(rng, 6) for _ in range(30))]
    path = write_spots(tmp_path / "a.h5", pieces)
    parameters = {"num_halfsphere_points": 4096}
    summary = ffbidx_core.index(ffbidx_core.RunRequest(str(path), MONO, parameters=parameters, threads=1)).summary
    assert any("too few to find out which length or unit is wrong" in note for note in summary.problems)
    assert summary.indexed == 2
    assert summary.remedy is None
    assert "fit clearly better" not in summary.doubt
