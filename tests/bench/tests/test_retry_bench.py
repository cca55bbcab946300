import json

import numpy as np

from ffbidx_core.simulate import Scenario, simulate
from tests.bench import retry


def test_a_case_is_counted_without_and_with_the_ladder(monkeypatch, tmp_path):
    case = retry.Hard("hard", (retry._hard(retry.LYSOZYME, (13, 13), (50, 50)),))
    monkeypatch.setattr(retry, "HARD", (case, *retry.HARD[1:3]))
    monkeypatch.setattr(
        "sys.argv", ["retry", "--only", "hard", "--frames", "20", "--json", str(tmp_path / "retry.json")]
    )
    assert retry.main() == 0
    (row,) = json.loads((tmp_path / "retry.json").read_text())["rows"]
    assert row["frames"] == 20
    assert row["right"][1] > row["right"][0]
    assert row["at_once"] + sum(row["rungs"]) == row["claimed"][1]
    assert row["at_once"] == row["claimed"][0]
    # What the table of the README is made of.
    assert (row["first"], row["retry"]) == (row["right"][0] / 20, row["right"][1] / 20)
    assert len(row["rungs"]) == 3
    assert row["times"] > 1


def test_false_spots_are_made_weaker():
    scenario = Scenario(cells=(retry.LYSOZYME,), n_spots=(20, 20), false_spots=(20, 20))
    frames = simulate(scenario, 2)
    first = retry.by_intensity(frames, 1e-6)[:20]
    true = frames.spots[: frames.offsets[1]][frames.lattice[: frames.offsets[1]] >= 0]
    assert {tuple(row) for row in first.tolist()} == {tuple(row) for row in true.tolist()}
    np.testing.assert_array_equal(retry.by_intensity(frames, 1.0), frames.spots)
