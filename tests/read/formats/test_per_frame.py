"""Wavelength and distance of each frame, wherever they are."""

from contextlib import closing
from dataclasses import replace

import h5py
import numpy as np
import pytest

from ffbidx_core.errors import InputError
from ffbidx_core.model.detector.panels import Detector, Geometry, Reading
from ffbidx_core.ranges import HC
from ffbidx_core.read.formats.hdf5.opened import InDataset, OfFrames, OpenHdf5
from ffbidx_core.read.formats.open import open_spots
from ffbidx_core.read.formats.per_frame import DISTANCE, WAVELENGTH, Listed, Same
from ffbidx_core.read.geometry.any import parse_geometry
from tests.helpers.beamline import geom_text

FRAMES = np.array([0, 2, 3])
WITHOUT = Geometry(Detector(()))


class FourFrames(OpenHdf5):
    """A file of four frames whose content nobody checks."""

    def _open(self) -> None:
        self.n_frames = 4


@pytest.fixture
def open_with(tmp_path):
    """Opens a file of four frames with these values in its dataset `/energy`."""
    opened = []

    def make(values):
        path = tmp_path / f"{len(opened)}.h5"
        with h5py.File(path, "w") as file:
            file["energy"] = values
        opened.append(FourFrames(str(path)))
        return opened[-1]

    yield make
    for file in opened:
        file.close()


@pytest.mark.parametrize(
    "energies",
    [
        9500.0,
        [9500.0],
        [[9500.0]],
        [9500.0, 1.0, 9500.0, 9500.0],
        [[9500.0], [1.0], [9500.0], [9500.0]],
        # Written for more frames than there came.
        [9500.0, 1.0, 9500.0, 9500.0, 2.0, 3.0],
    ],
)
def test_a_dataset_has_one_number_or_one_a_frame(open_with, energies):
    found = InDataset(open_with(energies), WAVELENGTH, Reading(None, "/energy", "eV")).of(FRAMES)
    assert found.tolist() == Same(HC / 9500.0).of(FRAMES).tolist() == [HC / 9500.0] * 3


def test_numbers_of_frames_are_those_asked_for(open_with):
    values = np.array([1.0, 2.0, 3.0, 4.0])
    own = OfFrames(open_with(values), "/energy", "angstrom", 4)
    assert own.of(FRAMES).tolist() == Listed(values).of(FRAMES).tolist() == [1.0, 3.0, 4.0]
    metres = InDataset(open_with(values), DISTANCE, Reading(None, "/energy", "m"))
    assert metres.of(FRAMES).tolist() == [1000.0, 3000.0, 4000.0]


@pytest.mark.parametrize(
    ("values", "name", "problem"),
    [
        ([1.0, 2.0], "/energy", "has 2 numbers for 4 frames"),
        ([[1.0, 2.0]], "/energy", r"has the shape \(1, 2\)"),
        (1.0, "/nowhere", "is missing"),
    ],
)
def test_other_datasets_are_named(open_with, values, name, problem):
    file = open_with(values)
    with pytest.raises(InputError, match=rf"{name}: {problem}"):
        InDataset(file, WAVELENGTH, Reading(None, name, "eV"))


def test_a_given_distance_always_takes_the_place_of_the_file_s_a_wavelength_by_hand():
    geometry = replace(WITHOUT, wavelength=Reading(10.0, unit="keV"), distance=Reading(0.2, unit="m"))
    assert (WAVELENGTH.given(geometry), DISTANCE.given(geometry)) == (None, 200.0)
    assert WAVELENGTH.given(replace(geometry, by_hand=True)) == HC / 10000.0
    in_files = replace(WITHOUT, wavelength=Reading(None, "/a", "eV"), distance=Reading(None, "/b", "mm"), by_hand=True)
    for geometry in (WITHOUT, in_files):
        assert (WAVELENGTH.given(geometry), DISTANCE.given(geometry)) == (None, None)


def test_a_quantity_that_is_nowhere_is_asked_for_by_its_option():
    with pytest.raises(InputError, match="x: its geometry has no distance: give it with --distance"):
        DISTANCE.reading("x", WITHOUT)


@pytest.mark.parametrize(
    ("wavelength", "distance", "units"),
    [
        (np.array([[1.1], [1.2]]), np.array([80.0, 81.0]), {}),
        (np.array([1.1, 1.2, 9.0, 9.0]), np.array([[80.0], [81.0], [9.0]]), {}),
        (np.array([0.11, 0.12]), np.array([0.08, 0.081]), {"wavelength": "nm", "distance": "metre"}),
    ],
)
def test_spot_files_have_a_row_for_each_frame_or_more_in_any_unit(tmp_path, wavelength, distance, units):
    with h5py.File(tmp_path / "spots.h5", "w") as file:
        file["spots"], file["offsets"], file["pixel"] = (
            np.full((4, 3), 0.1),
            [0, 2, 4],
            np.full((4, 3), [9.0, 9.0, 0.0]),
        )
        file["wavelength"], file["distance"], file["shift"] = wavelength, distance, np.full((3, 2), 0.5)
        for name, unit in units.items():
            file[name].attrs["units"] = unit
    with closing(open_spots(str(tmp_path / "spots.h5"), parse_geometry("x", geom_text("/nowhere")))) as spots:
        (raw,) = spots.read(np.arange(2))
    np.testing.assert_allclose(raw.peaks.wavelength, [1.1, 1.2])
    np.testing.assert_allclose(raw.peaks.distance, [80.0, 81.0])
    np.testing.assert_array_equal(raw.peaks.shift, np.full((2, 2), 0.5))


def test_units_of_a_spot_file_that_are_none_are_named(tmp_path):
    with h5py.File(tmp_path / "spots.h5", "w") as file:
        file["spots"], file["distance"] = np.full((4, 3), 0.1), [80.0]
        file["distance"].attrs["units"] = "keV"
    with pytest.raises(InputError, match="/distance: has the units 'keV', expected mm or m, cm"):
        open_spots(str(tmp_path / "spots.h5"))
