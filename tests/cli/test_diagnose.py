"""`ffbidx diagnose`, and the diagnosis in the report."""

import contextlib
import json
import shlex
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from ffbidx_cli.main import main
from tests.helpers.calls import write_spots

TRUE = "79,79,38,90,90,90"
QUICK = ("--num-halfsphere-points", 8192, "--backend", "cpu", "-q")


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    """The folder of stills with a beam centre three pixels off, `s.h5`, and of their results, `run.h5`."""
    error = ("--beam-centre-error", 3, 0)
    with contextlib.chdir(tmp_path_factory.mktemp("shifted")):
        for words in (
            ("simulate", "-o", "s.h5", "--cell", TRUE, "--frames", 40, "--n-spots", 40, 80, *error),
            ("index", "s.h5", "--cell", TRUE, "-o", "run.h5", "--no-learn-beam", *QUICK),
        ):
            assert main([str(word) for word in words]) == 0
        return Path.cwd()


@pytest.fixture
def shifted(run, indexed):
    """The results of these stills in the current folder, beside their copy."""
    for name in ("s.h5", "run.h5"):
        shutil.copy(indexed / name, name)
    return "run.h5"


def test_in_words_and_as_json(run, shifted):
    ran = run("diagnose", shifted)
    assert ran.status == 0, ran.err
    assert "The beam centre is off by -3.0" in ran.out
    command = ran.out.splitlines()[0].removeprefix("Next: ")
    option = command.removeprefix("ffbidx index --config run.h5 ").removesuffix(" -o run.next.h5")
    values = json.loads(run("diagnose", shifted, "--json").out)
    assert values["advice"][0]["option"] == option
    assert values["words"] == ran.out.splitlines()
    assert values["setup"]["shift_x"]["value"] == pytest.approx(-3 * 0.075 / 200, abs=2e-5)
    # What it says next can be typed.
    again = run(*shlex.split(command)[1:])
    assert again.status == 0, again.err
    assert "The beam centre needs no correction" in run("diagnose", "run.next.h5").out
    with h5py.File("run.h5") as before, h5py.File("run.next.h5") as after:
        assert np.median(after["crystal/rmsd"]) < 0.8 * np.median(before["crystal/rmsd"])


def test_nothing_is_tried_unless_wanted(run, shifted):
    ran = run("diagnose", shifted, "--no-try")
    assert "not tested" in ran.out
    assert ran.out.splitlines()[0] == "Next: ffbidx diagnose run.h5"
    assert "--beam-centre" not in ran.out


def test_in_the_report(run, shifted):
    ran = run("report", shifted, "--png", "pictures")
    assert ran.status == 0, ran.err
    assert "The beam centre is off by -3.0" in ran.out
    page = Path("run.report.html").read_text()
    assert "The beam centre is off by -3.0" in page
    assert 'id="residuals"' in page
    assert Path("pictures/residuals.png").exists()
    ran = run("report", shifted, "--no-diagnose", "--overwrite")
    assert "beam centre" not in ran.out
    assert ran.out.startswith("Next: ffbidx diagnose run.h5\n")
    assert 'id="residuals"' not in Path("run.report.html").read_text()


def test_a_beam_shift_on_the_way_through_the_program(run, shifted):
    with h5py.File("s.h5") as source, h5py.File("bare.h5", "w") as target:
        target["spots"], target["offsets"] = source["spots"][()], source["offsets"][()]
    shift = ("--beam-shift", -1.125, 0)
    assert run("index", "bare.h5", "--cell", TRUE, "-o", "moved.h5", "--keep-spots", *shift, *QUICK).status == 0
    assert "The beam centre needs no correction" in run("diagnose", "moved.h5").out
    with h5py.File("moved.h5") as file:
        assert file.attrs["geometry"] == "; beam shift in mrad: -1.125 0.0\n"
        kept, crystal = file["spot/xyz"][()], file["spot/crystal"][()]
        cells, hkl = file["cells"][:][file["crystals"][:]], file["spot/hkl"][()]
        # The spots that are kept, and those that are read again, are those that were indexed.
        mine = crystal >= 0
        predicted = np.einsum("ni,nij->nj", hkl[mine], np.linalg.inv(cells[crystal[mine]]).transpose(0, 2, 1))
        off = np.linalg.norm(kept[mine] - predicted, axis=1)
        n_indexed, rmsd = file["crystal/n_indexed"][:], file["crystal/rmsd"][:]
    assert mine.sum() == n_indexed.sum()
    assert (off**2).sum() == pytest.approx((rmsd**2 * n_indexed).sum(), rel=1e-3)
    assert run("show", "moved.h5", 0).status == 0
    assert run("convert", "bare.h5", "-o", "shifted.h5", *shift).status == 0
    with h5py.File("shifted.h5") as file:
        np.testing.assert_allclose(file["spots"][()], kept, atol=1e-6)
        assert "pixel" not in file
    assert run("convert", "s.h5", "-o", "with-pixels.h5", *shift).status == 0
    with h5py.File("with-pixels.h5") as file:
        assert len(file["pixel"]) == len(file["spots"])
        np.testing.assert_allclose(file["spots"][()], kept, atol=1e-6)
    assert run("convert", "moved.h5", "-o", "run.stream").is_one_line_error(2, "pixels")
    ran = run("index", "bare.h5", "--cell", TRUE, "-o", "far.h5", "--beam-shift", 500, 0)
    assert ran.is_one_line_error(2, "--beam-shift", "200")
    centre = ("--beam-centre", 100, 100)
    assert run("index", "s.h5", "--cell", TRUE, "-o", "far.h5", *shift, *centre).is_one_line_error(2, "--beam-centre")


@pytest.mark.parametrize("own", [True, False])
def test_outputs_have_the_beam_where_the_run_moved_it(run, shifted, own):
    geometry = ()
    if not own:
        with h5py.File("s.h5") as file:
            Path("given.geom").write_text(file.attrs["geometry"])
        geometry = ("-g", "given.geom")
    outputs = ("-o", "moved.h5", "-o", "moved.stream", "-o", "moved.csv")
    assert run("index", "s.h5", "--cell", TRUE, *geometry, *outputs, *QUICK).status == 0
    before = Path("moved.stream").read_bytes()
    assert run("convert", "moved.h5", "-o", "moved.stream", "--overwrite").status == 0
    assert Path("moved.stream").read_bytes() == before
    corner = float(before.partition(b"p0/corner_x = ")[2].split()[0])
    with h5py.File("s.h5") as file:
        taken = float(file.attrs["geometry"].partition("corner_x = ")[2].split()[0])
    # The beam is three pixels to the left, the corner to the right of where they were taken to be.
    assert corner - taken == pytest.approx(3, abs=0.1)
    assert run("index", "moved.stream", "--cell", TRUE, "-o", "again.h5", *QUICK).status == 0
    with h5py.File("moved.h5") as first, h5py.File("again.h5") as second:
        assert second.attrs["geometry"] == ""
        a, b = (file["cells"][:][file["crystals"][:]] for file in (first, second))
    # A stream has pixels with three decimals.
    np.testing.assert_allclose(a, b, atol=0.02)


def test_what_cannot_be_diagnosed(run, shifted):
    assert run("diagnose", "s.h5").is_one_line_error(2, "s.h5", "not a results file")
    assert run("diagnose", "none.h5").is_one_line_error(2, "none.h5")
    Path("s.h5").unlink()
    ran = run("diagnose", shifted)
    assert ran.status == 0
    assert "no longer there" in ran.out


def test_without_the_spots_it_still_begins_with_a_command(run, shifted):
    Path("s.h5").rename("moved.h5")
    ran = run("diagnose", shifted)
    first, *others = ran.out.splitlines()
    assert first in ("Next: ffbidx table run.h5 --failed", "Next: ffbidx convert run.h5 -o run.csv")
    assert any("s.h5: is no longer there" in line for line in others)
    assert run(*shlex.split(first)[2:]).status == 0
    Path("s.h5").write_bytes(Path("moved.h5").read_bytes() + b"more")
    first = run("diagnose", shifted).out.splitlines()[0]
    assert first == "Next: ffbidx index --config run.h5 --keep-spots -o run.next.h5"


def test_frames_with_too_few_spots_are_named_as_such(run, index):
    write_spots("few.h5", [np.zeros((0, 3)), np.array([[0.1, 0.1, 0.0]])])
    assert index("few.h5", "-o", "few.ffbidx.h5").status == 0
    out = run("diagnose", "few.ffbidx.h5").out
    assert out.startswith("Next: ffbidx show few.ffbidx.h5\nMost frames have too few spots to be searched")
    assert "Ewald" not in out
