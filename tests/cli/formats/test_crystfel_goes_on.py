"""What `indexamajig` goes on with: the geometry of a run, its .sol file, and names that both find again."""

import re

import h5py
import numpy as np
import pytest

from ffbidx_core.read.geometry.any import parse_geometry
from ffbidx_core.write.formats.sol import check_name
from tests.helpers.beamline import geom_text, stills, write_cxi
from tests.helpers.calls import CELL_LINE

MADE = stills(4)
QUICK = ("--num-halfsphere-points", 8192, "--learn-cell", 0, "--judge-frames", 0)
USERS = "; a comment of the user\nadu_per_eV = 0.00105\nmask_file = mask.h5\n" + geom_text().replace(
    "clen = ", "clen  = "
)
PARAMETERS = "31,42,53,90,103,90"


@pytest.fixture
def route(run, tmp_path):
    """Index simulated peaks with the user's geometry and the options given."""
    write_cxi(tmp_path / "run.cxi", MADE)
    (tmp_path / "det.geom").write_text(USERS)
    return lambda *more, image="run.cxi": run("index", image, "-g", "det.geom", "--cell", PARAMETERS, *QUICK, *more)


def changed_lines(text):
    """Keys of the lines that are others than the user's, in the order of the file."""
    ours, users = text.splitlines(), USERS.splitlines()
    assert len(ours) == len(users)
    return [line.partition("=")[0].strip() for line, old in zip(ours, users, strict=True) if line != old]


def test_the_geometry_of_a_run_is_the_users_text(route, tmp_path):
    assert route("-o", "run.geom").status == 0
    assert (tmp_path / "run.geom").read_text() == USERS


def test_of_a_moved_beam_only_the_corners_are_others(route, tmp_path):
    ran = route("--beam-centre", 90.5, 61.25, "-o", "run.sol", "-o", "run.geom", "-o", "run.h5", "-o", "run.stream")
    assert ran.status == 0, ran.err
    assert "indexamajig needs the geometry" not in ran.err
    text = (tmp_path / "run.geom").read_text()
    assert {re.sub(".*/", "", key) for key in changed_lines(text)} == {"corner_x", "corner_y"}
    before, after = (parse_geometry("x", each).detector.panels for each in (USERS, text))
    by = np.array([np.subtract(b.corner, a.corner) for a, b in zip(before, after, strict=True)])
    np.testing.assert_allclose(by, by[:1].repeat(len(by), 0), atol=1e-6)
    assert np.abs(by[0, :2]).min() > 0.01
    assert text.rstrip() in (tmp_path / "run.stream").read_text()


def test_the_geometry_is_also_made_of_the_results(route, run, tmp_path):
    route("--beam-centre", 90.5, 61.25, "-o", "run.h5", "-o", "run.geom")
    assert run("convert", "run.h5", "-o", "again.geom").status == 0
    assert (tmp_path / "again.geom").read_text() == (tmp_path / "run.geom").read_text()


def test_the_geometry_indexes_as_the_options_do(route, run, tmp_path):
    options = ("--beam-centre", 90.5, 61.25, "--distance", 101.5, "--wavelength", 1.31)
    keeping = ("--accept", "count", "--method", "raw", "--keep", "all")
    route(*options, *keeping, "-o", "a.h5", "-o", "run.geom")
    ran = run("index", "run.cxi", "-g", "run.geom", "--cell", PARAMETERS, *QUICK, *keeping, "-o", "b.h5")
    assert ran.status == 0, ran.err
    with h5py.File(tmp_path / "a.h5") as a, h5py.File(tmp_path / "b.h5") as b:
        assert len(a["cells"]) > 0
        np.testing.assert_array_equal(a["cells"], b["cells"])


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (("--distance", 101.5), {"clen"}),
        (("--wavelength", 1.305), {"photon_energy"}),
    ],
)
def test_distance_and_wavelength_change_their_own_line(route, tmp_path, options, changed):
    ran = route(*options, "-o", "run.geom", "-o", "run.sol")
    assert ran.status == 0, ran.err
    text = (tmp_path / "run.geom").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("; the wavelength was given")]
    others = [old for line, old in zip(lines, USERS.splitlines(), strict=True) if line != old]
    assert {line.partition("=")[0].strip() for line in others} == changed
    made = parse_geometry("x", text)
    if changed == {"clen"}:
        assert made.distance.value is not None
    else:
        assert made.wavelength.angstrom == pytest.approx(1.305)


def test_a_sol_file_alone_says_that_the_geometry_is_needed(route):
    assert "-o FILE.geom writes it" in route("--beam-centre", 90.5, 61.25, "-o", "a.sol").err
    assert "FILE.geom" not in route("-o", "b.sol").err


def test_every_geometry_in_a_stream_says_what_a_photon_counts(run, route, tmp_path):
    (tmp_path / "det.geom").write_text(geom_text())
    (tmp_path / "x.txt").write_text(CELL_LINE)
    assert route("-o", "plain.stream").status == 0
    assert route("--beam-centre", 90.5, 61.25, "-o", "moved.stream", "-o", "moved.geom").status == 0
    for name in ("plain.stream", "moved.stream", "moved.geom"):
        assert (tmp_path / name).read_text().count("adu_per_photon = 1\n") == 1
    assert run("simulate", "-o", "s.h5", "--cell", PARAMETERS, "--frames", 2).status == 0
    assert run("index", "s.h5", "--cell", PARAMETERS, *QUICK, "-o", "s.stream").status == 0
    assert (tmp_path / "s.stream").read_text().count("adu_per_photon = 1\n") == 1


@pytest.mark.parametrize("name", ["my run.cxi", "a,b run,x.cxi", "tab\there.cxi"])
def test_blanks_in_the_names_of_images_are_taken(route, tmp_path, name):
    (tmp_path / "run.cxi").rename(tmp_path / name)
    ran = route("-o", "run.sol", image=name)
    assert ran.status == 0, ran.err
    lines = (tmp_path / "run.sol").read_text().splitlines()
    assert len(lines) == 4
    # CrystFEL counts the blanks from the end.
    assert [line.rsplit(maxsplit=13)[0] for line in lines] == [name] * 4


def test_names_that_no_sol_file_can_hold_are_refused_before_the_run(route, tmp_path):
    (tmp_path / "run.cxi").rename(tmp_path / "two\nlines.cxi")
    ran = route("-o", "run.sol", "-o", "run.h5", image="two\nlines.cxi")
    assert (ran.status, ran.err.splitlines()[-1].count("line ends")) == (2, 1)
    assert not (tmp_path / "run.h5").exists()


@pytest.mark.parametrize("event", ["a b//3", "a,b//3", "a\tb//3", "a\nb//3"])
def test_events_that_crystfel_would_divide_are_refused(event):
    with pytest.raises(Exception, match="names of events with blanks or commas"):
        check_name("run.cxi", event)
    check_name("run, with blanks.cxi", "shot1/x//3")
