"""--keep-spots: results that need no inputs any more."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.helpers.beamline import MADE_FOR_READING as MADE
from tests.helpers.beamline import geom_text, stills, write_cxi
from tests.helpers.calls import QUICK
from tests.helpers.runs.dials import spots_of

MONO = "31,42,53,90,103,90"


@pytest.fixture
def kept(run, tmp_path):
    (tmp_path / "det.geom").write_text(geom_text())
    write_cxi(tmp_path / "run.cxi", MADE)
    index = ("index", "run.cxi", "-g", "det.geom", "--cell", MONO, *QUICK)
    ran = run(*index, "-o", "run.h5", "--keep-spots", "-o", "run.stream", "-o", "run.refl")
    assert ran.status == 0, ran.err
    (tmp_path / "run.cxi").unlink()
    return "run.h5"


def test_spots_with_their_crystals_and_indices(kept):
    with h5py.File(kept) as file:
        offsets, crystal, hkl, xyz = (file[f"spot/{name}"][()] for name in ("offsets", "crystal", "hkl", "xyz"))
        cells, begin = file["cells"][()][file["crystals"][()]], file["crystal_offsets"][()]
        n_indexed = file["crystal/n_indexed"][()]
    assert np.diff(offsets).tolist() == [len(peaks) for peaks in MADE.peaks]
    for f in range(3):
        mine = slice(offsets[f], offsets[f + 1])
        assert set(crystal[mine].tolist()) <= {-1, *range(begin[f], begin[f + 1])}
    for k, cell in enumerate(cells):
        assert (crystal == k).sum() == n_indexed[k]
        np.testing.assert_array_equal(hkl[crystal == k], np.rint(xyz[crystal == k] @ cell.T))
    assert not hkl[crystal == -1].any()


@pytest.mark.parametrize("suffix", [".stream", ".refl"])
def test_outputs_without_the_inputs(run, kept, tmp_path, suffix):
    assert run("convert", kept, "-o", f"later{suffix}").status == 0
    later, first = ((tmp_path / f"{stem}{suffix}").read_bytes() for stem in ("later", "run"))
    if suffix == ".stream":
        assert later == first
    else:
        # Spots are kept as float32.
        assert len(later) == len(first)


def test_what_merge_does_not_take_over_is_noted(run, kept):
    ran = run("merge", kept, "-o", "joined.h5")
    assert ran.status == 0, ran.err
    assert ran.err.splitlines()[1].startswith("note: the spots kept in 1 file are not taken over: ")
    assert run("merge", "joined.h5", "-o", "again.h5").err == "complete results of 1 file: again.h5\n"


def test_another_geometry_needs_the_inputs(run, kept):
    assert run("convert", kept, "-g", "det.geom", "-o", "x.stream").is_one_line_error(2, "run.cxi", "no longer there")


def test_spots_without_pixels_among_files_that_cannot_be_read(run, spots_file, cell_file, tmp_path):
    (tmp_path / "words.txt").write_text("words\n")
    options = ("--cell", cell_file, *QUICK, "--keep-spots", "-o", "x.h5")
    assert run("index", "words.txt", spots_file, *options).status == 3
    with h5py.File("x.h5") as file:
        assert "pixel" not in file["spot"]
        assert np.diff(file["spot/offsets"][()])[0] == 0
        found = file["spot/xyz"][()]
    with h5py.File(spots_file) as file:
        np.testing.assert_array_equal(found, file["spots"][()])
    assert run("convert", "x.h5", "-o", "x.stream").is_one_line_error(2, "-g")


def test_there_must_be_a_results_file(run, spots_file, cell_file):
    ran = run("index", spots_file, "--cell", cell_file, *QUICK, "--keep-spots", "-o", "x.tsv")
    assert ran.is_one_line_error(2, "--keep-spots")


def test_each_of_several_geometries_stays_with_its_frames(run, tmp_path):
    streams = ""
    for name, distance in (("a", 80), ("b", 90)):
        (tmp_path / f"{name}.geom").write_text(geom_text(clen=f"{distance} mm"))
        write_cxi(tmp_path / f"{name}.cxi", stills(2, seed=distance, distance=distance))
        ran = run("index", f"{name}.cxi", "-g", f"{name}.geom", "--cell", MONO, *QUICK, "-o", f"{name}.stream")
        assert ran.status == 0, ran.err
        streams += (tmp_path / f"{name}.stream").read_text()
    (tmp_path / "both.stream").write_text(streams)
    outputs = ("-o", "run.stream", "-o", "run.expt", "-o", "run.h5", "--keep-spots")
    assert run("index", "both.stream", "--cell", MONO, *QUICK, *outputs).status == 0
    (tmp_path / "both.stream").unlink()
    with h5py.File("run.h5") as file:
        assert file["spot/geometry"][()].tolist() == [0, 0, 1, 1]
        assert ["clen = 90 mm" in text for text in file["spot/geometries"].asstr()[()]] == [False, True]
        np.testing.assert_allclose(file["spot/distance"], [80, 80, 90, 90], atol=1e-3)
    assert run("convert", "run.h5", "-o", "later.stream", "-o", "later.expt").status == 0
    assert (tmp_path / "later.expt").read_bytes() == (tmp_path / "run.expt").read_bytes()
    assert len(json.loads((tmp_path / "run.expt").read_text())["detector"]) == 2
    # Spots are kept as float32.
    (later, pixels), (first, same_pixels) = (spots_of(f"{stem}.stream", None) for stem in ("later", "run"))
    np.testing.assert_allclose(later, first, atol=1e-6)
    np.testing.assert_array_equal(pixels, same_pixels)


def test_a_run_that_is_complete_keeps_them_once(run, spots_file, cell_file):
    words = ("index", spots_file, "--cell", cell_file, *QUICK, "--keep-spots", "-o", "x.h5", "--resume")
    assert run(*words).status == 0
    first = Path("x.h5").read_bytes()
    assert run(*words).status == 0
    assert Path("x.h5").read_bytes() == first
