"""A run of peaks in a CXI file, for conversions."""

import pytest

from tests.helpers.beamline import MADE_FOR_READING as MADE
from tests.helpers.beamline import geom_text, write_cxi
from tests.helpers.calls import MONO, QUICK


@pytest.fixture
def cxi(tmp_path):
    (tmp_path / "det.geom").write_text(geom_text())
    return write_cxi(tmp_path / "run.cxi", MADE)


@pytest.fixture
def results(run, cxi):
    ran = run("index", "run.cxi", "-g", "det.geom", "--cell", MONO, *QUICK, "-o", "run.h5", "-o", "run.stream")
    assert ran.status == 0, ran.err
    return "run.h5"
