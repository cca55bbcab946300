"""DIALS reads what is written for it, and writes what is read; skipped where there is no DIALS."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from ffbidx_core import read_results
from tests.cli.formats.test_dials_several_detectors import several
from tests.helpers.beamline import MADE_FOR_READING as MADE
from tests.helpers.beamline import PANELS, geom_text, same_orientation, write_cxi
from tests.helpers.calls import QUICK
from tests.helpers.dials_files import SENSOR, TURN, behind_the_front, columns, expt, packed, write_dials
from tests.helpers.frames import OPERATORS
from tests.helpers.published.dials_itself import dials_python

MONO = "31,42,53,90,103,90"
READ = """
import json
import pathlib
from dxtbx.model.experiment_list import ExperimentListFactory
from dials.array_family import flex

experiments = ExperimentListFactory.from_json_file("run.expt", check_format=False)
try:
    table = flex.reflection_table.from_file("run.refl")
except Exception:
    # DIALS 3.12 knows version 1 only, which has the same layout for all columns that are there.
    data = pathlib.Path("run.refl").read_bytes()
    at = data.index(b"reflection_table") + len(b"reflection_table")
    assert data[at] == 2
    pathlib.Path("run.refl").write_bytes(data[:at] + bytes([1]) + data[at + 1 :])
    table = flex.reflection_table.from_file("run.refl")
written = [list(v) for v in table["rlp"]]
del table["rlp"]
indexed = table.select(table["id"] >= 0)
written = [v for v, i in zip(written, table["id"]) if i >= 0]
keys = ("xyzobs.mm.value", "xyzobs.mm.variance")
own = [[list(v) for v in indexed[key]] for key in keys]
indexed.centroid_px_to_mm(experiments)
mm = [[list(v) for v in indexed[key]] for key in keys]
indexed.map_centroids_to_reciprocal_space(experiments)
print(json.dumps({
    "identifiers": [e.identifier for e in experiments], "in_table": list(table.experiment_identifiers().values()),
    "cells": [c.get_real_space_vectors().as_list() if hasattr(c.get_real_space_vectors(), "as_list")
              else [list(v) for v in c.get_real_space_vectors()] for c in experiments.crystals()],
    "id": list(indexed["id"]), "hkl": [list(h) for h in indexed["miller_index"]],
    "rlp": [list(v) for v in indexed["rlp"]], "written": written, "own": own, "mm": mm, "all": len(table),
}))
"""
WRITE = """
import json
from dials.array_family import flex

columns = json.load(open("columns.json"))
table = flex.reflection_table()
table["id"] = flex.int(columns["id"])
table["panel"] = flex.size_t(columns["panel"])
table["xyzobs.px.value"] = flex.vec3_double(columns["xyzobs.px.value"])
table["intensity.sum.value"] = flex.double(columns["intensity.sum.value"])
table["flags"] = flex.size_t(len(table), 32)
table["miller_index"] = flex.miller_index(len(table))
table["bbox"] = flex.int6(len(table), (0, 4, 0, 5, 0, 1))
table["shoebox"] = flex.shoebox(table["panel"], table["bbox"], allocate=True)
table.as_file("dials.refl")
"""


def dials(script, *arguments):
    """What a script says that DIALS' interpreter runs."""
    if dials_python() is None:
        pytest.skip("DIALS is not installed")
    done = subprocess.run(
        [dials_python(), "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


ORIGINS = ["CrystFEL", "DIALS", "DIALS, parallax corrected", "CrystFEL, parallax corrected", "DIALS, several detectors"]


@pytest.mark.parametrize("origin", ORIGINS)
def test_dials_finds_the_crystals_where_they_are(run, tmp_path, origin):
    if dials_python() is None:
        pytest.skip("DIALS is not installed")
    sensor = SENSOR if "parallax" in origin else None
    write_dials(tmp_path, MADE, sensor=sensor)
    if "several" in origin:
        content, table = several(expt(MADE), columns(MADE))
        (tmp_path / "imported.expt").write_text(json.dumps(content))
        (tmp_path / "strong.refl").write_bytes(packed(table))
    write_cxi(tmp_path / "run.cxi", MADE if sensor is None else behind_the_front(MADE, sensor))
    sensors = [f"; sensor of {panel.name}: {SENSOR[0]} mm, absorption {SENSOR[1]}/mm" for panel in PANELS]
    (tmp_path / "det.geom").write_text("\n".join([geom_text(), *(sensors if sensor else [])]))
    of_dials = origin.startswith("DIALS")
    given = ("strong.refl", "-g", "imported.expt") if of_dials else ("run.cxi", "-g", "det.geom")
    assert run("index", *given, "--cell", MONO, *QUICK, "-o", "run.expt", "-o", "run.refl").status == 0
    found = json.loads(dials(READ).splitlines()[-1])
    assert found["identifiers"] == found["in_table"]
    assert found["all"] == sum(len(peaks) for peaks in MADE.peaks)
    cells = np.array(found["cells"]).reshape(-1, 3, 3)
    for cell, truth in zip(cells, MADE.cells, strict=True):
        assert same_orientation(cell, truth @ TURN, OPERATORS)
    # DIALS computes the same vectors from its own models, and they lie on the crystals' lattices.
    rlp, number, hkl = (np.array(found[name]) for name in ("rlp", "id", "hkl"))
    np.testing.assert_allclose(rlp, found["written"], atol=1e-6)
    np.testing.assert_allclose(np.array(found["own"])[..., :2], np.array(found["mm"])[..., :2], atol=1e-5)
    predicted = np.einsum("ni,nij->nj", hkl, np.linalg.inv(cells).transpose(0, 2, 1)[number])
    assert np.linalg.norm(rlp - predicted, axis=1).max() < 0.004


@pytest.mark.parametrize("sensor", [None, SENSOR])
def test_dials_refines_what_is_written(run, tmp_path, sensor):
    """The step after indexing: it takes the files as they are, and its spots are predicted where they were seen."""
    if dials_python() is None or shutil.which("dials.refine") is None:
        pytest.skip("DIALS is not installed")
    write_dials(tmp_path, MADE, sensor=sensor)
    ran = run("index", "strong.refl", "-g", "imported.expt", "--cell", MONO, *QUICK, "-o", "run.expt", "-o", "run.refl")
    assert ran.status == 0, ran.err
    # Makes the table one that this DIALS reads.
    read = json.loads(dials(READ).splitlines()[-1])
    done = subprocess.run(
        ["dials.refine", "run.expt", "run.refl", "refinement.parameterisation.auto_reduction.action=fix"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    refined = json.loads((tmp_path / "refined.expt").read_text())
    assert len(refined["crystal"]) == len(read["cells"]) == len(MADE.cells)
    for crystal, truth in zip(refined["crystal"], MADE.cells, strict=True):
        cell = np.array([crystal[f"real_space_{axis}"] for axis in "abc"])
        assert same_orientation(cell, truth @ TURN, OPERATORS)
    table = done.stdout.partition("RMSDs by experiment")[2].partition("Detector 1")[0]
    rows = [[float(word) for word in line.strip("|").split("|")] for line in table.splitlines()
            if line[1:2].isspace() and line.strip("| ")[:1].isdigit()]  # fmt: skip
    assert len(rows) == len(MADE.cells)
    for _, n_spots, x, y, _ in rows:
        assert n_spots > 80
        assert max(x, y) < 0.25


def test_a_table_that_dials_writes(run, tmp_path):
    write_dials(tmp_path, MADE)
    table = {name: values.tolist() for name, values in columns(MADE).items()}
    (tmp_path / "columns.json").write_text(json.dumps(table))
    dials(WRITE)
    ran = run("index", "dials.refl", "-g", "imported.expt", "--cell", MONO, *QUICK, "-o", "run.h5")
    assert ran.status == 0, ran.err
    found = read_results("run.h5")
    assert len(found.crystals) == len(MADE.cells)
    for cell, truth in zip(found.cells[found.crystals], MADE.cells, strict=True):
        assert same_orientation(cell, truth, OPERATORS)
