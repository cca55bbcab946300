"""Spots and cells that look like nanometres."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffbidx_core.model import units
from ffbidx_core.model.units import ENOUGH_SPOTS, SeenUnits, suspicious_units


@given(st.integers(0, 2**32), st.sampled_from([0.05, 0.3, 0.9, 1.5, 3.0]), st.sampled_from([1.0, 2.0, 4.0, 30.0]))
def test_the_quick_look_changes_no_sentence(seed, reach, edge):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 30, 6)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    spots = rng.uniform(-reach, reach, (offsets[-1], 3)).astype("f4")
    cells = np.stack([np.eye(3) * edge, np.diag([30.0, 40.0, 50.0])])
    found = list(suspicious_units(spots, offsets, cells))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "_look_right", lambda *arguments: False)
        assert found == list(suspicious_units(spots, offsets, cells))


def test_usual_spots_are_not_looked_at_twice(monkeypatch):
    monkeypatch.setattr(units, "_spheres", lambda radii: np.ones(len(radii)))
    monkeypatch.setattr(np.linalg, "norm", None)
    spots, cell = np.full((4, 3), 0.3, np.float32), np.eye(3)[None] * 30
    assert list(suspicious_units(spots, np.array([0, 2, 2, 4]), cell)) == []


def test_a_file_is_looked_at_until_enough_of_its_spots_were():
    seen, half, cells = SeenUnits(), ENOUGH_SPOTS // 2, np.eye(3)[None]
    assert [seen.look_at(cells, ["a.h5", "a.h5"], half) for _ in range(4)] == [True, True, False, False]
    assert [seen.look_at(cells, ["a.h5", "b.h5"], half), seen.look_at(cells, ["b.h5"], half)] == [True, True]
    assert [seen.look_at(cells, ["b.h5"], n) for n in (0, half, 1)] == [True, True, False]
    assert [seen.look_at(2 * cells, ["b.h5"], half), seen.look_at(cells, ["b.h5"], half)] == [True, True]
