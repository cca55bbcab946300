"""CXI peak lists."""

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from ffbidx_core.errors import InputError
from ffbidx_core.model.detector.geometry_file import geometry_text
from ffbidx_core.model.records.frame import FrameStatus
from ffbidx_core.read import Source, count_frames, read_blocks
from ffbidx_core.read.geometry.any import parse_geometry
from ffbidx_core.read.inspection import inspect_spots
from ffbidx_core.run.tally import Tally
from tests.helpers.beamline import MADE_FOR_READING as MADE
from tests.helpers.beamline import geom_text, write_cxi

GEOMETRY = parse_geometry("det.geom", geom_text())


def blocks(path: Path, geometry=GEOMETRY, **options):
    return list(read_blocks([Source(str(path))], geometry=geometry, **options))


@pytest.fixture
def cxi(tmp_path: Path) -> Path:
    return write_cxi(tmp_path / "run.cxi", MADE)


def poke(path: Path, change) -> Path:
    with h5py.File(path, "a") as file:
        change(file["entry_1/result_1"])
    return path


def test_spots_lie_on_the_reciprocal_lattice_of_the_crystal(cxi: Path):
    (block,) = blocks(cxi)
    for f, cell in enumerate(MADE.cells):
        spots = block.spots[block.offsets[f] : block.offsets[f + 1]]
        assert len(spots) == len(MADE.peaks[f])
        on_lattice = spots @ cell.T
        # As near as they were allowed to be off the Ewald sphere.
        off = (on_lattice - np.rint(on_lattice)) @ np.linalg.inv(cell).T
        assert np.linalg.norm(off, axis=1).max() < 0.003


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_slices_do_not_matter(cxi: Path, at_once: int, every: int):
    found = blocks(cxi, frames_per_block=at_once, every=every)
    spots = np.concatenate([block.spots for block in found])
    (whole,) = blocks(cxi, every=every)
    np.testing.assert_array_equal(spots, whole.spots)
    assert [i for block in found for i in block.indices] == list(range(0, len(MADE.peaks), every))
    assert count_frames([Source(str(cxi))], GEOMETRY) == len(MADE.peaks)


def test_peaks_off_the_panels_are_left_out_and_told(cxi: Path):
    def change(group):
        group["peakXPosRaw"][1, :3] = 1e4

    (block,) = blocks(poke(cxi, change))
    assert np.diff(block.offsets)[1] == len(MADE.peaks[1]) - 3
    (problem,) = block.problems
    assert problem.endswith("peaks on no panel, on several or in a bad region of the geometry are left out")


def test_peaks_that_are_no_numbers_make_a_bad_frame(cxi: Path):
    def change(group):
        group["peakXPosRaw"][1, 0] = np.nan

    (block,) = blocks(poke(cxi, change))
    assert block.status.tolist() == [FrameStatus.NOT_INDEXED, FrameStatus.BAD_SPOTS, FrameStatus.NOT_INDEXED]


@pytest.mark.parametrize("wavelength", [0.0, -1.0, np.nan])
def test_a_wavelength_that_is_none_makes_a_bad_frame(tmp_path: Path, wavelength: float):
    path = write_cxi(tmp_path / "run.cxi", MADE, **{"/beam": np.array([1.3, wavelength, 1.3])})
    geometry = parse_geometry("x", geom_text(beam="wavelength = /beam A"))
    (block,) = blocks(path, geometry)
    assert block.status.tolist() == [FrameStatus.NOT_INDEXED, FrameStatus.BAD_SPOTS, FrameStatus.NOT_INDEXED]
    # One note, and none about the spots that follow from it.
    (note,) = (problem for problem in block.problems if "frame 1" in problem)
    assert "frame 1: its wavelength is" in note


def test_the_place_that_the_geometry_names(tmp_path: Path):
    path = write_cxi(tmp_path / "run.cxi", MADE, group="/my/peaks")
    with h5py.File(path, "a") as file:
        file.copy("/my/peaks", "/other")
    with pytest.raises(InputError, match="/my/peaks"):
        blocks(path)
    assert blocks(path, parse_geometry("x", "peak_list = /my/peaks\n" + geom_text()))[0].n_frames == 3


def test_bitshuffle_and_integers(tmp_path: Path, cxi: Path):
    with h5py.File(cxi) as old, h5py.File(tmp_path / "small.h5", "w") as file:
        for name, dataset in old["entry_1/result_1"].items():
            values = dataset[()]
            filters = hdf5plugin.Bitshuffle() if values.ndim == 2 else {}
            file.create_dataset(f"entry/MX/{name}", data=values, **filters)
        file["entry/MX/peakTotalIntensity"][...] = 5
    (block,) = blocks(tmp_path / "small.h5")
    np.testing.assert_array_equal(block.spots, blocks(cxi)[0].spots)


@pytest.mark.parametrize(
    ("frame", "claimed"),
    [(1, 513), (0, -1)],
)
def test_a_row_that_claims_what_cannot_be_costs_its_frame(cxi: Path, frame: int, claimed: int):
    good = blocks(cxi)[0]
    poke(cxi, lambda group: group["nPeaks"].__setitem__(frame, claimed))
    (block,) = blocks(cxi)
    assert block.indices.tolist() == [0, 1, 2]
    assert block.status.tolist() == [4 if f == frame else FrameStatus.NOT_INDEXED for f in range(3)]
    assert block.n_spots.tolist() == [0 if f == frame else n for f, n in enumerate(good.n_spots)]
    assert any(f"frame {frame}: claims {claimed} peaks" in line for line in block.problems)


def test_a_file_without_a_table_says_what_is_wanted(cxi: Path):
    poke(cxi, lambda group: group.__delitem__("peakYPosRaw"))
    with pytest.raises(InputError, match="/spots"):
        blocks(cxi)


def test_tables_of_wrong_shapes(cxi: Path):
    def change(group):
        del group["peakXPosRaw"]
        group["peakXPosRaw"] = np.zeros((2, 512))

    with pytest.raises(InputError, match="peakXPosRaw: has the shape"):
        blocks(poke(cxi, change))


def test_a_wavelength_that_is_not_in_the_file(cxi: Path):
    with pytest.raises(InputError, match="/nowhere: is missing"):
        blocks(cxi, parse_geometry("x", geom_text(beam="wavelength = /nowhere A")))
    with pytest.raises(InputError, match="no wavelength: give it with --wavelength"):
        blocks(cxi, parse_geometry("x", geom_text(beam="; none")))


def test_links_out_of_the_file_are_not_followed(cxi: Path, tmp_path: Path):
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["entry_1/result_1"] = h5py.ExternalLink(cxi.name, "/entry_1/result_1")
    with pytest.raises(InputError, match="link to another file"):
        blocks(tmp_path / "link.h5")


def test_a_distance_below_0_is_an_encoders(tmp_path: Path, cxi: Path):
    """As at LCLS: what the encoder says, and an offset of the panels that makes the distance of it."""
    (expected,) = blocks(cxi)
    path = write_cxi(tmp_path / "encoder.cxi", MADE, **{"/LCLS/encoder": np.array([-420.0, -420.0, -600.0])})
    lines = [
        f"{line.split('=')[0]}= {float(line.split('=')[1]) + 0.5}" if "/coffset" in line else line
        for line in geom_text("/LCLS/encoder").splitlines()
    ]
    (found,) = blocks(path, parse_geometry("x", "\n".join(lines)))
    n = len(MADE.peaks[0]) + len(MADE.peaks[1])
    np.testing.assert_allclose(found.spots[:n], expected.spots[:n], atol=1e-6)
    assert found.status.tolist() == [FrameStatus.NOT_INDEXED, FrameStatus.NOT_INDEXED, FrameStatus.BAD_SPOTS]
    assert any("frame 2: its detector distance is -600" in problem for problem in found.problems)
    lines = ["clen = -0.42 m" if line.startswith("clen") else line for line in lines]
    (literal,) = blocks(cxi, parse_geometry("x", "\n".join(lines)))
    np.testing.assert_allclose(literal.spots[:n], expected.spots[:n], atol=1e-6)


def test_numbers_of_peaks_may_be_floats_that_are_whole(cxi: Path):
    right = blocks(cxi)[0]

    def change(group):
        counts = group["nPeaks"][()].astype(float)
        del group["nPeaks"]
        counts[2] += 0.5
        group["nPeaks"] = counts

    (block,) = blocks(poke(cxi, change))
    assert block.status.tolist() == [FrameStatus.NOT_INDEXED, FrameStatus.NOT_INDEXED, FrameStatus.UNREADABLE]
    np.testing.assert_array_equal(block.spots, right.spots[: right.offsets[2]])


@pytest.mark.parametrize("as_column", [False, True])
def test_the_detectors_shift_of_each_frame(tmp_path: Path, as_column: bool):
    shifts = np.array([[0.3, -0.2], [0.0, 0.0], [-1.0, 0.5]])
    columns = {f"/shift/{axis}": shifts[:, k : k + 1] if as_column else shifts[:, k] for k, axis in enumerate("xy")}
    path = write_cxi(tmp_path / "run.cxi", MADE, **columns)
    text = "detector_shift_x = /shift/x mm\ndetector_shift_y = shift/y mm\n" + geom_text()
    (block,) = blocks(path, parse_geometry("x", text))
    for f, (x, y) in enumerate(shifts):
        number = f"detector_shift_x = {x} mm\ndetector_shift_y = {y} mm\n" + geom_text()
        right = blocks(path, parse_geometry("x", number))[0]
        rows = slice(right.offsets[f], right.offsets[f + 1])
        np.testing.assert_allclose(block.spots[rows], right.spots[rows], atol=1e-7)
    # A text that is made anew says the same.
    (again,) = blocks(path, parse_geometry("x", geometry_text(parse_geometry("x", text))))
    np.testing.assert_allclose(again.spots, block.spots, atol=1e-6)


def test_peak_lists_in_one_other_group_are_found_and_named(tmp_path: Path, cxi: Path):
    path = write_cxi(tmp_path / "other.h5", MADE, group="/entry/peaks")
    (block,) = blocks(path)
    np.testing.assert_array_equal(block.spots, blocks(cxi)[0].spots)
    assert f"{path}: peak lists are read from /entry/peaks" in block.problems
    with h5py.File(path, "a") as file:
        file.copy("/entry/peaks", "/entry/more/peaks")
    with pytest.raises(InputError, match=r"/entry/peaks, /entry/more/peaks: .* peak_list = /entry/peaks"):
        blocks(path)
    named = parse_geometry("x", "peak_list = /entry/more/peaks\n" + geom_text())
    np.testing.assert_array_equal(blocks(path, named)[0].spots, block.spots)


def test_the_file_that_a_link_leads_to_is_named(cxi: Path, tmp_path: Path):
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["entry_1/result_1"] = h5py.ExternalLink("other/run.cxi", "/entry_1/result_1")
    with pytest.raises(InputError, match=r"other/run.cxi \(/entry_1/result_1\): name that file"):
        blocks(tmp_path / "link.h5")


def test_peaks_on_no_panel_are_counted(cxi: Path):
    def change(group):
        group["peakXPosRaw"][1, :3] = 1e4

    (block,) = blocks(poke(cxi, change))
    assert block.n_off_panels == 3
    assert (block[:2].n_off_panels, block[2:].n_off_panels) == (3, 0)


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_a_layout_of_another_detector_is_noted(share: float):
    tally = Tally(n_spots=round(1000 * (1 - share)), n_off_panels=round(1000 * share))
    assert tally.note_of_panels.startswith(f"{1000 * share:.0f} peaks ({share:.1%}) lie on no panel of the geometry")
    assert ("another detector" in tally.note_of_panels) == (share > 0.5)
    assert Tally(n_spots=9).note_of_panels == ""
    assert Tally(n_spots=9, n_off_panels=1).note_of_panels.startswith("1 peak (10.0%) lies on no panel")


def test_inspect_notes_a_layout_of_another_detector(cxi: Path):
    text = geom_text()
    of_one = "\n".join(line for line in text.splitlines() if not line.startswith(("tilted", "swapped")))
    report = inspect_spots([Source(str(cxi))], parse_geometry("x", of_one))
    assert report.off_panels > report.spots
    assert any("Is it the geometry of another detector" in problem for problem in report.problems)
    assert not inspect_spots([Source(str(cxi))], parse_geometry("x", text)).problems
