"""`ffbidx inspect` of a geometry file."""

import json

import pytest

from tests.helpers.beamline import DISTANCE, ENERGY, MADE_FOR_READING, PANELS, WAVELENGTH, geom_text, write_cxi
from tests.helpers.dials_files import expt
from tests.read.formats.test_streams import chunk, stream


def written(folder, name):
    """The name of a geometry file, and its format, distance and wavelength as they are shown."""
    texts = {
        "det.geom": geom_text(),
        "frames.geom": geom_text(clen="/LCLS/clen mm", beam="photon_energy = /LCLS/energy eV"),
        "imported.expt": json.dumps(expt(MADE_FOR_READING)),
        "XDS.INP": f"NX= 9 NY= 9 QX= 1 QY= 1\nORGX= 5 ORGY= 5 DETECTOR_DISTANCE= {DISTANCE}\n"
        f"X-RAY_WAVELENGTH= {12398.42 / ENERGY}\n",
    }
    (folder / name).write_text(texts[name])
    return name


@pytest.mark.parametrize(
    ("name", "kind", "panels", "distance", "wavelength"),
    [
        ("det.geom", "CrystFEL geometry", 3, "84.275 mm", f"{WAVELENGTH:.5f} A"),
        ("frames.geom", "CrystFEL geometry", 3, "in /LCLS/clen (mm)", "in /LCLS/energy (eV)"),
        ("imported.expt", "DIALS experiment list", len(PANELS), "84.275 mm", f"{WAVELENGTH:.5f} A"),
        ("XDS.INP", "XDS geometry", 1, "80.000 mm", f"{WAVELENGTH:.5f} A"),
    ],
)
def test_a_geometry_is_summarised(run, tmp_path, name, kind, panels, distance, wavelength):
    ran = run("inspect", written(tmp_path, name), "--json")
    assert ran.status == 0, ran.err
    assert json.loads(ran.out) == {
        "format": kind, "panels": panels, "detectors": 1, "wavelength": wavelength, "distance": distance,
        "problems": [],
    }  # fmt: skip
    shown = run("inspect", name).out
    assert all(words in shown for words in (kind, distance, wavelength))


def test_its_faults_are_listed_and_its_notes_shown(run, tmp_path):
    (tmp_path / "bad.geom").write_text(geom_text(clen="1 furlong", beam="photon_energy = 9 parsec"))
    ran = run("inspect", "bad.geom")
    assert ran.status == 2
    assert ran.err.count("\n") == 2
    assert "'furlong'" in ran.err
    assert "'parsec'" in ran.err
    (tmp_path / "good.geom").write_text(geom_text() + "nothing = 3\n")
    assert "nothing is not a key of a geometry, the line has no effect" in run("inspect", "good.geom").out


def test_spot_files_with_a_geometry_inside_are_spot_files(run, tmp_path):
    (tmp_path / "det.geom").write_text(geom_text())
    write_cxi(tmp_path / "run.cxi", MADE_FOR_READING)
    assert run("convert", "run.cxi", "-g", "det.geom", "-o", "spots.h5").status == 0
    (tmp_path / "run.stream").write_text(stream(chunk(0)))
    for name, frames in (("spots.h5", 3), ("run.stream", 1)):
        assert json.loads(run("inspect", name, "--json").out)["frames"] == frames
