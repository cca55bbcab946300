"""`ffbidx index` on runs without a crystal in them, and with a description that is wrong."""

import json
import shlex

import h5py
import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.errors import InputError
from ffbidx_core.model.records.frame import FrameStatus
from ffbidx_core.read.results import read_run
from ffbidx_core.report.report import make_report
from ffbidx_core.run.tally import Tally
from ffbidx_core.simulate import Scenario, simulate, write_frames
from tests.bench.claims.runs import SMALL
from tests.helpers.beamline import DISTANCE, ENERGY, PANELS, WAVELENGTH, geom_text, stills, write_cxi
from tests.helpers.calls import MONO, QUICK, write_spots
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


@pytest.mark.parametrize(("n", "is_noted"), [(2, False), (6, True), (19, True)])
def test_more_of_them_than_a_right_run_has_are_noted(n, is_noted):
    tally = Tally(n_spots=100, n_at_origin=n)
    assert tally.note_of_origin.startswith(f"{n}% of the spots lie nearer to the beam") == is_noted


def test_a_frame_that_has_too_few_other_spots_is_said_to_have_too_few(index, tmp_path):
    rng = np.random.default_rng(0)
    write_spots(tmp_path / "a.h5", [np.concatenate([frame(0)[1][:4], near_the_beam(rng, 30)]), frame(1)[1]])
    index(tmp_path / "a.h5")
    assert read_results("a.ffbidx.h5").status.tolist() == [FrameStatus.TOO_FEW_SPOTS, FrameStatus.INDEXED]


def test_a_halo_around_the_beam_does_not_move_it(run, tmp_path):
    """With the beam elsewhere the halo would lie among the reflections and give crystals."""
    rng = np.random.default_rng(0)
    halo = [np.column_stack([rng.normal(0, 0.005, (40, 2)), np.zeros(40)]).astype(np.float32) for _ in range(12)]
    halo = [rows[np.linalg.norm(rows, axis=1) < 1 / 79] for rows in halo]
    write_spots(tmp_path / "a.h5", [np.concatenate([rows, false_spots(rng, 25)]) for rows in halo])
    ran = run("index", "a.h5", "--cell", "79,79,38,90,90,90", "--num-halfsphere-points", "8192", "--json")
    assert ran.summary["indexed"] == 0
    assert not any("beam centre is off" in line for line in ran.summary["problems"])


def test_spots_of_a_beam_along_minus_z_are_named_with_the_way_to_turn_them(run, tmp_path):
    frames = simulate(Scenario(cells=((79.0, 79.0, 38.0, 90.0, 90.0, 90.0),), n_spots=(40, 60)), 3, seed=1)
    spots = np.split(frames.spots, frames.offsets[1:-1])
    half_turn = np.array([-1, 1, -1], np.float32)
    for name, factor in (("a.h5", 1), ("b.h5", half_turn)):
        write_spots(tmp_path / name, [factor * rows for rows in spots])
        ran = run("index", name, "--cell", "79,79,38,90,90,90", "--num-halfsphere-points", "8192", "--json")
        assert ran.summary["indexed"] == 3
        assert any("turn them by 180° about y" in line for line in ran.summary["problems"]) == (name == "b.h5")


@pytest.fixture
def judged(run, tmp_path):
    """Call `ffbidx index` on simulated frames of lysozyme with a cell, as quick as it may be; a run that is judged."""
    cell = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0)
    write_frames(str(tmp_path / "a.h5"), simulate(Scenario(cells=(cell,), n_spots=(50, 80)), 24, seed=1))

    def call(cell: str, *options):
        options = ("--num-halfsphere-points", "8192", "--learn-cell", "0", *options)
        return run("index", "a.h5", "--cell", cell, *options)

    return call


def test_crystals_of_another_cell_are_doubted_in_summary_json_and_results(judged):
    another = "79,79,45,90,90,90"
    ran = judged(another)
    assert ran.status == 0
    assert "not to be believed" in ran.err
    assert "false ones expected" not in ran.err
    ran = judged(another, "--json", "--overwrite")
    assert ran.summary["doubt"].startswith("the crystals of this run are not to be believed: on ")
    with h5py.File("a.ffbidx.h5") as file:
        kept = json.loads(file["run/doubt"].asstr()[()])
    assert kept["doubt"] == ran.summary["doubt"]
    assert kept["n_frames"] == ran.summary["indexed"]


def test_diagnosis_and_report_have_the_doubt_in_the_words_of_the_summary(judged, run):
    doubt = judged("79,79,45,90,90,90", "--json").summary["doubt"]
    diagnosed = json.loads(run("diagnose", "a.ffbidx.h5", "--no-try", "--json").out)
    assert diagnosed["doubt"] == doubt
    assert f"Doubt: {doubt}." in diagnosed["words"]
    report = make_report("a.ffbidx.h5", diagnose=False)
    assert report.remarks[0] == f"Doubt: {doubt}."
    assert not any("due to chance" in remark for remark in report.remarks)


def test_crystals_of_the_right_cell_are_not(judged, run):
    ran = judged("79,79,38,90,90,90", "--json")
    assert ran.summary["doubt"] == ""
    assert "Doubt" not in run("diagnose", "a.ffbidx.h5", "--no-try").out
    assert not any(remark.startswith("Doubt") for remark in make_report("a.ffbidx.h5", diagnose=False).remarks)
    assert ran.summary["indexed"] == 24
    assert read_run("a.ffbidx.h5")[3].contest.n_frames == 16


def test_a_cell_three_times_too_long_is_named_with_the_right_one(judged):
    ran = judged("79,79,114,90,90,90", "--json")
    assert "3 times as large as the true one" in ran.summary["doubt"]
    assert "--cell 79,79,38,90,90,90" in ran.summary["doubt"]


def test_a_centred_cell_without_its_centring_is_named_with_it(run):
    cell = ("--cell", "61,122,168,90,90,90")
    spots = ("--n-spots", "20", "40", "--frames", "12")
    assert run("simulate", "-o", "c.h5", *cell, "--centring", "C", *spots).status == 0
    ran = run("index", "c.h5", *cell, "--learn-cell", "0", "--json")
    assert "2 times as large as the true one" in ran.summary["doubt"]
    assert "--cell 61,122,168,90,90,90,C" in ran.summary["doubt"]


def test_a_cell_in_nanometres_is_named_with_the_one_to_type(run, judged):
    ran = judged("7.9,7.9,3.8,90,90,90", "--learn-cell", "12", "--json")
    assert ran.summary["indexed"] == 0
    assert any(line.endswith("try --cell 79,79,38,90,90,90") for line in ran.summary["problems"])


@pytest.mark.parametrize(
    ("cell", "options", "option", "right"),
    [
        ("7.9,7.9,3.8,90,90,90", ["--learn-cell", "12"], "--cell", "79,79,38,90,90,90"),
        ("79,79,38,90,90,90", ["--learn-cell", "12", "--distance", "216"], "--distance", "200"),
        ("79,79,114,90,90,90", [], "--cell", "79,79,38,90,90,90"),
    ],
)
def test_what_to_type_next_is_the_command_line_with_the_wrong_option_mended(judged, run, cell, options, option, right):
    """A cell in nanometres, a distance that is 8 % off, and a cell three times too long."""
    wrong = judged(cell, *options, "--json").summary
    assert wrong["remedy"]["option"] == option
    words = shlex.split(wrong["next"])
    assert words[:3] == ["ffbidx", "index", "a.h5"]
    assert words.count(option) == 1
    given = words[words.index(option) + 1]
    if option == "--cell":
        assert given == right
    else:
        assert float(given) == pytest.approx(float(right), rel=0.011)
    mended = run(*words[1:]).summary
    assert mended["indexed"] == 24
    assert mended["doubt"] == ""
    assert mended["remedy"] is None


def test_a_wavelength_that_is_learned_as_a_larger_cell_is_named_with_the_line_to_type(run, tmp_path):
    scenario = Scenario(cells=((79.0, 79.0, 38.0, 90.0, 90.0, 90.0),), n_spots=(50, 80))
    write_frames(str(tmp_path / "a.h5"), simulate(scenario, 4, seed=1))
    quick = ("--num-halfsphere-points", "4096", "--no-retry", "--judge-frames", "0", "--json")
    ran = run("index", "a.h5", "--cell", "79,79,38,90,90,90", "--wavelength", "1.02", *quick)
    assert ran.summary["indexed"] == 4
    words = shlex.split(ran.summary["next"])
    assert float(words[words.index("--wavelength") + 1]) == pytest.approx(1, abs=0.003)
    assert ran.summary["why"] in ran.summary["problems"]


def test_nothing_is_judged_where_that_is_switched_off(judged):
    ran = judged("79,79,45,90,90,90", "--json", "--judge-frames", "0")
    assert ran.summary["doubt"] == ""
    assert ran.summary["indexed"] > 0


def test_a_run_whose_spots_are_gone_says_that_it_was_not_judged(judged, monkeypatch):
    def gone(*arguments, **options):
        raise InputError("a.h5", "is no longer there")

    monkeypatch.setattr("ffbidx_core.run.judgement.indexed_frames", gone)
    ran = judged("79,79,38,90,90,90", "--json")
    assert ran.summary["doubt"] == ""
    assert any("not tested: a.h5: is no longer there" in line for line in ran.summary["problems"])


def test_a_small_cell_in_nanometres_is_named_although_no_spot_is_outside_its_first_shell(run, tmp_path):
    write_frames(str(tmp_path / "a.h5"), simulate(SMALL, 8, seed=0))
    quick = ("--num-halfsphere-points", "4096", "--no-retry", "--json")
    ran = run("index", "a.h5", "--cell", "0.6,0.7,0.9,90,100,90", *quick)
    assert ran.summary["indexed"] == 0
    assert ran.summary["remedy"]["option"] == "--cell"
    assert ran.summary["remedy"]["values"] == ["6,7,9,90,100,90"]


def test_a_distance_that_leaves_crystals_is_named_when_they_are_doubted(run, tmp_path):
    """2.5 % are learned as a cell, with which all frames are indexed, but no better than with lattices not there."""
    scenario = Scenario(cells=((61.0, 122.0, 168.0, 90.0, 90.0, 90.0),), centring="C", distance_error=0.025)
    write_frames(str(tmp_path / "a.h5"), simulate(scenario, 10, seed=2))
    quick = ("--num-halfsphere-points", "8192", "--no-retry", "--json")
    ran = run("index", "a.h5", "--cell", "61,122,168,90,90,90,C", *quick)
    assert ran.summary["indexed"] >= 8
    assert ran.summary["doubt"].startswith("the crystals of this run are not to be believed")
    assert ran.summary["remedy"]["option"] == "--distance"
    assert float(ran.summary["remedy"]["values"][0]) == pytest.approx(200, rel=0.005)
    assert ran.summary["remedy"]["why"] in ran.summary["problems"]
    assert "--distance" in shlex.split(ran.summary["next"])


def test_a_distance_in_mm_that_is_taken_for_m_is_named_by_the_run_and_its_diagnosis(run, tmp_path):
    write_cxi(tmp_path / "run.cxi", stills(4, seed=3))
    (tmp_path / "det.geom").write_text(geom_text(clen=f"{DISTANCE} m"))
    ran = run("index", "run.cxi", "-g", "det.geom", "--cell", MONO, "--num-halfsphere-points", "2048", "-o", "a.h5",
              "--json")  # fmt: skip
    remedy = ran.summary["remedy"]
    assert remedy["option"] == "--distance"
    assert "(divide it by 1000): a number in mm was taken for m" in remedy["why"]
    # The distance at which the beam meets the detector has the offset of a panel, whose unit is right.
    normal = np.cross(PANELS[1].fast, PANELS[1].slow)
    right = DISTANCE + PANELS[1].corner @ normal / normal[2]
    assert float(remedy["values"][0]) == pytest.approx(right, rel=1e-4)
    first, why, *_ = run("diagnose", "a.h5").out.splitlines()
    assert first == f"Next: ffbidx index --config a.h5 --distance {remedy['values'][0]} -o a.next.h5"
    assert "a number in mm was taken for m" in why


def test_distances_of_each_frame_in_mm_that_are_taken_for_m_are_named_with_the_line_of_the_geometry(run, tmp_path):
    write_cxi(tmp_path / "run.cxi", stills(4, seed=3), clen=DISTANCE + np.array([0.0, 0.2, 0.0, 0.2]))
    index = ("index", "run.cxi", "-g", "det.geom", "--cell", MONO, "--num-halfsphere-points", "2048", "-o", "a.h5")
    (tmp_path / "det.geom").write_text(geom_text(clen="/clen m"))
    ran = run(*index, "--json")
    assert (ran.summary["indexed"], ran.summary["remedy"]) == (0, None)
    assert any("write their unit in the geometry, as in `clen = PATH mm`" in line for line in ran.summary["problems"])
    assert "--cell" not in run("diagnose", "a.h5").out.splitlines()[0]
    (tmp_path / "det.geom").write_text(geom_text(clen="/clen mm"))
    assert run(*index, "--overwrite", "--json").summary["indexed"] == 4


def test_a_distance_in_m_that_is_taken_for_mm_ends_with_the_command_line_to_type(run, tmp_path):
    write_cxi(tmp_path / "run.cxi", stills(2, seed=3))
    (tmp_path / "det.geom").write_text(geom_text(clen=f"{DISTANCE / 1e3} mm"))
    ran = run("index", "run.cxi", "-g", "det.geom", "--cell", MONO, *QUICK, "-o", "a.h5")
    assert ran.is_one_line_error(5, "its detector distance is 0.08 mm, so the frame is left out")
    mended = shlex.split(ran.err.rpartition("if the distance is in m, not in mm: ")[2])
    assert mended[:3] == ["ffbidx", "index", "run.cxi"]
    assert run(*mended[1:]).status == 0
    assert len(read_results("a.h5").crystals) == 2


def test_a_distance_in_m_is_refused(run):
    assert run("index", "run.cxi", "--cell", MONO, "--distance", "0.08").is_one_line_error(
        2, "--distance: 0.08 is out of range, it must be in mm: 1 to 100000"
    )


def test_a_photon_energy_in_kev_that_is_taken_for_ev_is_named(run, tmp_path):
    write_cxi(tmp_path / "run.cxi", stills(2, seed=3))
    (tmp_path / "det.geom").write_text(geom_text(beam=f"photon_energy = {ENERGY / 1e3}"))
    ran = run("index", "run.cxi", "-g", "det.geom", "--cell", MONO, "--num-halfsphere-points", "4096", "-o", "a.h5",
              "--json")  # fmt: skip
    assert (ran.summary["indexed"], ran.summary["remedy"]["option"]) == (0, "--wavelength")
    assert float(ran.summary["remedy"]["values"][0]) == pytest.approx(WAVELENGTH, rel=1e-4)
    assert ran.summary["why"] == "the wavelength is 1305.1 A, as if a photon energy in keV had been taken for eV"
    assert run(*shlex.split(ran.summary["next"])[1:]).summary["indexed"] == 2


def test_a_wavelength_that_is_impossible_in_kev_too_is_not_offered(run, tmp_path):
    write_cxi(tmp_path / "run.cxi", stills(2, seed=3))
    (tmp_path / "det.geom").write_text(geom_text(beam=f"photon_energy = {ENERGY / 1e5}"))
    ran = run("index", "run.cxi", "-g", "det.geom", "--cell", MONO, "--num-halfsphere-points", "4096", "-o", "a.h5",
              "--json")  # fmt: skip
    assert ran.summary["indexed"] == 0
    assert "--wavelength" not in ran.summary["next"]
