import json

import h5py
import numpy as np
import pytest

from ffbidx_core.simulate import Scenario, simulate

LYSOZYME = "79,79,38,90,90,90"


def test_settings_reach_the_frames(run, tmp_path):
    ran = run(
        "simulate",
        "-o",
        "out.h5",
        "--cell",
        LYSOZYME,
        "--frames",
        4,
        "--seed",
        5,
        "--n-spots",
        20,
        30,
        "--lattices",
        1,
        2,
        "--beam-centre",
        2000,
        2100.5,
        "--centring",
        "I",
        "--distance",
        180,
    )
    assert ran.status == 0, ran.err
    assert ran.out == ""
    assert ran.err.startswith("out.h5: 4 frames, ")
    expected = simulate(
        Scenario(
            cells=((79.0, 79.0, 38.0, 90.0, 90.0, 90.0),),
            n_spots=(20, 30),
            lattices=(1, 2),
            beam_centre=(2000.0, 2100.5),
            centring="I",
            distance=180.0,
        ),
        4,
        seed=5,
    )
    with h5py.File(tmp_path / "out.h5") as file:
        assert np.array_equal(file["spots"][()], expected.spots)
        assert np.array_equal(file["truth/cells"][()], expected.cells)
        assert json.loads(file.attrs["scenario"]) == json.loads(expected.scenario.as_json())


def test_all_spots(run, tmp_path):
    assert run("simulate", "-o", "out.h5", "--cell", LYSOZYME, "--frames", 1, "--all-spots").status == 0
    with h5py.File(tmp_path / "out.h5") as file:
        assert len(file["spots"]) > 300


def test_cells_from_files_and_from_the_command_line(run, tmp_path):
    (tmp_path / "cell.txt").write_text("0 50 0 0 0 60 40 0 0\n")
    ran = run("simulate", "-o", "out.h5", "--cell", "cell.txt", "--cell", LYSOZYME, "--frames", 2)
    assert ran.status == 0, ran.err
    with h5py.File(tmp_path / "out.h5") as file:
        lengths = np.linalg.norm(file["cells"][()], axis=2)
    assert lengths == pytest.approx(np.array([[50, 60, 40], [79, 79, 38]]))


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--cell", "79,79,38,90,90"], 2, "a cell has 6"),
        (["--cell", "nowhere.txt"], 2, "nowhere.txt"),
        (["--cell", "10,10,10,30,30,90"], 2, "no cell has the parameters"),
        (["--cell", LYSOZYME, "--d-min", "-1"], 2, "--d-min"),
        (["--cell", LYSOZYME, "--n-spots", "30", "20"], 2, "--n-spots"),
        (["--cell", LYSOZYME, "--n-spots", "99999", "99999"], 2, "--n-spots"),
        (["--cell", LYSOZYME, "--centring", "Q"], 2, "--centring"),
        (["--cell", LYSOZYME, "--frames", "0"], 2, "--frames"),
        (["--cell", LYSOZYME, "--seed", "-1"], 2, "--seed"),
        (["--cell", LYSOZYME, "-o", "out.cbf"], 2, ".h5"),
        (["--cell", LYSOZYME, "-o", "no/where/out.h5"], 6, "no/where"),
        ([], 2, "--cell"),
    ],
)
def test_errors_are_one_line_and_leave_no_file(run, tmp_path, arguments, status, says):
    ran = run("simulate", "-o", "out.h5", *arguments)
    assert ran.status == status
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_output_that_is_there_is_kept_unless_told(run, tmp_path):
    arguments = ["simulate", "-o", "out.h5", "--cell", LYSOZYME, "--frames", 1]
    (tmp_path / "out.h5").write_text("mine")
    refused = run(*arguments)
    assert refused.status != 0
    assert "--overwrite" in refused.err
    assert (tmp_path / "out.h5").read_text() == "mine"
    assert run(*arguments, "--overwrite").status == 0
    assert h5py.is_hdf5(tmp_path / "out.h5")


def test_what_is_simulated_can_be_indexed(run, tmp_path):
    assert run("simulate", "-o", "spots.h5", "--cell", LYSOZYME, "--frames", 3).status == 0
    ran = run("index", "spots.h5", "-o", "-", "--backend", "cpu")
    assert ran.status == 0, ran.err
    assert len(ran.out.splitlines()) == 1 + 3
