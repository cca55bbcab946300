"""`ffbidx geometry`, `ffbidx simulate -g`, and results with panels that are off."""

import json
import re
import shutil

import numpy as np
import pytest
from matplotlib.quiver import Quiver
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from ffbidx_cli.main import main
from ffbidx_core.panels.for_millepede import measurements
from ffbidx_core.panels.of_run import refine_results
from ffbidx_core.panels.refine import FEW_PEAKS
from ffbidx_core.read.geometry.any import read_geometry
from ffbidx_core.read.results import read_results
from ffbidx_core.report.panel_picture import panel_picture, round_length
from tests.helpers.panels.detectors import many_panels

CELL = "79,79,38,90,90,90"
WHERE = ("--backend", "cpu", "--threads", "1")


def simulated(folder, off, frames=40, seed=5):
    """A spot file, and its results, in a folder with the geometry file."""
    (folder / "det.geom").write_text(many_panels(4, 4))
    spots, results = folder / "spots.h5", folder / "run.h5"
    options = ["--frames", frames, "--n-spots", 25, 50, "--false-share", 0.1, 0.1, "--position-noise", 0.5]
    options += ["--seed", seed, "--cell", CELL, "-g", folder / "det.geom", "--panels-off", off]
    assert main(["simulate", "-o", str(spots), *map(str, options)]) == 0
    assert main(["index", str(spots), "-o", str(results), *WHERE]) == 0
    return spots, results


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong")
    return (folder, *simulated(folder, 2.0))


def test_refined_panels_index_better_and_are_moved_no_more(wrong, tmp_path, capsys):
    folder, _, results = wrong
    refined = tmp_path / "refined.geom"
    assert main(["geometry", str(results), "-o", str(refined), "--millepede", str(tmp_path / "pede.bin"), *WHERE]) == 0
    shown, steps = capsys.readouterr()
    better = results.with_suffix(".refined.h5")
    assert f"next: ffbidx index --config {results} -g {refined} -o {better}\n" in steps
    assert "residuals of crystals that were not fitted fall from" in shown
    assert "q0a0" in shown
    assert (tmp_path / "pede.bin").stat().st_size > 10_000
    before, after = (folder / "det.geom").read_text(), refined.read_text()
    moved = re.compile(r"\w+/(fs|ss|corner_x|corner_y|coffset) = .*\n")
    assert moved.sub("", after) == moved.sub("", before)
    again = tmp_path / "again.h5"
    assert main(["index", "--config", str(results), "-g", str(refined), "-o", str(again), *WHERE]) == 0
    old, new = read_results(results), read_results(again)
    assert np.count_nonzero(new.status == 0) >= np.count_nonzero(old.status == 0)
    assert np.median(new.n_indexed[new.crystals]) > np.median(old.n_indexed[old.crystals])
    capsys.readouterr()
    assert main(["geometry", str(again), "-o", str(tmp_path / "none.geom"), *WHERE]) == 5
    assert "Panels stay where the geometry has them" in capsys.readouterr().out
    assert not (tmp_path / "none.geom").exists()


def test_json_and_one_round_without_indexing(wrong, capsys):
    _, _, results = wrong
    assert main(["geometry", str(results), "--no-try", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["moved"]
    assert found["rounds"] == 1
    assert "indexed" not in found
    assert found["held_out"]["after"] < found["held_out"]["before"]
    assert [panel["name"] for panel in found["panels"]][:2] == ["q0a0", "q0a1"]


def test_the_user_s_file_is_what_is_changed(wrong, tmp_path):
    folder, _, results = wrong
    own = tmp_path / "own.geom"
    own.write_text("; mine\n" + (folder / "det.geom").read_text())
    assert main(["geometry", str(results), "-g", str(own), "-o", str(tmp_path / "r.geom"), "--no-try"]) == 0
    assert (tmp_path / "r.geom").read_text().startswith("; mine\n; made by code\n")


def test_bad_requests_are_one_line(wrong, tmp_path, capsys):
    folder, spots, results = wrong
    other = tmp_path / "other.geom"
    other.write_text(many_panels(2, 2))
    taken = tmp_path / "taken.geom"
    taken.write_text("x")
    for arguments, status, words in (
        ([str(results), "-g", str(other)], 2, "other panels"),
        ([str(results), "-o", str(taken)], 6, "already there"),
        ([str(results), "-o", str(results), "--overwrite"], 2, "is the input"),
        ([str(results), "-o", str(tmp_path / "x.expt")], 2, "name the output .geom"),
        ([str(results), "-o", str(tmp_path / "y.geom"), "--png", str(tmp_path / "y.geom")], 2, "name one file twice"),
        ([str(results), "--png", str(tmp_path / "y.pdf")], 2, ".png or .svg"),
        ([str(spots)], 2, "not a results file"),
        ([str(results), "--level", "asic"], 2, "it has detector, group, panel, quadrants"),
        ([str(tmp_path / "none.h5")], 2, "none.h5"),
    ):
        assert main(["geometry", *arguments, "--no-try"]) == status, arguments
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    assert taken.read_text() == "x"
    del folder


def test_results_whose_spots_are_gone_or_have_no_pixels_are_refused(wrong, tmp_path, capsys):
    _, spots, results = wrong
    moved = tmp_path / "run.h5"
    shutil.copy(results, moved)
    kept = spots.rename(spots.with_suffix(".away"))
    try:
        assert main(["geometry", str(moved), "--no-try"]) == 2
        assert "no longer there" in capsys.readouterr().err
    finally:
        kept.rename(spots)
    flat = tmp_path / "flat.h5"
    text = tmp_path / "spots.txt"
    text.write_text("79 0 0 0 79 0 0 0 38\n" + "".join(f"0.0{i} 0.01 -0.001\n" for i in range(1, 10)))
    assert main(["index", str(text), "-o", str(flat), *WHERE]) == 0
    capsys.readouterr()
    assert main(["geometry", str(flat), "--no-try"]) == 2
    assert "no pixels" in capsys.readouterr().err


def test_the_picture_is_drawn(wrong, tmp_path):
    _, _, results = wrong
    assert main(["geometry", str(results), "--no-try", "--png", str(tmp_path / "p.png")]) == 0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def found(wrong):
    return refine_results(str(wrong[2]), None).refined


def test_bars_in_the_picture_have_the_scale_of_the_arrows(found):
    motions, *_ = panel_picture(found).figure.axes
    (bar,) = (each for each in motions.artists if isinstance(each, AnchoredSizeBar))
    value = float(bar.txt_label.get_text().removesuffix(" px"))
    width = bar.size_bar.get_children()[0].get_width()
    arrows = [np.hypot(each.U, each.V).max() for each in motions.collections if isinstance(each, Quiver)]
    known = found.fit.counts >= FEW_PEAKS
    longest = np.linalg.norm(found.fit.motion[known, :2], axis=1).max()
    assert arrows[0] / longest == pytest.approx(width / value)
    assert longest / 2.5 < value <= longest


@pytest.mark.parametrize(("longest", "shown"), [(0.0199, 0.01), (1.0, 1.0), (4.9, 2.0), (7.0, 5.0), (30.0, 20.0)])
def test_bars_have_round_lengths(longest, shown):
    assert round_length(longest) == pytest.approx(shown)


def test_measurements_for_millepede_agree_with_the_fit(found):
    records = list(measurements(found))
    assert len(records) == found.fit.n_crystals
    pixels = np.concatenate([record.values.reshape(-1, 3)[:, :2] for record in records])
    assert np.sqrt(np.mean(pixels**2)) == pytest.approx(found.fit.noise, rel=0.25)


def test_simulate_refuses_panels_off_without_panels(tmp_path, capsys):
    assert main(["simulate", "-o", str(tmp_path / "s.h5"), "--cell", CELL, "--panels-off", "1"]) == 2
    assert "-g FILE" in capsys.readouterr().err
    (tmp_path / "det.geom").write_text(many_panels(2, 2))
    options = ["--cell", CELL, "-g", str(tmp_path / "det.geom"), "--panels-off", "nan"]
    assert main(["simulate", "-o", str(tmp_path / "s.h5"), *options]) == 2
    assert "--panels-off" in capsys.readouterr().err


def test_simulated_wavelength_and_distance_are_the_file_s(wrong):
    folder, spots, _ = wrong
    geometry = read_geometry(str(folder / "det.geom"))
    import h5py

    with h5py.File(spots) as file:
        assert file["wavelength"][0] == pytest.approx(12398.42 / 9537.25)
        assert file["distance"][0] == pytest.approx(1e3 * geometry.distance.value)


def test_a_diagnosis_says_that_panels_are_off_and_gives_the_command(wrong, tmp_path, capsys):
    _, _, results = wrong
    assert main(["diagnose", str(results), "--no-try"]) == 0
    shown = capsys.readouterr().out
    assert "Panels are not at their positions in the geometry" in shown
    command = f"ffbidx geometry {results} -o {results.with_suffix('')}.refined.geom"
    assert f"Next: {command}\n" in shown
    assert (
        main(["report", str(results), "-o", str(tmp_path / "r.html"), "--png", str(tmp_path / "pictures"), *WHERE]) == 0
    )
    assert (tmp_path / "pictures" / "panels.png").stat().st_size > 10_000


def test_a_diagnosis_finds_no_fault_with_right_panels(tmp_path, capsys):
    _, results = simulated(tmp_path, 0.0, frames=30)
    capsys.readouterr()
    assert main(["diagnose", str(results), "--no-try", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["panels"]["moved"]
    assert any("No panel of the detector is found to differ" in sentence for sentence in found["words"])
