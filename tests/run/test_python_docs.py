"""The examples of docs/python.md and the notebook do what they say, in processes of their own."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

NOTEBOOK = ROOT / "docs/notebooks/from_spots_to_cells.ipynb"
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def ran(code: str, folder: Path) -> str:
    """What a program writes that is run in a folder."""
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_examples_of_the_page_run(tmp_path: Path) -> None:
    for name in ("lysozyme.h5", "lysozyme.cell", "frame.txt"):
        shutil.copy(ROOT / "sample_data" / name, tmp_path)
    examples = EXAMPLE.findall((ROOT / "docs/python.md").read_text())
    assert len(examples) >= 8
    out = ran("\n".join(examples), tmp_path)
    assert "of 20 frames are indexed" in out
    assert "nowhere.h5: " in out
    assert (tmp_path / "run.h5").exists()


def test_the_cells_of_the_notebook_run() -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    # What a cell ends with is shown in a notebook.
    out = ran("\n".join([*code, "print(results)"]), NOTEBOOK.parent)
    assert re.search(r"<RunResults: 100 frames, \d+ indexed, \d+ crystals>", out)


def test_the_notebook_holds_no_outputs() -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert str(ROOT) not in NOTEBOOK.read_text()
    assert Path.home().as_posix() not in NOTEBOOK.read_text()
