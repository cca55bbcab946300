"""DIALS itself indexes stills by this package, which it imports; skipped where there is no DIALS."""

import json
import subprocess

import numpy as np
import pytest

from tests.helpers.beamline import MADE_FOR_READING as MADE
from tests.helpers.beamline import PARAMETERS, same_orientation
from tests.helpers.frames import OPERATORS
from tests.helpers.paths import ROOT
from tests.helpers.published.dials_itself import with_this_checkout


def test_the_programs_of_dials_find_the_crystals_where_they_are(tmp_path):
    python, environment = with_this_checkout(tmp_path / "packages")
    pytest.importorskip("msgpack")
    from tests.helpers.dials_files import TURN, write_dials

    write_dials(tmp_path, MADE)
    # DIALS 3.12 reads tables of version 1, whose layout is the same for these columns.
    table = (tmp_path / "strong.refl").read_bytes()
    (tmp_path / "strong.refl").write_bytes(table.replace(b"reflection_table\x02", b"reflection_table\x01"))
    program = str(ROOT / "tests" / "helpers" / "published" / "dials_programs.py")
    done = subprocess.run(
        [python, program, ",".join(map(str, PARAMETERS)), "imported.expt", "strong.refl"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert len(answers) == 4
    for program, cells in answers.items():
        assert len(cells) == len(MADE.cells), program
        for cell, truth in zip(np.array(cells), MADE.cells, strict=True):
            assert same_orientation(cell, truth @ TURN, OPERATORS), program
