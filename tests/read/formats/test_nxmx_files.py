"""The geometry in the NXmx entries of a file, and the files of Jungfraujoch."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from ffbidx_core.errors import InputError
from ffbidx_core.read.formats.open import open_spots
from ffbidx_core.read.geometry.any import parse_geometry, read_geometry
from tests.helpers.beamline import MADE_FOR_READING as MADE
from tests.helpers.beamline import write_cxi
from tests.helpers.spot_files import blocks


@pytest.fixture
def cxi(tmp_path: Path) -> Path:
    return write_cxi(tmp_path / "run.cxi", MADE)


def add_nxmx(path: Path, *, module: str = "", units: str = "", centre: tuple[float, float] = (200.0, 450.0)) -> Path:
    """The entries of an NXmx file: 75 um pixels at 80 mm, 1.3 A."""
    with h5py.File(path, "a") as file:
        instrument = file.require_group("entry/instrument")
        instrument["beam/incident_wavelength"] = 1.3
        for name, value in (("distance", 0.08), ("x_pixel_size", 75e-6), ("y_pixel_size", 75e-6)):
            instrument[f"detector/{name}"] = value
            instrument[f"detector/{name}"].attrs["units"] = b"m"
        for name, value in zip("xy", centre, strict=True):
            instrument[f"detector/beam_center_{name}"] = value
            if units:
                instrument[f"detector/beam_center_{name}"].attrs["units"] = units
        for name, vector in (("fast", (1, 0, 0)), ("slow", (0, 1, 0))) if module else ():
            instrument[f"detector/{module}/{name}_pixel_direction"] = 0.075
            instrument[f"detector/{module}/{name}_pixel_direction"].attrs["vector"] = vector
    return path


def expected_of(x: float, y: float) -> np.ndarray:
    """The spot of a ray that meets the detector so many pixels from the beam, in x and y of the laboratory."""
    ray = np.array([x * 0.075, y * 0.075, 80.0])
    return (ray / np.linalg.norm(ray) - (0, 0, 1)) / 1.3


@pytest.mark.parametrize(("units", "centre"), [("", (200.0, 450.0)), ("pixel", (200, 450)), ("m", (0.015, 0.03375))])
def test_the_geometry_of_an_nxmx_file(cxi: Path, units: str, centre: tuple[float, float]):
    file = open_spots(str(add_nxmx(cxi, units=units, centre=centre)))
    assert file.geometry is not None
    # fs runs against x and ss against y where the file does not say otherwise: z along the beam, y up.
    spot = file.geometry.detector.spots(np.array([[300.0, 600.0, 0]]), 1.3, 80.0)[0]
    np.testing.assert_allclose(spot, expected_of(-100, -150), atol=1e-7)
    (raw,) = file.read(np.array([0]))
    assert any("NXmx" in problem and "from the corner" in problem for problem in raw.problems)
    assert raw.peaks is not None
    assert raw.peaks.distance.tolist() == pytest.approx([80.0])
    assert parse_geometry("x", file.geometry.text).detector == file.geometry.detector


@pytest.mark.parametrize("module", ["", "module", "detector_module", "ARRAY_D0M0"])
@pytest.mark.parametrize("group", ["/entry/MX", "/entry/result"])
def test_the_files_of_jungfraujoch(tmp_path: Path, group: str, module: str):
    """Peaks and beam centre count pixels from the centre of the first: only their difference counts."""
    path = add_nxmx(write_cxi(tmp_path / "run.h5", MADE, group=group), module=module)
    file = open_spots(str(path))
    (raw,) = file.read(np.array([0]))
    x, y = MADE.peaks[0][0, :2] - 0.5 - (200.0, 450.0)
    sign = 1 if module else -1
    np.testing.assert_allclose(raw.spots[0], expected_of(sign * x, sign * y), atol=1e-6)
    assert any("as Jungfraujoch's peaks do" in problem and "--beam-centre" in problem for problem in raw.problems)


def test_the_master_file_of_jungfraujoch_has_the_geometry(tmp_path: Path):
    whole = add_nxmx(write_cxi(tmp_path / "whole.h5", MADE, group="/entry/MX"))
    write_cxi(tmp_path / "data_000001.h5", MADE, group="/entry/MX")
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file["entry/instrument/detector/detectorSpecific/jfjoch_release"] = "1.0"
        file["entry/MX"] = h5py.ExternalLink("data_000001.h5", "/entry/MX")
    master = read_geometry(str(add_nxmx(tmp_path / "master.h5")))
    (found,) = blocks(str(tmp_path / "data_000001.h5"), geometry=master)
    (expected,) = blocks(str(whole))
    np.testing.assert_array_equal(found.spots, expected.spots)
    assert any("master.h5: geometry of its NXmx entries" in problem for problem in found.problems)
    with pytest.raises(InputError, match="without a geometry"):
        read_geometry(str(tmp_path / "data_000001.h5"))


@pytest.mark.parametrize("module", ["", "module"])
@pytest.mark.parametrize(("units", "size"), [("", 1.0), ("m", 75e-6)])
def test_the_beam_centre_of_each_image(cxi: Path, module: str, units: str, size: float):
    """In pixels or as a length, with the axes of the detector along those of the laboratory or against them."""
    centres = np.array([[200.0, 450.0], [203.5, 441.0], [190.0, 450.25]])
    right = []
    for centre in centres:
        add_nxmx(cxi, module=module, units=units, centre=size * centre)
        right.append(blocks(str(cxi))[0])
        with h5py.File(cxi, "a") as file:
            del file["entry/instrument"]
    add_nxmx(cxi, module=module, units=units, centre=size * centres.T)
    (block,) = blocks(str(cxi))
    for f, expected in enumerate(right):
        rows = slice(expected.offsets[f], expected.offsets[f + 1])
        np.testing.assert_allclose(block.spots[rows], expected.spots[rows], atol=1e-7)
    # The text in the results says the same.
    text = open_spots(str(cxi)).geometry.text
    np.testing.assert_allclose(blocks(str(cxi), geometry=parse_geometry("x", text))[0].spots, block.spots, atol=1e-7)


def test_a_beam_centre_of_each_image_on_a_turned_detector_is_refused(cxi: Path):
    add_nxmx(cxi, module="module", centre=(200.0, np.array([450.0, 451.0, 452.0])))
    with h5py.File(cxi, "a") as file:
        file["entry/instrument/detector/module/slow_pixel_direction"].attrs["vector"] = (0.1, 1, 0)
    with pytest.raises(InputError, match=r"beam_center_y.*3 different numbers.*axes are not those of the laboratory"):
        blocks(str(cxi))


@pytest.mark.parametrize(("unit", "factor"), [("millimeter", 80.0), ("microns", 8e4), ("cm", 8.0), ("", 0.08)])
def test_units_of_nxmx_entries_are_converted(cxi: Path, unit: str, factor: float):
    right = open_spots(str(add_nxmx(cxi))).geometry
    with h5py.File(cxi, "a") as file:
        del file["entry/instrument/detector/distance"]
        file["entry/instrument/detector/distance"] = factor
        if unit:
            file["entry/instrument/detector/distance"].attrs["units"] = unit
    found = open_spots(str(cxi)).geometry
    assert found.distance.millimetres == pytest.approx(right.distance.millimetres)
    assert ("detector/distance (taken in m)" in found.notes[0]) == (not unit)


def test_a_unit_that_is_none_is_named_with_its_dataset(cxi: Path):
    add_nxmx(cxi)
    with h5py.File(cxi, "a") as file:
        file["entry/instrument/detector/distance"].attrs["units"] = "parsec"
    with pytest.raises(InputError, match="detector/distance: has the units 'parsec', expected m"):
        open_spots(str(cxi))


@pytest.mark.parametrize("unit", ["um", "km"])
def test_a_size_that_no_pixel_has_is_named_with_its_dataset(cxi: Path, unit: str):
    add_nxmx(cxi)
    with h5py.File(cxi, "a") as file:
        file["entry/instrument/detector/x_pixel_size"].attrs["units"] = unit
    with pytest.raises(InputError, match=r"detector/x_pixel_size: is .* mm, which is no size of a pixel"):
        open_spots(str(cxi))


@pytest.mark.parametrize("name", ["wavelength", "energy"])
def test_an_nxmx_file_has_a_wavelength_for_each_image(cxi: Path, name: str):
    add_nxmx(cxi)
    wavelengths = np.array([1.3, 1.35, 1.4])
    with h5py.File(cxi, "a") as file:
        del file["entry/instrument/beam/incident_wavelength"]
        values = wavelengths if name == "wavelength" else 12398.42 / wavelengths
        file[f"entry/instrument/beam/incident_{name}"] = values[:, None]
        file[f"entry/instrument/beam/incident_{name}"].attrs["units"] = {"wavelength": "angstrom", "energy": "eV"}[name]
    (raw,) = open_spots(str(cxi)).read(np.arange(3))
    np.testing.assert_allclose(raw.peaks.wavelength, wavelengths)
