"""The peaks that are no spots are counted by frame, so that a run that is taken up counts each once."""

import json

import numpy as np
import pytest

from ffbidx_core.read import Source
from ffbidx_core.read.geometry.any import parse_geometry
from ffbidx_core.read.results import read_run
from tests.helpers.beamline import MADE_FOR_READING as MADE
from tests.helpers.beamline import Stills, geom_text, write_cxi
from tests.helpers.runs.faults import QUICK, Died, dies_after, run

OPTIONS = {"geometry": parse_geometry("det.geom", geom_text()), "parameters": QUICK.replace(learn_cell=0)}
TWICE = (1, 2, 0), (5, 0, 3)
"""Number of peaks that are given twice, on the frames of each file."""
OFF = (3, 1, 2), (0, 4, 6)
"""Number of peaks beyond all panels."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Files of three frames, so that batches of two have frames of both."""
    folder, sources = tmp_path_factory.mktemp("peaks"), []
    for number, (twice, off) in enumerate(zip(TWICE, OFF, strict=True)):
        peaks = []
        for frame, n_twice, n_off in zip(MADE.peaks, twice, off, strict=True):
            beyond = np.tile([1e4, 1e4, 0.0], (n_off, 1))
            peaks.append(np.concatenate([frame[:40], frame[:n_twice], beyond]))
        made = Stills(MADE.cells, peaks, [np.ones(len(each)) for each in peaks])
        sources.append(Source(str(write_cxi(folder / f"{number}.cxi", made))))
    return sources


@pytest.fixture(scope="module")
def whole(sources, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "x.h5"
    return output, run(sources, output, **OPTIONS).summary


def test_all_are_counted(whole):
    output, summary = whole
    mark = read_run(str(output))[3]
    assert (mark.n_left_out, mark.n_off_panels) == (np.sum(TWICE), np.sum(OFF))
    assert any(problem.startswith(f"{np.sum(OFF)} peaks (6.2%) lie on no panel") for problem in summary.problems)


@pytest.mark.parametrize("batches", [2, 3])
def test_a_run_that_is_taken_up_counts_each_once(sources, whole, tmp_path, batches):
    output, summary = whole
    with pytest.raises(Died):
        run(sources, tmp_path / "x.h5", progress=dies_after(batches), **OPTIONS)
    found = run(sources, tmp_path / "x.h5", resume=True, **OPTIONS).summary
    assert (tmp_path / "x.h5").read_bytes() == output.read_bytes()
    assert found.problems == summary.problems


def test_a_ledger_without_peaks_off_panels_is_read(sources, tmp_path):
    """It is of an earlier version."""
    with pytest.raises(Died):
        run(sources, tmp_path / "x.h5", progress=dies_after(2), **OPTIONS)
    ledger = tmp_path / "x.h5.parts/ledger.jsonl"
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    for line in lines:
        line.get("mark", {}).pop("n_off_panels", None)
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run(sources, tmp_path / "x.h5", resume=True, **OPTIONS)
    assert read_run(str(tmp_path / "x.h5"))[3].n_off_panels < np.sum(OFF)
    assert read_run(str(tmp_path / "x.h5"))[3].n_left_out == np.sum(TWICE)
