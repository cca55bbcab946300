"""Real frames that other programs solved; skipped where the data do not lie beside the project."""

import pytest

from ffbidx_core.backends import get_backend
from ffbidx_core.parameters import Parameters
from ffbidx_core.published_parameters import METHODS
from tests.bench.real import DATA, psi_found, solved_found

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="no real data beside the project")


@pytest.fixture(scope="module")
def backend():
    return get_backend("cpu", threads=1)


@pytest.mark.parametrize("preset", ["best", "published"])
@pytest.mark.parametrize("method", METHODS)
def test_every_psi_file_is_indexed_in_the_known_orientation(backend, preset, method):
    assert psi_found(backend, Parameters.preset(preset, method=method)) == [True] * 18


@pytest.mark.parametrize(("name", "known"), [("i04_weak_slices", 90), ("p42_pseudo_still", 9)])
def test_what_others_solved_is_found(backend, name, known):
    assert solved_found(backend, DATA / "real" / f"{name}.h5", Parameters.preset("best")) == (known, known, known)
