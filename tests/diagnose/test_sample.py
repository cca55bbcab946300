"""Frames taken from a run."""

import numpy as np
import pytest

from ffbidx_core.diagnose import sample as module
from ffbidx_core.diagnose.columns import read_columns
from ffbidx_core.diagnose.sample import read_sample
from ffbidx_core.model.cell import cell_parameters
from ffbidx_core.model.records.ragged import evenly
from ffbidx_core.read.results import read_results, read_run
from ffbidx_core.read.run_inputs import RunInputs
from tests.helpers.results_files import results_of, write_results
from tests.helpers.runs.diagnosed import TRUE, index, spots_of


def test_rows_spread_evenly():
    assert evenly(np.arange(5), 9).tolist() == [0, 1, 2, 3, 4]
    assert evenly(np.arange(10), 5).tolist() == [0, 2, 4, 6, 8]
    rows = evenly(np.arange(1000), 7)
    assert len(set(rows.tolist())) == 7
    assert np.ptp(np.diff(rows)) <= 1


def test_some_frames_of_results(tmp_path):
    path = write_results(tmp_path / "run.h5", results_of([1, 0, 2, 1, 3]))
    whole = read_results(path)
    frames = np.array([0, 2, 4])
    some = whole.take(frames)
    assert some.index.tolist() == whole.index[frames].tolist()
    assert np.diff(some.crystal_offsets).tolist() == [1, 2, 3]
    rows = np.concatenate([whole.crystals[whole.crystal_offsets[f] : whole.crystal_offsets[f + 1]] for f in frames])
    assert (some.cells[some.crystals] == whole.cells[rows]).all()
    assert some.rmsd.tolist() == [whole.rmsd[i] for f in frames for i in range(*whole.crystal_offsets[f : f + 2])]


@pytest.fixture(scope="module")
def results():
    return index(spots_of(n_frames=30, blank_share=0.3), TRUE)


def sample_of(path):
    header, _, record, _, _ = read_run(path)
    return read_sample(path, read_columns(path), RunInputs.of_header(header, None, record, path))


def test_a_sample_has_the_frames_with_their_crystals_and_spots(results):
    sample, whole = sample_of(results), read_results(results)
    assert sample.n_frames == whole.n_frames
    assert np.diff(sample.crystals.offsets).tolist() == whole.n_spots.tolist()
    assert sample.crystals.crystal_offsets.tolist() == whole.crystal_offsets.tolist()
    assert sample.indexed.tolist() == (whole.status == 0).tolist()
    assert sample.crystals.wavelength.tolist() == [1.0] * whole.n_frames
    assert sample.distance.tolist() == [200.0] * whole.n_frames
    assert sample.geometry is not None
    np.testing.assert_allclose(cell_parameters(sample.crystals.cells), whole.crystal_parameters, rtol=1e-5)
    some = sample.some(10)
    assert some.n_frames == 10
    assert len(some.crystals.cells) == some.indexed.sum()


def test_a_large_run_is_sampled(results, monkeypatch):
    monkeypatch.setattr(module, "MOST_FRAMES", 12)
    sample, whole = sample_of(results), read_results(results)
    chosen = np.arange(12) * 30 // 12
    assert np.diff(sample.crystals.offsets).tolist() == whole.n_spots[chosen].tolist()
    assert sample.indexed.tolist() == (whole.status[chosen] == 0).tolist()
    monkeypatch.setattr(module, "MOST_SPOTS", 300)
    assert sample_of(results).n_frames < 8


def test_pairs_are_each_crystal_with_the_spots_of_its_frame(results):
    crystals = sample_of(results).crystals.take(np.array([3, 7, 8]))
    rows, crystal = crystals.pairs()
    expected = [
        (row, c)
        for f in range(3)
        for c in range(*crystals.crystal_offsets[f : f + 2])
        for row in range(*crystals.offsets[f : f + 2])
    ]
    assert list(zip(rows.tolist(), crystal.tolist(), strict=True)) == expected
