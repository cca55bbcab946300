"""Files of measured numbers are those that docs/make_tables.py takes."""

import json
import re

from tests.bench import quality, record, soak
from tests.helpers.paths import ROOT


def test_numbers_are_written_with_command_day_commit_and_machine(tmp_path, monkeypatch):
    path = tmp_path / "numbers.json"
    monkeypatch.setattr("sys.argv", ["/any/where/quality.py", "--seed", "3", "--json", str(path)])
    record.write(str(path), [{"what": "α", "rate": 0.5}, {"what": "b", "rate": 1.0}])
    found = json.loads(path.read_text())
    assert found["command"] == "python -m tests.bench.quality --seed 3"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found["date"])
    assert re.fullmatch(r"[0-9a-f]{7,}(\+changes)?", found["commit"])
    assert re.match(r"\d+ cores of ", found["machine"])
    assert found["rows"] == [{"what": "α", "rate": 0.5}, {"what": "b", "rate": 1.0}]


def test_the_command_of_a_package_is_its_name(tmp_path, monkeypatch):
    path = tmp_path / "numbers.json"
    monkeypatch.setattr("sys.argv", [str(ROOT / "tests/bench/cells/__main__.py"), "--known"])
    record.write(str(path), [])
    assert json.loads(path.read_text())["command"] == "python -m tests.bench.cells --known"


def test_the_quality_table_has_what_its_file_has(tmp_path, monkeypatch, capsys):
    path = tmp_path / "quality.json"
    monkeypatch.setattr("sys.argv", ["quality", "--only", "small cell", "--frames", "4", "--json", str(path)])
    assert quality.main() in (0, 1)
    (row,) = json.loads(path.read_text())["rows"]
    assert f"{row['rate']:6.4f} {row['error']:6.4f}" in capsys.readouterr().out
    assert (row["measure"], row["target"]) == ("frames", 0.97)


def test_the_soak_table_has_a_row_for_each_figure(tmp_path, monkeypatch):
    path = tmp_path / "soak.json"
    monkeypatch.setattr(soak, "share_of_the_rest", lambda folder, n: 0.04)
    few = ["--frames", "2048", "--fast-frames", "512"]
    monkeypatch.setattr("sys.argv", ["soak", *few, "--json", str(path)])
    soak.main()
    rows = json.loads(path.read_text())["rows"]
    assert [set(row) for row in rows] == 5 * [{"what", "found", "asked"}]
    assert rows[-1]["found"] == "4.0%"
