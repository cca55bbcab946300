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
    command, engine = (float(row[name].replace(",", "")) for name in ("command", "engine"))
    assert float(row["share"]) == pytest.approx(command / engine, abs=0.1)


def test_the_wall_time_of_several_devices_is_the_sum_of_its_phases():
    spans = {"open": [1.0, 2.0], "learn": [2.1, 3.0], "judge": [8.0, 8.5], "end": [8.5, 9.0]}
    learning, judging = [2.5, 2.9, "A"], [8.1, 8.2, "A"]
    tasks = [learning, [3.0, 4.0, "A"], [3.0, 4.5, "B"], [4.0, 6.0, "A"], [4.5, 7.5, "B"], judging]
    found = files.phases(0.0, {"spans": spans, "tasks": tasks}, 10.0)
    assert found == {
        "start": 1.0,
        "open": 1.0,
        "learn": 1.0,
        "first task": 1.0,
        "tasks": 2.0,
        "tail": 2.0,
        "judge": 0.5,
        "end": 0.5,
        "exit": 1.0,
    }
