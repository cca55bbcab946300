"""`ffbidx index` on single frames: whether their crystals are confirmed."""

import json
from dataclasses import replace

import h5py
import pytest

from ffbidx_core.report.report import make_report
from ffbidx_core.simulate import simulate, write_frames
from tests.bench.claims.few import TETRAGONAL


@pytest.fixture
def off(run, tmp_path):
    """Call `ffbidx index` on one frame of 60 spots, which were computed with a beam some pixels off."""

    def call(x: float, y: float, *options):
        scenario = replace(TETRAGONAL, beam_centre_error=(x, y))
        write_frames(str(tmp_path / "a.h5"), simulate(scenario, 1, seed=700340), overwrite=True)
        return run("index", "a.h5", "--cell", "79.1,79.1,38,90,90,90", "--overwrite", *options)

    return call


def test_a_crystal_of_one_frame_with_the_beam_elsewhere_is_not_confirmed(off):
    ran = off(32.0, -24.0)
    assert ran.status == 0
    assert "1, not confirmed" in ran.err
    assert "false ones expected" not in ran.err
    found = off(32.0, -24.0, "--json").summary
    assert (found["indexed"], found["verdict"], found["expected_false"]) == (1, "not confirmed", None)
    assert found["doubt"].startswith("too few frames to confirm the crystals: on 1 indexed frame ")
    assert found["next"] == "ffbidx diagnose a.ffbidx.h5"
    with h5py.File("a.ffbidx.h5") as file:
        kept = json.loads(file["run/doubt"].asstr()[()])
    assert (kept["verdict"], kept["doubt"]) == (found["verdict"], found["doubt"])
    report = make_report("a.ffbidx.h5", diagnose=False)
    assert report.remarks[0] == f"Doubt: {found['doubt']}."
    assert not any("due to chance" in remark for remark in report.remarks)


def test_one_frame_on_which_all_spots_agree_is_confirmed(off):
    found = off(0.0, 0.0, "--json").summary
    assert (found["indexed"], found["verdict"], found["doubt"]) == (1, "confirmed", "")
    assert found["expected_false"] == pytest.approx(1e-4)
