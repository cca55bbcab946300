"""From peaks and a geometry to streams and solution files, read back by other programs' readers."""

import re
import warnings

import CFstreamparser
import h5py
import numpy as np
import pytest
from cfel_fmt import crystfel_stream

from ffbidx_core import read_results
from ffbidx_core.model.detector.beam import offset_along_beam
from ffbidx_core.read.geometry.any import parse_geometry
from tests.helpers.beamline import ENERGY, PANELS, geom_text, same_orientation, stills, write_cxi
from tests.helpers.frames import OPERATORS

MADE = stills(4)
QUICK = ("--num-halfsphere-points", 8192, "--learn-cell", 0)


@pytest.fixture
def route(run, tmp_path):
    """Index simulated peaks with `ffbidx index` and the options given."""
    write_cxi(tmp_path / "run.cxi", MADE)
    (tmp_path / "det.geom").write_text(geom_text())
    (tmp_path / "mono.cell").write_text(
        "CrystFEL unit cell file version 1.0\n\nlattice_type = monoclinic\ncentering = P\nunique_axis = b\n"
        "a = 31 A\nb = 42 A\nc = 53 A\nal = 90 deg\nbe = 103 deg\nga = 90 deg\n"
    )
    return lambda *more: run("index", "run.cxi", "-g", "det.geom", "--cell", "mono.cell", *QUICK, *more)


def cell_of_stars(stars):
    # One of the readers takes the -1 of nm^-1 for a fourth number.
    return np.linalg.inv(np.array([star[:3] for star in stars]) / 10).T


def test_the_detector_is_as_asymmetric_as_it_should_be():
    for peaks in MADE.peaks:
        assert len(peaks) > 50
        assert set(peaks[:, 2]) == {0, 1, 2}


def test_a_stream_for_other_programs(route, tmp_path):
    ran = route("-o", "run.stream")
    assert ran.status == 0, ran.err
    stream = CFstreamparser.parse_stream_file(str(tmp_path / "run.stream"))
    assert len(stream.chunks) == 4
    assert float(stream.geometry.params["upper/min_fs"]) == 0
    assert (stream.unit_cell.lattice_type, stream.unit_cell.unique_axis) == ("monoclinic", "b")
    for number, chunk in enumerate(stream.chunks):
        assert (chunk.filename, chunk.event, chunk.serial) == ("run.cxi", number, number + 1)
        assert (chunk.hit, chunk.indexed_by) == (True, "ffbidx")
        assert chunk.photon_energy_eV == pytest.approx(ENERGY)
        np.testing.assert_allclose([[p.fs_px, p.ss_px] for p in chunk.peaks], MADE.peaks[number][:, :2], atol=2e-3)
        np.testing.assert_allclose([p.intensity for p in chunk.peaks], MADE.intensity[number], atol=0.01)
        assert [p.panel for p in chunk.peaks] == [PANELS[int(i)].name for i in MADE.peaks[number][:, 2]]
        (crystal,) = chunk.crystals
        cell = cell_of_stars([crystal.astar, crystal.bstar, crystal.cstar])
        assert same_orientation(cell, MADE.cells[number], OPERATORS)
        assert (crystal.lattice_type, crystal.centering, crystal.unique_axis) == ("monoclinic", "P", "b")
        np.testing.assert_allclose(crystal.cell, (3.1, 4.2, 5.3, 90, 103, 90), rtol=5e-3)
        assert 0 < crystal.profile_radius < 0.026


def test_a_second_reader_finds_the_same(route, tmp_path):
    assert route("-o", "run.stream").status == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chunks = list(crystfel_stream.parse_chunks(str(tmp_path / "run.stream"), peak_tbl=False, refl_tbl=False))
    for chunk, truth in zip(chunks, MADE.cells, strict=True):
        (crystal,) = chunk["crystals"]
        assert same_orientation(cell_of_stars([crystal[f"{x}star"] for x in "abc"]), truth, OPERATORS)
        np.testing.assert_allclose(crystal["Cell parameters/angles"], (90, 103, 90), atol=0.5)


def limits_of(stream):
    """The limits in nm^-1 and in A of a stream's crystals, (k, 2)."""
    found = re.findall(r"diffraction_resolution_limit = (\S+) nm\^-1 or (\S+) A", stream.read_text())
    return np.array(found, dtype=float)


def test_the_limit_of_a_crystal_is_its_resolution(route, run, tmp_path):
    assert route("-o", "run.h5", "-o", "run.stream").status == 0
    limits, resolution = limits_of(tmp_path / "run.stream"), read_results(tmp_path / "run.h5").resolution
    np.testing.assert_allclose(limits[:, 1], resolution, atol=1e-6)
    np.testing.assert_allclose(limits.prod(axis=1), 10, rtol=1e-5)
    # Results of a program that did not measure it: the farthest of the crystal's spots.
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        del file["crystal/resolution"]
    assert run("convert", "run.h5", "-o", "old.stream").status == 0
    assert (limits_of(tmp_path / "old.stream")[:, 0] > limits[:, 0]).all()


def test_a_solution_file(route, tmp_path):
    assert route("-o", "run.sol").status == 0
    lines = (tmp_path / "run.sol").read_text().splitlines()
    for number, line in enumerate(lines):
        words = line.split()
        assert len(words) == 14
        assert words[:2] == ["run.cxi", f"//{number}"]
        assert words[11:] == ["0.0", "0.0", "mPb"]
        stars = np.array(words[2:11], float).reshape(3, 3)
        assert same_orientation(cell_of_stars(stars), MADE.cells[number], OPERATORS)
    assert len(lines) == 4


def test_several_outputs_at_once(route, tmp_path):
    ran = route("-o", "a.h5", "-o", "b.stream", "-o", "c.sol", "-o", "d.csv", "-o", "e.tsv")
    assert ran.status == 0, ran.err
    found = read_results(tmp_path / "a.h5")
    assert found.header.geometry == geom_text()
    assert found.header.half_pixel_shift == "yes"
    assert found.header.lattices == "mPb"
    rows = np.genfromtxt(tmp_path / "d.csv", delimiter=",", names=True, dtype=None)
    np.testing.assert_allclose(rows["ax"], found.cells[found.crystals][:, 0, 0], rtol=1e-5)
    assert (tmp_path / "e.tsv").read_text().count("\n") == 5


def test_a_list_for_each_event(run, tmp_path):
    """CrystFEL's % in paths: names of events and images in the stream are those that CrystFEL gives them."""
    with h5py.File(tmp_path / "run.h5", "w") as file:
        for number, (peaks, intensity) in enumerate(zip(MADE.peaks, MADE.intensity, strict=True)):
            file[f"shot{number}/peaks"] = np.column_stack([peaks[:, :2] - 0.5, intensity])
    text = geom_text().replace("data = /entry_1/data_1/data", "data = /%/image\npeak_list = /%/peaks")
    (tmp_path / "det.geom").write_text(text.replace("dim0 = %\ndim1 = ss\ndim2 = fs", "dim0 = ss\ndim1 = fs"))
    ran = run("index", "run.h5", "-g", "det.geom", "--cell", "31,42,53,90,103,90", *QUICK, "-o", "a.stream",
              "-o", "a.sol", "-o", "a.h5")  # fmt: skip
    assert ran.status == 0, ran.err
    # The other reader takes numbers for events only.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chunks = list(crystfel_stream.parse_chunks(str(tmp_path / "a.stream"), peak_tbl=False, refl_tbl=False))
    lines = (tmp_path / "a.sol").read_text().splitlines()
    for number, (chunk, line, truth) in enumerate(zip(chunks, lines, MADE.cells, strict=True)):
        assert line.split()[:2] == ["run.h5", f"shot{number}//"]
        (crystal,) = chunk["crystals"]
        assert same_orientation(cell_of_stars([crystal[f"{x}star"] for x in "abc"]), truth, OPERATORS)
    assert (tmp_path / "a.stream").read_text().count("Image filename: run.h5\nEvent: shot2//\n") == 1
    assert run("convert", "a.h5", "-o", "b.stream").status == 0
    assert (tmp_path / "a.stream").read_bytes() == (tmp_path / "b.stream").read_bytes()
    shown = run("inspect", "run.h5", "-g", "det.geom", "--json").summary
    assert (shown["formats"], shown["frames"]) == (["peak lists of events"], 4)
    assert run("index", "run.h5", "--cell", "31,42,53,90,103,90").is_one_line_error(2, "run.h5")


@pytest.mark.parametrize("option", ["--half-pixel-shift", "--no-half-pixel-shift"])
def test_the_half_pixel_is_recorded(route, tmp_path, option):
    assert route(option, "-o", "run.h5", "-o", "run.stream").status == 0
    shifted = option == "--half-pixel-shift"
    assert read_results(tmp_path / "run.h5").header.half_pixel_shift == ("yes" if shifted else "no")
    peak = CFstreamparser.parse_stream_file(str(tmp_path / "run.stream")).chunks[0].peaks[0]
    assert peak.fs_px == pytest.approx(MADE.peaks[0][0, 0] - (0 if shifted else 0.5), abs=2e-3)


def test_wavelength_and_distance_of_each_frame(route, run, tmp_path):
    made = stills(2, seed=3, wavelength=1.1, distance=95.0)
    energies = np.array([ENERGY, 12398.42 / 1.1])
    mixed = type(made)(
        [MADE.cells[0], made.cells[1]], [MADE.peaks[0], made.peaks[1]], [MADE.intensity[0], made.intensity[1]]
    )
    write_cxi(tmp_path / "run.cxi", mixed, **{"/LCLS/energy": energies, "/LCLS/clen": np.array([80.0, 95.0])})
    (tmp_path / "det.geom").write_text(geom_text("/LCLS/clen", "photon_energy = /LCLS/energy eV"))
    assert route("-o", "run.stream").status == 0
    chunks = CFstreamparser.parse_stream_file(str(tmp_path / "run.stream")).chunks
    for chunk, truth, energy in zip(chunks, mixed.cells, energies, strict=True):
        assert chunk.photon_energy_eV == pytest.approx(energy)
        (crystal,) = chunk.crystals
        assert same_orientation(cell_of_stars([crystal.astar, crystal.bstar, crystal.cstar]), truth, OPERATORS)


def test_options_take_the_place_of_the_geometrys_numbers(route, tmp_path):
    (tmp_path / "det.geom").write_text(geom_text("0.5 m", "photon_energy = 5000 eV"))
    # The distance of the detector has the offset of the panel in it that the beam passes by.
    distance = 80 + offset_along_beam(parse_geometry("x", geom_text()).detector)
    assert route("--distance", distance, "--wavelength", 12398.42 / ENERGY, "-o", "run.stream").status == 0
    stream = CFstreamparser.parse_stream_file(str(tmp_path / "run.stream"))
    assert float(stream.geometry.params["clen"].removesuffix(" mm")) == pytest.approx(80)
    (crystal,) = stream.chunks[0].crystals
    assert same_orientation(cell_of_stars([crystal.astar, crystal.bstar, crystal.cstar]), MADE.cells[0], OPERATORS)


def test_a_mirrored_detector_gives_no_such_crystals(route, tmp_path):
    """The picture turned round x on one panel: what is left of the crystals is worse, so the axes do matter."""
    lines = [line.replace("upper/fs = +", "upper/fs = -") for line in geom_text().splitlines()]
    assert lines != geom_text().splitlines()
    (tmp_path / "det.geom").write_text("\n".join(lines))
    assert route("-o", "run.h5").status == 0
    found = read_results(tmp_path / "run.h5")
    for k, f in enumerate(found.frame_of_crystal):
        assert found.n_indexed[k] < 0.9 * len(MADE.peaks[f])


def test_peaks_without_a_geometry(run, route):
    assert run("index", "run.cxi", "--cell", "mono.cell").is_one_line_error(2, "run.cxi", "-g")
    assert run("index", "run.cxi", "--cell", "mono.cell", "--distance", 5).is_one_line_error(2, "-g")


def test_a_stream_of_spots_without_pixels(run, route, text_file):
    assert run("index", text_file, "--cell", "mono.cell", "-o", "x.stream").is_one_line_error(2, "frame.txt", "-g")


def test_a_further_input_without_pixels_is_refused_before_the_run(run, route, text_file, tmp_path):
    # The CXI file has 4 frames, and the text file is the fifth.
    given = ("index", "run.cxi", text_file, "-g", "det.geom", "--cell", "mono.cell", *QUICK)
    for more in ((), ("--max-frames", 5), ("--every", 2), ("--shard", "2/2")):
        assert run(*given, *more, "-o", "x.h5", "-o", "x.stream").is_one_line_error(2, "frame.txt", "no pixels")
        assert not list(tmp_path.glob("x.*"))
    for more in (("--max-frames", 4), ("--every", 3), ("--shard", "1/2")):
        assert run(*given, *more, "--overwrite", "-o", "x.h5", "-o", "x.stream").status == 0


def test_names_and_formats(run, route, tmp_path):
    assert route("--format", "stream", "-o", "anything").status == 0
    assert (tmp_path / "anything").read_text().startswith("CrystFEL stream format 2.3\n")
    assert route("--format", "mtz", "-o", "x").is_one_line_error(2, "--format")
    assert route("-o", "x.sol", "-o", "x.sol").is_one_line_error(2, "-o")


def test_a_beam_centre_by_hand(route, tmp_path):
    """A geometry that is off by many pixels across the beam, and where the beam really meets its first panel."""
    panel = PANELS[0]
    fs, ss, _ = np.linalg.solve(np.column_stack([panel.fast, panel.slow, [0, 0, 1]]), -panel.corner)
    lines = [line for line in geom_text().splitlines() if "corner" not in line]
    for number, each in enumerate(PANELS):
        for axis, shift in enumerate((7.0, -11.0)):
            lines.append(f"{PANELS[number].name}/corner_{'xy'[axis]} = {(each.corner[axis] + shift) / 0.2}")
    (tmp_path / "det.geom").write_text("\n".join(lines))
    assert route("--beam-centre", fs, ss, "-o", "run.stream").status == 0
    chunks = CFstreamparser.parse_stream_file(str(tmp_path / "run.stream")).chunks
    for chunk, truth in zip(chunks, MADE.cells, strict=True):
        (crystal,) = chunk.crystals
        assert same_orientation(cell_of_stars([crystal.astar, crystal.bstar, crystal.cstar]), truth, OPERATORS)
