"""The one text of all kernels that CuPy compiles, and why an edited file is never run stale.

CuPy's cache of compiled kernels is named after the text and the options it is given. So it is enough that the text
changes with every file, and that nothing in it stands for the content of another file.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

import ffbidx_core
from ffbidx_core.backends import kernels

FOLDER = files(kernels)


def test_every_file_is_in_the_text_in_full():
    there = [path.name for path in FOLDER.iterdir() if path.name.endswith((".cu", ".cuh", ".h"))]
    assert sorted(kernels.FILES) == sorted(there)
    text = kernels.source()
    at = [text.index(f'#line 1 "{name}"\n{(FOLDER / name).read_text()}') for name in kernels.FILES]
    assert at == sorted(at)
    assert text.startswith(kernels.constants())


@pytest.mark.parametrize("name", kernels.FILES)
def test_no_file_includes_another(name):
    text = (FOLDER / name).read_text()
    assert not re.search(r"^\s*#\s*(include|embed)|__has_include", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", kernels.FILES)
def test_an_edited_file_changes_the_text(name, tmp_path):
    package = tmp_path / "ffbidx_core"
    shutil.copytree(Path(ffbidx_core.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))

    def digest():
        """Of the text that a process of its own sees."""
        code = "from ffbidx_core.backends import kernels; print(kernels.source())"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True)
        return hashlib.sha256(done.stdout).hexdigest()

    before = digest()
    assert digest() == before
    path = package / "backends" / "kernels" / name
    path.write_text(path.read_text() + "// edited\n")
    assert digest() != before


def test_a_changed_constant_changes_the_text(monkeypatch):
    before = kernels.constants()
    monkeypatch.setattr(kernels.fits, "CONSTRAINED_CUTOFF", kernels.fits.CONSTRAINED_CUTOFF * 2)
    assert kernels.constants() != before
