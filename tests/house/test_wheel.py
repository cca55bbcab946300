import shutil
import subprocess
import sys
import zipfile

import pytest

from ffbidx_core.backends.kernels import FILES
from tests.helpers.paths import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that the project's files make; built of a copy, since building leaves folders behind."""
    pytest.importorskip("setuptools", minversion="80")
    copy, out = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("ffbidx", "ffbidx_core", "ffbidx_cli"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", str(copy), *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (path,) = out.iterdir()
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def test_the_kernels_are_in_the_wheel(wheel):
    found = {name for name in wheel if name.endswith(".cu")}
    assert found == {f"ffbidx_core/backends/kernels/{name}" for name in FILES}


def test_every_module_and_the_marker_of_types_are_in_the_wheel(wheel):
    modules = [path for folder in ("ffbidx", "ffbidx_core", "ffbidx_cli") for path in (ROOT / folder).rglob("*.py")]
    assert {*(str(path.relative_to(ROOT)) for path in modules), "ffbidx/py.typed", "ffbidx_core/py.typed"} <= wheel


def test_nothing_but_the_package_is_in_the_wheel(wheel):
    tops = {name.split("/")[0].partition("-")[0] for name in wheel}
    assert tops == {"ffbidx", "ffbidx_cli", "ffbidx_core"}
