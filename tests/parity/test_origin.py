"""Spots around the beam have the indices (0,0,0) of every orientation: results are those without them."""

import dataclasses

import numpy as np
import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.method import retry
from ffbidx_core.method.index_frames import index_frames
from ffbidx_core.model.cell import cell_from_parameters, shortest_reciprocal
from ffbidx_core.model.plan import SearchPlan
from ffbidx_core.model.records.batch import pack
from ffbidx_core.parameters import PRESETS, Parameters
from tests.helpers.frames import CELL, QUICK, false_spots, frame
from tests.parity.conftest import BACKENDS

LONG = cell_from_parameters((281, 281, 165, 90, 90, 120))


@pytest.fixture(params=["reference", *BACKENDS], scope="module")
def any_backend(request):
    """Every backend, the oracle among them."""
    return get_backend(request.param)


def around_the_beam(rng, n, farthest):
    """Spots (n, 3) float32 of an Ewald sphere of wavelength 1 A, all nearer to the origin than `farthest`."""
    q, phi = 0.98 * farthest * np.sqrt(rng.uniform(0, 1, n)), rng.uniform(0, 2 * np.pi, n)
    return np.column_stack([q * np.cos(phi), q * np.sin(phi), -q * q / 2]).astype(np.float32)


def with_origin(pieces, cell, seed=3):
    """The same frames, each with 6 to 40 spots of the first shell among the others."""
    rng, first_shell = np.random.default_rng(seed), shortest_reciprocal(cell)
    more = [np.concatenate([rows, around_the_beam(rng, rng.integers(6, 41), first_shell)]) for rows in pieces]
    return [rng.permutation(rows) for rows in more]


def indexed(backend, pieces, cells, p):
    return index_frames(backend, *pack(pieces), SearchPlan.make(np.reshape(cells, (-1, 3, 3)), p), p, keep_all=True)


@pytest.mark.parametrize("preset", PRESETS)
def test_results_are_those_without_the_spots_around_the_beam(any_backend, preset):
    rng = np.random.default_rng(1)
    pieces = [
        frame(0)[1],
        np.concatenate([frame(1, 20)[1], false_spots(rng, 20)]),
        false_spots(rng, 30),
        frame(2)[1][:3],
    ]
    p = Parameters.preset(preset, **QUICK)
    plain = indexed(any_backend, pieces, CELL, p)
    result = indexed(any_backend, with_origin(pieces, CELL), CELL, p)
    for field in dataclasses.fields(plain):
        if field.name != "n_at_origin":
            np.testing.assert_array_equal(getattr(result, field.name), getattr(plain, field.name), err_msg=field.name)
    assert len(plain.crystals) >= 2


@pytest.mark.parametrize("few", [0, 10_000])
def test_spots_left_out_are_counted_frame_by_frame(any_backend, few, monkeypatch):
    monkeypatch.setattr(retry, "FEW_SPOTS", few)
    pieces = [frame(0)[1], np.zeros((0, 3), np.float32), frame(1)[1]]
    more = with_origin(pieces, CELL)
    result = indexed(any_backend, more, CELL, Parameters.preset("best", **QUICK))
    assert result.n_at_origin.tolist() == [len(a) - len(b) for a, b in zip(more, pieces, strict=True)]
    assert not indexed(any_backend, pieces, CELL, Parameters.preset("best", **QUICK)).n_at_origin.any()


@pytest.mark.parametrize("accept", ["chance", "count"])
@pytest.mark.parametrize("cell", [CELL, LONG], ids=["53 A", "281 A"])
def test_no_crystal_is_made_of_spots_around_the_beam(cell, accept):
    rng = np.random.default_rng(2)
    pieces = [false_spots(rng, 20) for _ in range(20)]
    p = Parameters.preset("best", accept=accept, **QUICK)
    backend = get_backend("cpu")
    alone = indexed(backend, pieces, cell, p)
    result = indexed(backend, [np.concatenate([rows, 1e-3 * rows[:12]]) for rows in pieces], cell, p)
    np.testing.assert_array_equal(result.cells, alone.cells)
    np.testing.assert_array_equal(result.n_indexed, alone.n_indexed)


def test_cells_that_compete_leave_out_what_is_a_reflection_of_none():
    p = Parameters.preset("best", max_input_cells=2)
    plan = SearchPlan.make(np.stack([cell_from_parameters((20, 20, 20, 90, 90, 90)), LONG]), p)
    assert plan.origin_radius == pytest.approx(shortest_reciprocal(LONG))
    longer = cell_from_parameters((600, 600, 600, 90, 90, 90))
    plan = SearchPlan.make(np.stack([cell_from_parameters((20, 20, 20, 90, 90, 90)), longer]), p)
    # The short cell counts spots as near as this as found.
    assert plan.origin_radius == pytest.approx(0.0026)
