"""Readers of every format find all faults of a file or frame, not only the first, and name the place of each."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from ffbidx_core.errors import InputError
from ffbidx_core.read.files.inputs import Source
from ffbidx_core.read.geometry.any import parse_geometry, read_geometry
from ffbidx_core.read.inspection import inspect_spots
from tests.helpers.beamline import MADE_FOR_READING, geom_text, write_cxi
from tests.helpers.dials_files import columns, expt, packed, write_hdf5
from tests.read.formats.test_nxmx_files import add_nxmx
from tests.read.formats.test_streams import chunk, stream


def native(folder: Path) -> tuple[Path, str]:
    with h5py.File(folder / "spots.h5", "w") as file:
        file["spots"] = np.full((9, 3), 0.1)
        file["spots"].attrs["units"] = "furlong"
        file["offsets"] = [0, 4, 9]
        file["frame_id"] = ["one"]
        file["wavelength"] = [1.0]
        file["cells"] = np.stack([np.zeros((3, 3)), 9 * np.eye(3), np.full((3, 3), np.nan)])
    return folder / "spots.h5", ""


def cxi(folder: Path) -> tuple[Path, str]:
    path = write_cxi(folder / "run.cxi", MADE_FOR_READING, **{"/energy": [9500.0]})
    with h5py.File(path, "a") as file:
        file["short"] = [80.0, 80.0]
        del file["entry_1/result_1/peakYPosRaw"]
        del file["entry_1/result_1/peakTotalIntensity"]
        file["entry_1/result_1/peakYPosRaw"] = h5py.ExternalLink("other.h5", "/y")
        file["entry_1/result_1/peakTotalIntensity"] = np.zeros((3, 4, 2))
    return path, geom_text(clen="/short mm", beam="photon_energy = /nowhere eV\ndetector_shift_x = /x")


def events(folder: Path) -> tuple[Path, str]:
    with h5py.File(folder / "events.h5", "w") as file:
        file["entry/a/image"] = np.zeros(3)
    text = geom_text(beam="photon_energy = beam/energy\npeak_list = /entry/%/peaks\npeak_list_type = list3")
    text = text.replace("/entry_1/data_1/data", "/entry/%/data")
    return folder / "events.h5", "\n".join(line for line in text.splitlines() if not line.startswith("clen"))


def nxmx(folder: Path) -> tuple[Path, str]:
    path = add_nxmx(write_cxi(folder / "run.nxs", MADE_FOR_READING))
    with h5py.File(path, "a") as file:
        detector = file["entry/instrument/detector"]
        for name in ("distance", "y_pixel_size", "beam_center_x"):
            detector[name].attrs["units"] = "cubits"
        del file["entry_1/result_1/peakTotalIntensity"]
        file["entry_1/result_1/peakTotalIntensity"] = ["a", "b", "c"]
    return path, ""


def refl(folder: Path) -> tuple[Path, str]:
    pytest.importorskip("msgpack")
    table = columns(MADE_FOR_READING)
    n = len(table["id"])
    data = {"panel": ["std::size_t", [n, b"12345"]], "intensity.sum.value": ["words", [n, b""]]}
    (folder / "strong.refl").write_bytes(packed(table, data=data))
    return folder / "strong.refl", ""


def refl_hdf5(folder: Path) -> tuple[Path, str]:
    write_hdf5(folder / "strong.h5", columns(MADE_FOR_READING))
    with h5py.File(folder / "strong.h5", "a") as file:
        del file["dials/processing/group_0/panel"]
        del file["dials/processing/group_1/id"]
    return folder / "strong.h5", ""


def text(folder: Path) -> tuple[Path, str]:
    (folder / "spots.txt").write_text("0.1 0.2 0.3\n0.1 0.2\n0.3 0.2 0.1\n0.1 O.2 0.3\n")
    return folder / "spots.txt", ""


FAULTS = {
    native: (
        ("/spots", "furlong"), ("/cells", "cell 0"), ("/cells", "cell 2"), ("/frame_id", "1 name for 2 frames"),
        ("/wavelength", "1 number for 2 frames"),
    ),
    cxi: (
        ("/peakYPosRaw", "other.h5 (/y)"), ("/peakTotalIntensity", "(3, 4, 2)"), ("/nowhere", "missing"),
        ("/short", "2 numbers for 3 frames"), ("/x", "shift"),
    ),
    events: (("events.h5", "no distance"), ("events.h5", "no events")),
    nxmx: (
        ("/peakTotalIntensity", "(3,)"), ("/distance", "cubits"), ("/beam_center_x", "cubits"),
        ("/y_pixel_size", "cubits"),
    ),
    refl: (("strong.refl", "no column id"), ("panel", "as DIALS stores"), ("strong.refl", "xyzobs.px.value"),
        ("intensity.sum.value", "as DIALS stores")),
    refl_hdf5: (("group_0/panel", "missing"), ("group_1/id", "missing")),
    text: (("line 2", "here are 2"), ("line 4", "'O.2' is not a number")),
}  # fmt: skip
"""The place and some words of each fault of a file."""


@pytest.mark.parametrize("make", FAULTS, ids=lambda make: make.__name__)
def test_every_fault_of_a_file_is_found_at_once(tmp_path, make):
    path, geometry = make(tmp_path)
    with pytest.raises(InputError) as caught:
        inspect_spots([Source(str(path))], parse_geometry("det.geom", geometry) if geometry else None)
    faults = caught.value.faults
    assert len(faults) == len(FAULTS[make]), faults
    for fault, words in zip(faults, FAULTS[make], strict=True):
        assert all(word in fault for word in (path.name, *words)), fault
    # A run ends with one line, which says how many there are.
    assert "further" in str(caught.value)


def test_a_chunk_of_a_stream_has_all_its_faults_and_the_next_file_too(tmp_path):
    bad = chunk(1).replace("photon_energy_eV = 9500.0", "photon_energy_eV = x").replace(" upper\n", " lower\n", 1)
    (tmp_path / "run.stream").write_text(stream(chunk(0), bad.replace("Image filename", "Image file"), chunk(2)))
    path, _ = native(tmp_path)
    report = inspect_spots([Source(str(tmp_path / "run.stream")), Source(str(path))])
    assert (report.frames, report.bad_frames) == (4, 2)
    of_chunk = [problem for problem in report.problems if "frame 1:" in problem]
    assert len(of_chunk) == 3
    for problem, words in zip(of_chunk, ("Image filename", "'x' is not a number", "panel lower"), strict=True):
        assert words in problem
    assert sum("spots.h5" in problem for problem in report.problems) == len(FAULTS[native])


def test_xds_inp_names_every_keyword_that_it_lacks(tmp_path):
    (tmp_path / "XDS.INP").write_text("DETECTOR_DISTANCE= 80\nORGX= 1 ORGY= 2\nNX= 9 NY= 9\n")
    with pytest.raises(InputError) as caught:
        read_geometry(str(tmp_path / "XDS.INP"))
    assert [fault.split(": ")[1] for fault in caught.value.faults] == [
        "has no X-RAY_WAVELENGTH=", "has no QX=", "has no QY="
    ]  # fmt: skip


def test_an_experiment_list_names_every_experiment_and_model_that_is_wrong(tmp_path):
    content = expt(MADE_FOR_READING)
    content["experiment"][1]["beam"] = 7
    del content["experiment"][2]["detector"]
    content["beam"][0]["wavelength"] = "long"
    panels = content["detector"][0]["panels"]
    panels[1]["pixel_size"] = [0.1]
    del panels[2]["origin"]
    content["imageset"][2] = 3
    (tmp_path / "bad.expt").write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        read_geometry(str(tmp_path / "bad.expt"))
    wanted = (
        "experiment 1 (1): has the beam 7; the list has 1",
        "experiment 2 (2): has no detector",
        "beam 0 of experiment 0 (0): has a wrong wavelength: ['long'] is not 1 number",
        "panel 1 of detector 0 of experiment 0 (0): has a wrong pixel_size: [0.1] is not 2 numbers",
        "panel 2 of detector 0 of experiment 0 (0): has no origin",
        "imageset 2 of experiment 2 (2): is '3', not a model of dxtbx",
    )
    assert caught.value.faults == [f"{tmp_path}/bad.expt, {words}" for words in wanted]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (3, "without a list of experiments"),
        ([4], "experiment 0: is '4', not an experiment"),
        ([{"beam": 0, "detector": 0, "identifier": "a", "scan": 0}], "scan 0 of experiment 0 (a): has a wrong image"),
    ],
)
def test_an_experiment_list_of_another_form_is_named(tmp_path, rows, words):
    content = expt(MADE_FOR_READING) | {"experiment": rows, "scan": [{"image_range": [3]}]}
    (tmp_path / "bad.expt").write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        read_geometry(str(tmp_path / "bad.expt"))
    assert words in str(caught.value)


def test_text_of_which_no_line_is_a_spot_is_no_spot_file(tmp_path):
    (tmp_path / "Makefile").write_text("# a comment\nall:\n\tmake it\n" * 30)
    (tmp_path / "det.geom").write_text(geom_text())
    for name, words in (
        ("Makefile", "is no spot file, since no line is a spot; line 2: 'all:' is not a number: a spot file has a line "
                     "x y z (1/angstrom) for each spot"),
        ("det.geom", "is a CrystFEL geometry: name the files with the peaks, and give the geometry with -g"),
    ):  # fmt: skip
        with pytest.raises(InputError) as caught:
            inspect_spots([Source(str(tmp_path / name))])
        assert caught.value.faults == [f"{tmp_path}/{name}: {words}"]


def test_text_files_of_several_have_all_their_faults(tmp_path):
    paths = [text(tmp_path)[0], native(tmp_path)[0]]
    report = inspect_spots([Source(str(path)) for path in paths])
    assert [sum(path.name in problem for problem in report.problems) for path in paths] == [2, len(FAULTS[native])]


def test_a_right_file_has_no_faults(tmp_path):
    path = write_cxi(tmp_path / "run.cxi", MADE_FOR_READING)
    report = inspect_spots([Source(str(path))], parse_geometry("det.geom", geom_text()))
    assert report.problems == []
