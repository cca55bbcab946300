"""DIALS where it is installed: its interpreter, and this checkout in it."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

PLUGIN = Path(__file__).parent / "dials_strategy.py"
OWN_STRATEGY = """
from importlib.metadata import entry_points
assert any(point.name == "ffbidx" for point in entry_points(group="dials.index.lattice_search"))
"""
COMPILED = ("numba", "llvmlite", "llvmlite.libs")


def _works(python: str, code: str, **environment: str) -> bool:
    done = subprocess.run([python, "-c", code], capture_output=True, check=False, env={**os.environ, **environment})
    return done.returncode == 0


@functools.cache
def dials_python() -> str | None:
    """An interpreter that has DIALS."""
    for name in ("dials.python", "/usr/bin/python3"):
        path = shutil.which(name)
        if path and _works(path, "import dials, dxtbx"):
            return path
    return None


def with_this_checkout(folder: Path) -> tuple[str, dict[str, str]]:
    """The interpreter of DIALS, and the environment in which it finds `ffbidx` and the strategy of that name.

    What DIALS lacks is put into `folder`: Numba, from the interpreter of the tests where both are of one version, and
    the strategy, as a plug-in.
    """
    python = dials_python()
    if python is None:
        pytest.skip("DIALS is not installed")
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (folder, ROOT)))}
    if not _works(python, "import numba"):
        version = "import sys; assert sys.version_info[:2] == ({}, {})".format(*sys.version_info[:2])
        if not _works(python, version):
            pytest.skip("DIALS has no Numba, and its Python is not that of the tests")
        spec = importlib.util.find_spec("numba")
        packages = Path(spec.origin).parents[1]
        for name in COMPILED:
            if (packages / name).exists():
                (folder / name).symlink_to(packages / name)
        # Numba takes any `coverage` that it finds for a recent one; Debian's is not.
        (folder / "coverage.py").write_text("raise ImportError\n")
    if not _works(python, OWN_STRATEGY):
        shutil.copy(PLUGIN, folder / PLUGIN.name)
        about = folder / "ffbidx_strategy-1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ffbidx_strategy\nVersion: 1\n")
        (about / "entry_points.txt").write_text(f"[dials.index.lattice_search]\nffbidx = {PLUGIN.stem}:Strategy\n")
    return python, environment
