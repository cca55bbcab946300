"""Standard output and Parquet."""

import csv
import sys

import pyarrow.parquet
import pytest

from tests.helpers.calls import MONO, QUICK


@pytest.mark.parametrize(("options", "name"), [([], "run.tsv"), (["--format", "csv"], "run.csv")])
def test_standard_output(run, results, tmp_path, options, name):
    assert run("convert", results, "-o", name).status == 0
    ran = run("convert", results, "-o", "-", *options)
    assert ran.status == 0
    assert ran.out.encode() == (tmp_path / name).read_bytes()
    assert ran.err == ""
    assert not (tmp_path / "-").exists()


def test_text_outputs_are_no_inputs(run, results):
    outputs = ("run.tsv", "run.csv", "run.sol")
    assert run("convert", results, *(word for path in outputs for word in ("-o", path))).status == 0
    for path in outputs:
        assert run("table", path).is_one_line_error(2, path, "is text", "-o FILE.h5")
        problem = "no line is a spot" if path == "run.sol" else "made of the results of a run"
        assert run("inspect", path).is_one_line_error(2, path, problem)


def test_the_summary_names_all_outputs(run, cxi):
    outputs = ("-o", "x.csv", "-o", "x.h5", "-o", "-")
    ran = run("index", "run.cxi", "-g", "det.geom", "--cell", MONO, *QUICK, "--max-frames", 1, *outputs)
    assert ran.status == 0, ran.err
    assert ran.err.splitlines()[-1] == "results: x.csv, x.h5, standard output"


def test_a_run_writes_the_text_table_only_to_standard_output(run, cxi):
    ran = run("index", "run.cxi", "-g", "det.geom", "--cell", MONO, "-o", "-", "--format", "csv")
    assert ran.is_one_line_error(2, "ffbidx convert run.h5 -o - --format csv")


def test_parquet_has_the_columns_of_the_csv_and_the_record(run, results):
    assert run("convert", results, "-o", "run.parquet", "-o", "run.csv").status == 0
    table = pyarrow.parquet.read_table("run.parquet")
    with open("run.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert table.column_names == list(rows[0])
    for row, wanted in zip(table.to_pylist(), rows, strict=True):
        for name, value in row.items():
            if isinstance(value, float):
                assert value == pytest.approx(float(wanted[name]), rel=1e-5, nan_ok=True)
            else:
                assert str(value) == wanted[name]
    assert "num-halfsphere-points = 4096" in table.schema.metadata[b"ffbidx"].decode()


def test_parquet_without_pyarrow(run, results, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert run("convert", results, "-o", "run.parquet").is_one_line_error(2, "pip install 'ffbidx[parquet]'")


def test_a_share_without_frames(run, cxi, tmp_path):
    """Facts and rows of such a share are none; what needs frames names the shares as the place where they are."""
    options = ("--max-frames", 1, "--shard", "1/2", "-g", "det.geom", "--cell", MONO, *QUICK)
    summary = run("index", cxi, *options, "-o", "run.h5", "--json").summary
    assert (summary["frames"], summary["next"]) == (0, "")
    share = "run.1-of-2.h5"
    shown = run("inspect", share)
    assert (shown.status, "0, 0 indexed" in shown.out) == (0, True)
    assert run("inspect", share, "--json").summary["crystals_per_frame"] == []
    assert run("table", share).status == 0
    assert run("convert", share, "-o", "x.csv").status == 0
    for command in ("report", "diagnose", "show"):
        assert run(command, share).is_one_line_error(2, share, "has no frames: it is the share 1/2", "ffbidx merge")
