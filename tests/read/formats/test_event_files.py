"""Peak lists with a place of their own for each event."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from ffbidx_core.errors import InputError
from ffbidx_core.model.detector.geometry_file import geometry_text
from ffbidx_core.model.records.frame import FrameStatus
from ffbidx_core.read import Source, count_frames, expand_inputs, read_blocks, with_events_found
from ffbidx_core.read.formats.open import open_spots
from ffbidx_core.read.geometry.any import parse_geometry
from tests.helpers.beamline import MADE_FOR_READING as MADE
from tests.helpers.beamline import geom_text, write_cxi

NAMES = ("event_1", "event_2", "event_10")
"""In the order of their numbers, which is not that of their letters."""


def geometry(peak_list: str, data: str = "", more: str = "", **options: str):
    text = geom_text(**options).replace("data = /entry_1/data_1/data", f"data = {data or '/x'}")
    return parse_geometry("det.geom", f"peak_list = {peak_list}\n{more}\n{text}".replace("dim0 = %\n", "dim0 = 0\n"))


LISTS = geometry("/run/%/peaks", "/run/%/image")


def write_lists(path: Path, width: int = 3) -> Path:
    """A dataset for each event; peaks are numbers of pixels."""
    with h5py.File(path, "w") as file:
        for name, peaks, intensity in zip(NAMES, MADE.peaks, MADE.intensity, strict=True):
            columns = [peaks[:, 0] - 0.5, peaks[:, 1] - 0.5, intensity, np.full(len(peaks), np.nan)]
            file[f"run/{name}/peaks"] = np.column_stack(columns[:width])
            file[f"run/{name}/energy"] = 9000.0 + len(peaks)
        file["run/log/lines"] = [1, 2]
    return path


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    return write_lists(tmp_path / "run.h5")


def blocks(path: Path, geometry=LISTS, **options):
    return list(read_blocks([Source(str(path))], geometry=geometry, **options))


def raws(path: Path, geometry=LISTS, frames=range(3)):
    """Frames as they are in the file, before duplicates are left out."""
    (raw,) = open_spots(str(path), geometry).read(np.array(frames))
    return raw


@pytest.fixture
def expected(tmp_path: Path) -> np.ndarray:
    """The spots of the same peaks in CXI lists."""
    return raws(write_cxi(tmp_path / "same.cxi", MADE), parse_geometry("x", geom_text())).spots


@pytest.mark.parametrize("width", [3, 4])
@pytest.mark.parametrize("kind", ["", "peak_list_type = list3", "peak_list_type = auto"])
def test_lists_of_three_or_four_columns(tmp_path: Path, expected, width: int, kind: str):
    path = write_lists(tmp_path / "run.h5", width)
    wanted = geometry("/run/%/peaks", "/run/%/image", kind)
    raw = raws(path, wanted)
    np.testing.assert_allclose(raw.spots, expected, atol=1e-6)
    np.testing.assert_allclose(raw.peaks.pixels, np.concatenate(MADE.peaks))
    assert raw.ids == [f"{path} {name}//" for name in NAMES]
    assert count_frames([Source(str(path))], wanted) == 3
    np.testing.assert_allclose(raw.peaks.intensity, np.concatenate(MADE.intensity))


@pytest.mark.parametrize("at_once", [1, 2])
def test_slices_do_not_matter(lists: Path, at_once: int):
    (whole,) = blocks(lists)
    found = np.concatenate([block.spots for block in blocks(lists, frames_per_block=at_once)])
    np.testing.assert_array_equal(found, whole.spots)
    (single,) = read_blocks([Source(str(lists), 2)], geometry=LISTS)
    np.testing.assert_array_equal(single.spots, whole.spots[whole.offsets[2] :])


def test_one_list_in_a_file(tmp_path: Path, expected):
    with h5py.File(tmp_path / "one.h5", "w") as file:
        peaks = MADE.peaks[0]
        file["processing/peakinfo"] = np.column_stack([peaks[:, :2] - 0.5, MADE.intensity[0]])
    raw = raws(tmp_path / "one.h5", geometry("/processing/peakinfo"), [0])
    np.testing.assert_allclose(raw.spots, expected[: len(peaks)], atol=1e-6)
    assert raw.ids == [f"{tmp_path}/one.h5 //"]


def test_rows_of_cxi_lists_in_a_group_for_each_part(tmp_path: Path, expected):
    """Two parts with two rows and one: the events are part//row."""
    with h5py.File(tmp_path / "all.cxi", "w") as file:
        for part, rows in (("part1", slice(0, 2)), ("part2", slice(2, 3))):
            write_cxi(tmp_path / "part.cxi", type(MADE)(MADE.cells[rows], MADE.peaks[rows], MADE.intensity[rows]))
            with h5py.File(tmp_path / "part.cxi") as made:
                made.copy("entry_1/result_1", file, f"{part}/result")
            file[f"{part}/energy"] = np.arange(9000.0, 9000.0 + rows.stop - rows.start)
    wanted = geometry("/%/result", "/%/data").text.replace("dim0 = 0", "dim0 = %")
    raw = raws(tmp_path / "all.cxi", parse_geometry("x", wanted))
    np.testing.assert_allclose(raw.spots, expected, atol=1e-6)
    assert [name.split()[-1] for name in raw.ids] == ["part1//0", "part1//1", "part2//0"]
    # A list of list_events has these names.
    (tmp_path / "all.lst").write_text("".join(f"{tmp_path}/all.cxi part{name}\n" for name in ("2//0", "1//1", "1//7")))
    of_list = parse_geometry("x", wanted)
    sources = with_events_found(expand_inputs([str(tmp_path / "all.lst")]), of_list)
    (block,) = read_blocks(sources, geometry=of_list)
    assert [name.split()[-1] for name in block.ids[:2]] == ["part2//0", "part1//1"]
    assert block.problems == [f"{tmp_path}/all.cxi: has no event part1//7: names are those of list_events"]
    energies = parse_geometry("x", wanted.replace("photon_energy = 9500.0 eV", "photon_energy = /%/energy eV"))
    raw = raws(tmp_path / "all.cxi", energies)
    np.testing.assert_allclose(12398.42 / raw.peaks.wavelength, [9000, 9001, 9000])


def test_a_wavelength_for_each_event(lists: Path):
    wanted = geometry("/run/%/peaks", "/run/%/image", beam="photon_energy = /run/%/energy eV")
    raw = raws(lists, wanted)
    np.testing.assert_allclose(12398.42 / raw.peaks.wavelength, [9000 + len(peaks) for peaks in MADE.peaks])


def test_an_event_whose_wavelength_has_no_number_costs_its_frame(lists: Path):
    with h5py.File(lists, "a") as file:
        del file["run/event_2/energy"]
        file["run/event_2/energy"] = np.zeros(0)
    (block,) = blocks(lists, geometry("/run/%/peaks", "/run/%/image", beam="photon_energy = /run/%/energy eV"))
    assert block.status.tolist() == [FrameStatus.NOT_INDEXED, FrameStatus.UNREADABLE, FrameStatus.NOT_INDEXED]
    assert "/run/event_2/energy: has 0 numbers, and so none for the event event_2//" in block.problems[0]


@pytest.mark.parametrize(("name", "row"), [("event_1", 0), ("event_2", 1), ("event_10", 2)])
def test_a_bad_event_costs_its_frame(lists: Path, name: str, row: int):
    with h5py.File(lists, "a") as file:
        del file[f"run/{name}/peaks"]
        file[f"run/{name}/peaks"] = np.zeros((3, 7))
    (block,) = blocks(lists)
    assert block.status.tolist() == [4 if f == row else FrameStatus.NOT_INDEXED for f in range(3)]
    assert block.indices.tolist() == [0, 1, 2]
    assert f"/run/{name}/peaks: has the shape (3, 7)" in block.problems[0]


def test_no_peaks_are_a_frame_without_spots(lists: Path):
    with h5py.File(lists, "a") as file:
        del file["run/event_2/peaks"]
        file["run/event_2/peaks"] = np.zeros((0, 3))
    assert np.diff(raws(lists).offsets).tolist() == [len(MADE.peaks[0]), 0, len(MADE.peaks[2])]


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (geometry("/run/%/nothing", "/run/%/image"), "has no events /run/%/nothing"),
        (geometry("/run/event_%/peaks"), "a % stands for a whole name"),
        (geometry("/run/%/peaks", "/run/%/%/image"), "different numbers of % in peak_list"),
    ],
)
def test_what_does_not_fit_is_told(lists: Path, wanted, problem: str):
    with pytest.raises(InputError, match=problem):
        blocks(lists, wanted)


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (geometry("/run/%/peaks", "/run/%/image", "peak_list_type = cxi"), "event_1/peaks/nPeaks: is missing"),
        (geometry("/run/%", "/run/%/image", "peak_list_type = list3"), "event_1: has the shape"),
        (geometry("/run/%/peaks", beam="wavelength = /run/%/none A").text.replace("data = /x", "data = /run/%/x"),
         "/run/event_1/none: is missing"),
    ],
)  # fmt: skip
def test_what_does_not_fit_any_event_leaves_none(lists: Path, wanted, problem: str):
    (block,) = blocks(lists, parse_geometry("x", wanted) if isinstance(wanted, str) else wanted)
    assert set(block.status.tolist()) == {FrameStatus.UNREADABLE}
    assert problem in block.problems[0]


def test_data_of_each_panel_are_kept_in_a_text_that_is_made_anew():
    text = "peak_list = /run/%/peaks\npeak_list_type = list3\n" + geom_text().replace(
        "data = /entry_1/data_1/data", "data = /run/%/image"
    )
    text += "tilted/data = /other/%/image\ntilted/dim0 = 3\n"
    made = parse_geometry("x", text)
    assert [panel.data for panel in made.detector.panels] == ["/run/%/image", "/other/%/image", "/run/%/image"]
    again = parse_geometry("x", geometry_text(made))
    for panel, other in zip(made.detector.panels, again.detector.panels, strict=True):
        assert (panel.data, panel.dims) == (other.data, other.dims)
    assert again.detector.panels[1].dims == ("3", "ss", "fs")
    assert (again.peak_list, again.peak_list_type) == ("/run/%/peaks", "list3")


@pytest.mark.parametrize(("line", "problem"), [("dim2 = up", "dimension is 'up'"), ("peak_list_type = x", "none of")])
def test_words_that_are_none(line: str, problem: str):
    with pytest.raises(InputError, match=problem):
        parse_geometry("x", f"{line}\n{geom_text().replace('dim2 = fs', '')}")


def test_a_list_names_events_as_list_events_does(lists: Path, expected, tmp_path: Path):
    events = [f"{lists} event_10//", f"{lists}  event_1//", f"{lists} event_7//"]
    (tmp_path / "events.lst").write_text("\n".join(events) + "\n")
    sources = with_events_found(expand_inputs([str(tmp_path / "events.lst")]), LISTS)
    (block,) = read_blocks(sources, geometry=LISTS)
    assert block.ids == [f"{lists} event_10//", f"{lists} event_1//", ""]
    assert block.status.tolist() == [FrameStatus.NOT_INDEXED, FrameStatus.NOT_INDEXED, FrameStatus.UNREADABLE]
    assert block.problems == [f"{lists}: has no event event_7//: names are those of list_events"]
    (whole,) = blocks(lists)
    np.testing.assert_array_equal(block.spots[: block.offsets[1]], whole.spots[whole.offsets[2] :])


def test_the_detectors_shift_of_each_event(lists: Path):
    with h5py.File(lists, "a") as file:
        for number, name in enumerate(NAMES):
            file[f"run/{name}/x"] = [0.1 * number]
    found = raws(lists, geometry("/run/%/peaks", "/run/%/image", "detector_shift_x = /run/%/x mm"))
    np.testing.assert_allclose(found.peaks.shift, [[0, 0], [0.1, 0], [0.2, 0]])
    moved = raws(lists, geometry("/run/%/peaks", "/run/%/image", "detector_shift_x = 0.2 mm"))
    rows = slice(found.offsets[2], None)
    np.testing.assert_allclose(found.spots[rows], moved.spots[rows], atol=1e-9)
