"""Options from files and the environment; shell completion."""

import os
import shutil
import subprocess
import tomllib

import pytest

from ffbidx_core import read_results
from tests.helpers.calls import start, write_spots
from tests.helpers.frames import frame


@pytest.fixture
def config(tmp_path, spots_file, cell_file):
    path = tmp_path / "run.toml"
    path.write_text(f"""
inputs = ["{spots_file}"]
cell = "{cell_file}"
num-halfsphere-points = 4096
learn_cell = 0
max-drift = "4%,2"
redundant-calculations = false
backend = "cpu"
""")
    return path


def in_force(ran):
    assert ran.status == 0, ran.err
    return tomllib.loads(ran.out)


def test_a_run_from_a_file(run, config):
    assert run("index", "--config", config, "-q", "-o", "x.h5").status == 0
    assert read_results("x.h5").n_frames == 3


def test_the_command_line_wins_over_variables_and_these_over_the_file(run, config, monkeypatch):
    print_config = ("index", "--config", config, "--print-config")
    found = in_force(run(*print_config))
    assert (found["num-halfsphere-points"], found["max-drift"]) == (4096, "0.04,2.0")
    assert (found["redundant-calculations"], found["preset"], found["every"]) == (False, "best", 1)
    monkeypatch.setenv("FFBIDX_NUM_HALFSPHERE_POINTS", "2048")
    monkeypatch.setenv("FFBIDX_EVERY", "2")
    found = in_force(run(*print_config))
    assert (found["num-halfsphere-points"], found["every"]) == (2048, 2)
    found = in_force(run(*print_config, "--num-halfsphere-points", 1024))
    assert (found["num-halfsphere-points"], found["every"]) == (1024, 2)
    monkeypatch.delenv("FFBIDX_NUM_HALFSPHERE_POINTS")
    monkeypatch.setenv("FFBIDX_CONFIG", str(config))
    assert in_force(run("index", "--print-config"))["num-halfsphere-points"] == 4096


def test_what_is_printed_is_a_file_that_prints_the_same(run, config, tmp_path):
    printed = run("index", "--config", config, "--print-config", "--preset", "fast").out
    (tmp_path / "again.toml").write_text(printed)
    assert run("index", "--config", "again.toml", "--print-config").out == printed
    assert not list(tmp_path.glob("*.ffbidx.h5"))


def test_results_repeat_their_run(run, config, tmp_path):
    run("index", "--config", config, "-q", "-o", "x.h5", "--threads", 1)
    shutil.copy("x.h5", "old.h5")
    (tmp_path / "x.h5").unlink()
    ran = run("index", "--config", "old.h5", "-q")
    assert ran.status == 0, ran.err
    assert (tmp_path / "x.h5").read_bytes() == (tmp_path / "old.h5").read_bytes()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense = 1\n", "there is no option nonsense"),
        ("resume = true\n", "there is no option resume"),
        ("every = \n", "is not TOML"),
        ("every = 'x'\n", "--every"),
        ("max-drift = '4'\n", "LENGTH,ANGLE"),
    ],
)
def test_bad_files_are_one_line(run, tmp_path, spots_file, text, says):
    (tmp_path / "bad.toml").write_text(text)
    assert run("index", spots_file, "--config", "bad.toml").is_one_line_error(2, says)


def test_files_that_know_no_options(run, spots_file):
    assert run("index", "--config", spots_file).is_one_line_error(2, "is not a results file")
    assert run("index", "--config", "nowhere.toml").is_one_line_error(2, "nowhere.toml")
    assert run("index").is_one_line_error(2, "Missing argument 'INPUT...'")


@pytest.mark.parametrize(
    ("shell", "variables", "wanted"),
    [
        ("bash", {"COMP_WORDS": "ffbidx index --num-half", "COMP_CWORD": "2"}, "plain,--num-halfsphere-points"),
        ("zsh", {"COMP_WORDS": "ffbidx mer", "COMP_CWORD": "1"}, "merge"),
        ("fish", {"COMP_WORDS": "ffbidx index --resu", "COMP_CWORD": "--resu"}, "--resume"),
    ],
)
def test_shells_complete(shell, variables, wanted, tmp_path):
    source = start(env=os.environ | {"_FFBIDX_COMPLETE": f"{shell}_source"})
    script, err = source.communicate(timeout=60)
    assert "_FFBIDX_COMPLETE" in script, err
    complete = start(env=os.environ | variables | {"_FFBIDX_COMPLETE": f"{shell}_complete"})
    out, err = complete.communicate(timeout=60)
    assert wanted in out, err
    if shutil.which(shell):
        (tmp_path / "complete").write_text(script)
        subprocess.run([shell, "-n", tmp_path / "complete"], check=True)


def test_a_list_on_standard_input(spots_file, cell_file, tmp_path):
    write_spots(tmp_path / "more.h5", [frame(7)[1]])
    process = start(
        "index",
        "-",
        "--cell",
        cell_file,
        "--num-halfsphere-points",
        4096,
        "--learn-cell",
        0,
        "-q",
        "-o",
        "x.h5",
        stdin=subprocess.PIPE,
        cwd=tmp_path,
    )
    _, err = process.communicate(f"{spots_file}//1\nmore.h5\n", timeout=60)
    assert process.returncode == 0, err
    assert list(read_results(tmp_path / "x.h5").index) == [1, 0]
