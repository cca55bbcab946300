"""How the command starts and ends: errors in the arguments wait for no library that computes or reads HDF5."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from ffbidx_cli.main import COLLECT_AFTER, main
from tests.helpers.calls import MONO, QUICK

LARGE = ("cupy", "h5py", "llvmlite", "numba", "rich")
"""Packages that take a good part of a second to import."""
SCRIPT = """
import sys
from ffbidx_cli.main import main
status = main(sys.argv[1:])
print(status, *sorted(set(sys.modules) & set({large})))
"""
ERRORS = {
    "an input that is not there": (2, ["index", "nowhere.h5", "--cell", MONO]),
    "several inputs that are not there": (5, ["index", "nowhere.h5", "never.h5", "--cell", MONO]),
    "an input of another name": (2, ["index", "nowhere.h5//3", "--cell", MONO]),
    "a cell file that is not there": (2, ["index", "spots.h5", "--cell", "nowhere.cell"]),
    "a cell with numbers missing": (2, ["index", "spots.h5", "--cell", "79,79,38"]),
    "an output that is there": (6, ["index", "spots.h5", "--cell", MONO, "-o", "run.h5"]),
    "an output of the usual name that is there": (6, ["index", "run.h5", "spots.h5", "--cell", MONO]),
    "a directory that is not there": (6, ["index", "spots.h5", "--cell", MONO, "-o", "nowhere/run.h5"]),
    "a suffix that says nothing": (2, ["index", "spots.h5", "--cell", MONO, "-o", "run.xyz"]),
    "a geometry that is not there": (2, ["index", "spots.h5", "--cell", MONO, "-g", "nowhere.geom"]),
    "a preset of another name": (2, ["index", "spots.h5", "--cell", MONO, "--preset", "nearly"]),
    "a parameter out of range": (2, ["index", "spots.h5", "--cell", MONO, "--searches", "0"]),
    "a share of no share": (2, ["index", "spots.h5", "--cell", MONO, "--shard", "3/2"]),
    "results for a diagnosis that are not there": (2, ["diagnose", "nowhere.h5"]),
    "results for a geometry that are not there": (2, ["geometry", "nowhere.h5", "-o", "new.geom"]),
    "spots of an unknown cell that are not there": (2, ["cell", "nowhere.h5"]),
    "several spot files of an unknown cell that are not there": (5, ["cell", "nowhere.h5", "never.h5"]),
    "a frame without a number": (2, ["index", "spots.h5//abc", "--cell", MONO]),
}


@pytest.mark.parametrize("what", ERRORS)
def test_an_error_in_the_arguments_waits_for_nothing_large(what, tmp_path):
    status, arguments = ERRORS[what]
    for name in ("spots.h5", "run.h5", "run.ffbidx.h5"):
        (tmp_path / name).touch()
    script = SCRIPT.format(large=LARGE)
    done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr.startswith("ffbidx: ")
    assert done.stdout.split() == [str(status)]


def test_a_missing_input_is_an_error_before_the_output_and_the_geometry_are_looked_at(run, tmp_path):
    (tmp_path / "run.h5").touch()
    arguments = ["--cell", MONO, "-o", "run.h5", "-g", "nowhere.geom"]
    assert run("index", "nowhere.h5", *arguments).is_one_line_error(2, "nowhere.h5", "no such file")


def test_several_missing_inputs_are_named_and_counted(run):
    ran = run("index", "a.h5", "b.h5//3", "c.h5", "--cell", MONO)
    assert ran.is_one_line_error(5, "a.h5", "no such file", "none of the 2 other inputs is there")
    assert run("index", "a.h5", "b.h5", "--cell", MONO).is_one_line_error(5, "a.h5", "the other input is not there")


def test_what_writes_nothing_minds_no_output(run, spots_file, tmp_path):
    (tmp_path / "run.h5").touch()
    for option in ("--dry-run", "--print-config"):
        assert run("index", spots_file, "--cell", MONO, "-o", "run.h5", option).status == 0


def test_the_program_looks_for_garbage_rarely_and_not_at_its_end():
    # What is registered first is called last.
    script = """
import atexit, gc, sys
atexit.register(lambda: print(gc.get_threshold()[0], gc.get_freeze_count() > 0))
from ffbidx_cli.main import main
sys.argv = ["ffbidx", "--version"]
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == f"{COLLECT_AFTER} True"


def test_a_call_from_python_leaves_the_collection_of_garbage_alone():
    before = gc.get_threshold(), gc.get_freeze_count()
    main(["--version"])
    assert (gc.get_threshold(), gc.get_freeze_count()) == before


def test_kernels_in_the_cache_load_none_of_the_rules_by_which_numba_compiles(index, spots_file):
    # After this call the kernels are in the cache.
    assert index(spots_file, "--backend", "cpu", "-o", "first.tsv").status == 0
    script = """
import sys
from ffbidx_cli.main import main
print(main(sys.argv[1:]), "numba" in sys.modules, "numba.np.linalg" in sys.modules)
"""
    options = ["--cell", MONO, *QUICK, "--backend", "cpu", "-o", "second.tsv", "-q"]
    done = subprocess.run([sys.executable, "-c", script, "index", spots_file, *options], capture_output=True, text=True)
    assert done.stdout.split() == ["0", "True", "False"], done.stderr
    assert Path("first.tsv").read_text() == Path("second.tsv").read_text()
