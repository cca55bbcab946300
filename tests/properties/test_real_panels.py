"""Real stills on panels that are put elsewhere; skipped where the data is not beside the project."""

import dataclasses

import numpy as np
import pytest

from ffbidx_cli.main import main
from ffbidx_core.devices import open_devices
from ffbidx_core.model.detector.panels import Geometry
from ffbidx_core.panels.of_run import refine_results
from ffbidx_core.read.geometry.any import read_geometry
from ffbidx_core.simulate.many_panels import ManyPanels
from ffbidx_core.write.formats.refined import refined_text
from tests.helpers.panels.real import CELL, DATA, write_real_stills

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the real data is not beside the project")
EVERY = 3
"""Of 300 stills."""


@pytest.mark.parametrize("off", [0.0, 2.0])
def test_real_stills_are_indexed_with_panels_that_were_off(off, tmp_path):
    geometry = read_geometry(str(DATA / "experiments.json"))
    assert isinstance(geometry, Geometry)
    detector = ManyPanels.of(geometry)
    spots, results, given = (str(tmp_path / name) for name in ("spots.h5", "run.h5", "given.expt"))
    n = write_real_stills(spots, geometry.detector, detector.given_distance, EVERY)
    if off:
        # The file is wrong, and the panels are where they are.
        detector = detector.disturbed(off, np.random.default_rng(5))
    text = refined_text(geometry, detector.true, detector.given_distance)
    (tmp_path / "given.expt").write_text(text)
    cell = ",".join(map(str, CELL))
    where = ["--backend", "cpu", "--threads", "1"]
    assert main(["index", spots, "-g", given, "--cell", cell, "-o", results, *where]) == 0
    found = refine_results(results, open_devices("cpu", threads=1)).refined
    # The program that made the list had seen these stills: 0.301 and 0.320 px on its two halves.
    if off:
        assert found.gain.before > 0.8
        assert found.gain.after < 0.325
        assert found.last.indexed.sum() >= 0.99 * n
    else:
        assert found.fit is None or np.abs(dataclasses.astuple(found.gain)[2]) < 0.05
