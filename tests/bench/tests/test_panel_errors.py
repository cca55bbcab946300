import json
import sys

import pytest

from tests.bench.geometry import STRONG, Case
from tests.bench.panels import errors


def test_a_row_has_the_error_beside_the_least_possible(tmp_path, monkeypatch, capsys):
    path = str(tmp_path / "errors.json")
    monkeypatch.setattr(errors, "CASES", [Case(STRONG, 1.0, frames=16), Case(STRONG, 0.0, frames=16, gate=True)])
    monkeypatch.setattr(sys, "argv", ["errors.py", "--seeds", "1", "--first-seed", "1", "--json", path])
    assert errors.main() == 0
    (row,) = json.loads((tmp_path / "errors.json").read_text())["rows"]
    assert row["what"] in capsys.readouterr().out
    assert row["off"] == pytest.approx(row["bound"], rel=0.5)
    assert row["z"] == pytest.approx(row["off"] / row["stated"], rel=0.5)
    assert row["off_se"] is None


def test_rms_over_runs_is_of_all_panels():
    row = errors.figures(Case(STRONG, 1.0), [(0.01, 0.04, 0.04, 1.0, 30), (0.07, 0.04, 0.04, 1.0, 40)])
    assert (row["off"], row["bound"], row["panels"]) == pytest.approx((0.2, 0.2, 35))
