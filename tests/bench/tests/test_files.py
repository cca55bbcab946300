"""The command beside its engine, on a few frames of the CPU."""

import json

import pytest

from tests.bench import files


def test_the_command_is_measured_beside_its_engine(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ffbidx_core.benchmark.DISTINCT", 8)
    path = tmp_path / "rows.json"
    sizes = ["--frames", "30", "--batch", "8", "--calls", "1", "--repeats", "1"]
    assert files.main(["--backend", "cpu", *sizes, "--only", files.NAMES[0], "--json", str(path)]) == 0
    first, last = capsys.readouterr().out.splitlines()
    busy = json.loads(first)
    assert set(busy) == {"wall", "seconds", "read", *files.CALLS}
    assert busy["wall"] > busy["seconds"] >= 0
    assert all(seconds > 0 for seconds in busy.values())
    assert last.startswith("32 tetragonal, 100 spots: 100.0000% indexed, command ")
    (row,) = json.loads(path.read_text())["rows"]
    assert float(row["share"]) == pytest.approx(float(row["command"]) / float(row["engine"]), abs=0.1)
