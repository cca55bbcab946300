"""The page to browse frames: which it holds, what it says of each, and the image behind the spots."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from ffbidx_cli.main import main
from ffbidx_core import read_results
from ffbidx_core.diagnose.columns import read_columns
from ffbidx_core.report.browser import UNIT, chosen_frames, frames_page
from tests.helpers.beamline import MADE_FOR_READING, geom_text, write_cxi
from tests.helpers.calls import MONO, QUICK
from tests.helpers.results_files import results_of, write_results


def frames_of(page: bytes) -> list[dict]:
    text = page.decode()
    (data,) = re.findall(r"const FRAMES = (\[.*?\n?\]), UNIT", text, flags=re.DOTALL)
    assert not re.search(r"(src|href)=[\"']http", text)
    return json.loads(data.replace("<\\/", "</"))


def test_every_frame_of_a_short_run_with_its_spots(run_on_peaks):
    results = read_results("run.h5")
    frames = frames_of(frames_page("run.h5"))
    assert [frame["n"] for frame in frames] == list(range(results.n_frames))
    for frame in frames:
        f = frame["n"]
        assert len(frame["spots"]) == 2 * len(frame["of"]) == 2 * results.n_spots[f]
        assert len(frame["crystals"]) == np.diff(results.crystal_offsets)[f]
        # What a crystal indexes lies on its predicted spots.
        xy = np.reshape(frame["spots"], (-1, 2))[np.array(frame["of"]) == 0] * UNIT
        predicted = np.reshape(frame["crystals"][0]["predicted"], (-1, 2)) * UNIT
        nearest = np.linalg.norm(xy[:, None] - predicted, axis=2).min(axis=1)
        assert np.median(nearest) < 2e-3


def test_the_image_is_behind_the_spots_where_the_input_holds_it(tmp_path, monkeypatch, run_on_peaks):
    assert not any("image" in frame for frame in frames_of(frames_page("run.h5")))
    images = np.random.default_rng(0).poisson(3, (3, 900, 400)).astype(np.int32)
    index_peaks(tmp_path / "with_images", monkeypatch, **{"/entry_1/data_1/data": images})
    frames = frames_of(frames_page("run.h5"))
    assert all(frame["image"].startswith("data:image/png;base64,") for frame in frames)
    assert frames[0]["shape"] == [900, 400]
    assert len(frames[0]["pixels"]) == len(frames[0]["spots"])


def test_a_long_run_has_its_strangest_frames_and_others(tmp_path):
    found = read_columns(write_results(tmp_path / "run.h5", results_of([1, 0, 2, 1] * 100)))
    chosen = chosen_frames(found, 30)
    assert len(chosen) <= 30
    frame = np.repeat(np.arange(400), [1, 0, 2, 1] * 100)
    assert frame[np.argmax(found.log10_false)] in chosen
    failed = np.flatnonzero(found.failed)
    assert failed[np.argmax(found.n_spots[failed])] in chosen
    assert {0, 399} <= set(chosen.tolist())
    assert (np.diff(chosen) > 0).all()


@pytest.fixture
def run_on_peaks(tmp_path, monkeypatch):
    """A run of three frames of a CXI file without images, in `run.h5`."""
    index_peaks(tmp_path / "without", monkeypatch)


def index_peaks(folder, monkeypatch, **datasets):
    """Index three frames in a folder of their own, which is the current one then."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("det.geom").write_text(geom_text())
    write_cxi(Path("data.cxi"), MADE_FOR_READING, **datasets)
    assert main(["index", "data.cxi", "-g", "det.geom", "--cell", MONO, *QUICK, "-o", "run.h5", "--quiet"]) == 0
