"""`ffbidx index` on runs without a crystal in them, and with a description that is wrong."""

import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.model.records.frame import FrameStatus
from tests.helpers.calls import write_spots
from tests.helpers.frames import false_spots, frame


def near_the_beam(rng, n):
    """Spots (n, 3) within 0.002/A of the beam."""
    return np.column_stack([rng.uniform(-0.0014, 0.0014, (n, 2)), np.zeros(n)]).astype(np.float32)


@pytest.fixture
def blank(tmp_path):
    """Random spots, and as many as make a third of all around the beam."""
    rng = np.random.default_rng(0)
    return write_spots(
        tmp_path / "blank.h5", [np.concatenate([false_spots(rng, 20), near_the_beam(rng, 10)]) for _ in range(6)]
    )


@pytest.mark.parametrize("accept", ["chance", "count"])
def test_peaks_around_the_beam_are_left_out_and_the_distance_is_asked_about(index, blank, accept):
    ran = index(blank, "--accept", accept, "--json")
    assert (ran.summary["indexed"], ran.summary["spots_at_origin"], ran.summary["spots_not_sampled"]) == (0, 60, 0)
    (note,) = [line for line in ran.summary["problems"] if "beam" in line]
    assert note.startswith("33% of the spots lie nearer to the beam than any reflection: check the distance")
    assert "wavelength" in note
    assert "units" in note
    assert read_results("blank.ffbidx.h5").n_at_origin.tolist() == [10] * 6


def test_few_of_them_are_counted_and_no_cause_for_a_note(index, tmp_path):
    path = write_spots(
        tmp_path / "a.h5", [np.concatenate([frame(0)[1], near_the_beam(np.random.default_rng(0), 2)]), frame(1)[1]]
    )
    ran = index(path)
    assert ran.status == 0
    assert "2 inside the first shell of reciprocal space" in ran.err
    assert "check the distance" not in ran.err


def test_a_frame_that_has_too_few_other_spots_is_said_to_have_too_few(index, tmp_path):
    rng = np.random.default_rng(0)
    write_spots(tmp_path / "a.h5", [np.concatenate([frame(0)[1][:4], near_the_beam(rng, 30)]), frame(1)[1]])
    index(tmp_path / "a.h5")
    assert read_results("a.ffbidx.h5").status.tolist() == [FrameStatus.TOO_FEW_SPOTS, FrameStatus.INDEXED]
