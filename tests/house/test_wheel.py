import zipfile

import pytest

from ffbidx_core.backends.kernels import FILES
from tests.helpers.paths import ROOT


@pytest.fixture(scope="module")
def wheel(distributions):
    """The names of the files in the wheel that the project's files make."""
    (path,) = distributions.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def test_the_kernels_are_in_the_wheel(wheel):
    found = {name for name in wheel if name.endswith(".cu")}
    assert found == {f"ffbidx_core/backends/kernels/{name}" for name in FILES}


def test_the_page_to_browse_frames_is_in_the_wheel(wheel):
    assert "ffbidx_core/report/browser.html" in wheel


def test_every_module_and_the_marker_of_types_are_in_the_wheel(wheel):
    modules = [path for folder in ("ffbidx", "ffbidx_core", "ffbidx_cli") for path in (ROOT / folder).rglob("*.py")]
    assert {*(str(path.relative_to(ROOT)) for path in modules), "ffbidx/py.typed", "ffbidx_core/py.typed"} <= wheel


def test_nothing_but_the_package_is_in_the_wheel(wheel):
    tops = {name.split("/")[0].partition("-")[0] for name in wheel}
    assert tops == {"ffbidx", "ffbidx_cli", "ffbidx_core"}
