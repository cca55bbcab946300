from dataclasses import replace

import numpy as np
import pytest

from ffbidx_core.errors import InputError
from ffbidx_core.model.cell import cell_from_parameters, reciprocal
from ffbidx_core.model.crystal import assign_spots
from ffbidx_core.model.lattice import Lattice
from ffbidx_core.model.records.frame import FrameStatus
from ffbidx_core.model.records.reason import FrameReason, Rung
from ffbidx_core.read.indexed_frames import IndexedFrame
from ffbidx_core.report.frame_picture import draw_frame, fate, find_frame, predict, wavelength_of
from tests.helpers.frames import CELL, false_spots, random_rotation, still
from tests.helpers.results_files import results_of, write_results


def on_sphere(spots, wavelength=1.0):
    """Spots where the rays through them meet the Ewald sphere, as a detector gives them."""
    beam = np.array([0, 0, 1 / wavelength])
    ray = spots + beam
    return ray / np.linalg.norm(ray, axis=1, keepdims=True) / wavelength - beam


def frame_of(*cells, lattice=None, n_spots=60, n_false=5, seed=0) -> IndexedFrame:
    rng = np.random.default_rng(seed)
    spots = on_sphere(
        np.concatenate([np.zeros((0, 3)), *(still(cell, rng, n_spots) for cell in cells), false_spots(rng, n_false)])
    )
    lattices = [lattice or Lattice() for _ in cells]
    cells = np.array(cells).reshape(-1, 3, 3)
    crystal, hkl = assign_spots(spots, cells, [each.centring for each in lattices], 0.002)
    limits, rows = np.full(len(cells), 2.0, np.float32), np.zeros(len(cells), np.int64)
    return IndexedFrame("a.h5", 0, "", FrameStatus.INDEXED, spots, None, cells, lattices, limits, crystal, hkl, rows)


def turned(seed, cell=CELL):
    return cell @ random_rotation(np.random.default_rng(seed))


@pytest.mark.parametrize("wavelength", [0.7, 1.0, 2.5])
def test_the_wavelength_is_that_of_the_sphere(wavelength):
    frame = frame_of(n_false=30)
    frame.spots = on_sphere(frame.spots * 0.5, wavelength)
    # Padding says nothing of it.
    frame.spots[:3] = 0
    assert wavelength_of(frame) == pytest.approx(wavelength, rel=1e-6)


def test_spots_off_every_sphere_have_no_wavelength():
    frame = frame_of(n_false=30)
    frame.spots = np.random.default_rng(0).normal(size=(30, 3)) * 0.2
    assert wavelength_of(frame) is None
    frame.spots = np.zeros((0, 3))
    assert wavelength_of(frame) is None


def test_predicted_reflections_hold_nearly_all_that_are_indexed():
    frame = frame_of(turned(1))
    predicted = predict(frame, 0, 1.0)
    assert np.allclose(predicted.spots, predicted.hkl @ reciprocal(frame.cells[0]))
    shown = {tuple(hkl) for hkl in predicted.hkl.tolist()}
    assert len(shown) == len(predicted.hkl)
    indexed = frame.hkl[frame.crystal == 0].tolist()
    assert sum(tuple(hkl) in shown for hkl in indexed) >= 0.85 * len(indexed)
    assert np.linalg.norm(predicted.spots, axis=1).max() <= np.linalg.norm(frame.spots, axis=1).max()
    assert (0, 0, 0) not in shown


def test_without_a_wavelength_the_indexed_spots_are_predicted():
    frame = frame_of(turned(1))
    predicted = predict(frame, 0, None)
    assert predicted.hkl.tolist() == frame.hkl[frame.crystal == 0].tolist()


def test_no_reflection_that_the_centring_forbids():
    cell = turned(2, cell_from_parameters((61, 72, 58, 90, 90, 90)))
    hkl = predict(frame_of(cell, lattice=Lattice("orthorhombic", "C"), n_spots=200), 0, 1.0).hkl
    assert len(hkl) > 50
    assert ((hkl[:, 0] + hkl[:, 1]) % 2 == 0).all()


@pytest.fixture
def path(tmp_path):
    names = np.array(["a.h5"] * 4 + ["b//x.h5"] * 3, object)
    return write_results(
        tmp_path / "run.h5", results_of([1, 0, 2, 1, 1, 0, 3], source=names, index=np.array([0, 1, 2, 3, 0, 1, 20]))
    )


@pytest.mark.parametrize(("which", "number"), [("0", 0), ("6", 6), ("006", 6), ("a.h5//2", 2), ("b//x.h5//20", 6)])
def test_frames_are_found_by_number_and_by_name(path, which, number, monkeypatch):
    from ffbidx_core.read.results import read_results, results_in_pieces
    from ffbidx_core.report import frame_picture

    monkeypatch.setattr(frame_picture, "results_in_pieces", lambda name: results_in_pieces(name, 2))
    found, results = find_frame(path, which)
    assert found == number
    whole = read_results(path)
    rows = whole.crystals[whole.crystal_offsets[number] : whole.crystal_offsets[number + 1]]
    assert (results.cells[results.crystals] == whole.cells[rows]).all()
    assert (results.source[0], results.index[0]) == (whole.source[number], whole.index[number])
    assert results.rmsd.tolist() == whole.rmsd[rows].tolist()


@pytest.mark.parametrize("which", ["7", "-1", "a.h5", "a.h5//9", "c.h5//0", "", "9" * 30, "²"])
def test_frames_that_are_not_there(path, which):
    with pytest.raises(InputError, match="0 to 6"):
        find_frame(path, which)


def drawn(frame, results):
    """The points of the legend's entries, by their words without the numbers."""
    left = draw_frame(frame, results, 17).axes[0]
    return {line.get_label().split(":")[0]: line for line in left.lines if not line.get_label().startswith("_")}


def test_every_spot_is_drawn_once_in_its_crystals_colour():
    frame = frame_of(turned(1), turned(2))
    entries = drawn(frame, results_of([2])[:1])
    spots = [entries[name] for name in ("indexed, crystal 0", "indexed, crystal 1", "unindexed")]
    assert sum(len(line.get_xdata()) for line in spots) == len(frame.spots)
    assert len({str(line.get_color()) for line in spots}) == 3
    for k in (0, 1):
        assert np.allclose(entries[f"indexed, crystal {k}"].get_xydata(), frame.spots[frame.crystal == k, :2])
        assert entries[f"predicted, crystal {k}"].get_markeredgecolor() == spots[k].get_color()


def test_a_frame_without_crystals_and_one_without_spots():
    nothing = results_of([0])[:1]
    entries = drawn(replace(frame_of(), status=FrameStatus.NOT_INDEXED), nothing)
    assert list(entries) == ["unindexed"]
    assert len(entries["unindexed"].get_xdata()) == 5
    assert len(drawn(frame_of(n_false=0), nothing)["unindexed"].get_xdata()) == 0


@pytest.mark.parametrize(
    ("status", "reason", "rung", "words"),
    [
        (FrameStatus.INDEXED, 0, 0, "indexed"),
        (FrameStatus.INDEXED, 0, Rung.LOW_RESOLUTION, "indexed by retry (low resolution)"),
        (FrameStatus.NOT_INDEXED, FrameReason.NO_CELL, 0, "not indexed (no cell)"),
        (FrameStatus.TOO_FEW_SPOTS, FrameReason.TOO_FEW_SPOTS, 0, "too few spots"),
        (FrameStatus.BAD_SPOTS, FrameReason.BAD_SPOTS, 0, "bad spots"),
    ],
)
def test_the_fate_of_a_frame_is_said_once(status, reason, rung, words):
    results = results_of([1], reason=np.array([reason], np.uint8), rung=np.array([rung], np.uint8))
    assert fate(replace(frame_of(), status=status), results) == words
