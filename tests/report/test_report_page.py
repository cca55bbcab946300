import itertools
import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ffbidx_core import read_results
from ffbidx_core.diagnose import columns as columns_module
from ffbidx_core.diagnose.columns import read_columns
from ffbidx_core.errors import InputError
from ffbidx_core.model.cell import cell_parameters
from ffbidx_core.model.records.frame import FrameStatus
from ffbidx_core.model.records.reason import ADVICE, FrameReason, Rung
from ffbidx_core.read.results import results_in_pieces
from ffbidx_core.report import page as page_module
from ffbidx_core.report import rows as rows_module
from ffbidx_core.report.figures import in_words
from ffbidx_core.report.orientations import PoleFigure
from ffbidx_core.report.page import page
from ffbidx_core.report.report import make_report
from ffbidx_core.report.style import GREY
from tests.helpers.results_files import CELL, HEADER, results_of, write_results

MIXED = [1, 0, 2, 1, 1, 3, 0, 1] * 12


@pytest.fixture
def path(tmp_path):
    return write_results(tmp_path / "run.h5", results_of(MIXED))


class Check(HTMLParser):
    """Every element that is opened is closed, and nothing is fetched."""

    EMPTY = ("meta", "input")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        assert tag not in ("link", "iframe", "img", "object")
        for name, value in attributes:
            assert not name.startswith("on")
            if name in ("href", "src", "xlink:href"):
                assert value.startswith(("#", "data:image/png;base64,"))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def checked(html: bytes) -> Check:
    check = Check()
    check.feed(html.decode())
    assert check.open == []
    # Addresses name dialects of XML only; nothing in the style asks for a file.
    assert set(re.findall(rb"https?://[^\"' ]+", html)) <= {
        b"http://www.w3.org/2000/svg",
        b"http://www.w3.org/1999/xlink",
    }
    assert not re.search(rb"url\((?!#)|@import", html)
    return check


def test_what_is_read_is_what_the_results_hold(path, monkeypatch):
    whole = read_results(path)
    monkeypatch.setattr(columns_module, "results_in_pieces", lambda name: results_in_pieces(name, 7))
    found = read_columns(path)
    assert found.n_crystals.tolist() == MIXED
    assert (found.cells == whole.cells[whole.crystals]).all()
    assert (found.n_spots == whole.n_spots).all()
    assert np.allclose(found.share_indexed, whole.n_indexed / whole.n_spots[whole.frame_of_crystal])
    assert found.sources == ["a.h5"]


def test_where_another_input_begins(tmp_path, monkeypatch):
    names = ["a"] * 5 + ["b"] * 4 + ["a"] * 3
    results = results_of([1] * 12, source=np.array(names, object))
    monkeypatch.setattr(columns_module, "results_in_pieces", lambda name: results_in_pieces(name, 2))
    report = make_report(write_results(tmp_path / "run.h5", results))
    assert [(name, n) for name, n, _ in report.files] == [("a", 5), ("b", 4), ("a", 3)]


def test_the_facts(path):
    facts = dict(make_report(path).facts)
    assert (facts["frames"], facts["indexed"], facts["crystals"]) == ("96", "75.0%", "108")
    results = read_results(path)
    assert facts["spots per frame indexed, median"] == f"{np.median(results.n_spots[results.status == 0]):.0f}"


def test_the_cell_beside_its_crystals(path, tmp_path):
    rows = make_report(path).cells[0]
    assert [row.what for row in rows] == ["given", "median of 108 crystals", "spread"]
    assert np.allclose(rows[0].values, cell_parameters(CELL))
    assert np.allclose(rows[1].values, rows[0].values, rtol=1e-3)
    assert 0.5e-3 < rows[2].values[0] / rows[0].values[0] < 2e-3
    learned = results_of(MIXED, learned_cells=CELL[None] * 1.01)
    rows = make_report(write_results(tmp_path / "learned.h5", learned)).cells[0]
    assert np.allclose(rows[1].values[:3], np.multiply(1.01, rows[0].values[:3]))
    same = results_of(MIXED, learned_cells=CELL[None])
    assert len(make_report(write_results(tmp_path / "same.h5", same)).cells[0]) == 3


def test_the_page_has_everything_in_itself(path):
    report = make_report(path)
    made = page(report)
    check = checked(made)
    assert check.tags.count("svg") == len(report.pictures)
    text = " ".join(check.text)
    for words in ("The run", "max_spots", "0.05, 3", "1.2.3", "two <cores>", "a.h5"):
        assert words in text
    sections = {picture.section for picture in report.pictures}
    assert sections == {"run", "spots", "cell0", "orientation0"}
    links = re.findall(r"<nav.*?</nav>", made.decode(), flags=re.DOTALL)[0]
    anchors = re.findall(r'href="#([\w-]+)"', links)
    assert anchors[0] == "overview"
    assert all(f'<h2 id="{anchor}">' in made.decode() for anchor in anchors)


def test_equal_results_make_equal_pages(tmp_path):
    path = write_results(tmp_path / "run.h5", results_of([1, 0, 2]))
    assert page(make_report(path)) == page(make_report(path))


def test_names_cannot_break_the_page(tmp_path):
    evil = "<script>alert(1)</script>&$x^{$.h5"
    report = make_report(write_results(tmp_path / "run.h5", results_of([1, 0], source=np.array([evil] * 2, object))))
    assert evil in " ".join(checked(page(report)).text)


def test_the_resolution_of_the_crystals_is_shown_where_it_is_known(tmp_path):
    for known in (True, False):
        results = results_of([1, 0, 2])
        if not known:
            results.resolution[:] = np.nan
        report = make_report(write_results(tmp_path / f"{known}.h5", results))
        assert any(picture.name == "resolution" for picture in report.pictures) == known


@pytest.mark.parametrize(("crystals", "chance"), [([0], True), ([1], True), ([0] * 40, False), ([1] * 3, False)])
def test_runs_with_little_to_show(tmp_path, crystals, chance):
    results = results_of(crystals)
    if not chance:
        results.log10_chance[:] = results.log10_false[:] = np.nan
    report = make_report(write_results(tmp_path / "run.h5", results))
    checked(page(report))
    assert ("No crystal was found." in report.remarks) == (sum(crystals) == 0)
    for name in ("chance", "false"):
        assert any(picture.name == name for picture in report.pictures) == (chance and sum(crystals) > 0)
    said = any("due to chance" in remark for remark in report.remarks)
    assert said == (chance and sum(crystals) > 0)


def test_frames_that_are_no_use_are_said(tmp_path):
    status = [FrameStatus.INDEXED, FrameStatus.BAD_SPOTS, FrameStatus.UNREADABLE, FrameStatus.TOO_FEW_SPOTS]
    results = results_of([1, 0, 0, 0], complete=False, status=np.array(status, np.uint8))
    report = make_report(write_results(tmp_path / "run.h5", results))
    said = " ".join(report.remarks)
    assert "stopped" in said
    assert "1 frame with spots that are not finite" in said
    assert "Inputs and frames that could not be read: 1." in said
    assert dict(report.facts)["spots per frame not indexed, median"] == str(results.n_spots[3])


def test_cells_beyond_those_shown_are_counted(tmp_path):
    n = 8
    results = results_of([1] * n, input_cell=np.arange(n, dtype=np.int32), input_cells=np.repeat(CELL[None], n, axis=0))
    report = make_report(write_results(tmp_path / "run.h5", results))
    assert len(report.cells) == 5
    assert "3 further input cells with fewer crystals are not shown." in report.remarks


def test_preferred_orientation_is_a_remark(tmp_path):
    results = results_of([1] * 100)
    cells = np.repeat(results.cells[:1], 100, axis=0)
    said = " ".join(make_report(write_results(tmp_path / "run.h5", replace(results, cells=cells))).remarks)
    assert all(f"Axis {axis}: preferred orientation" in said for axis in "abc")


def test_no_frames(tmp_path):
    with pytest.raises(InputError, match="no frames"):
        make_report(write_results(tmp_path / "run.h5", results_of([])))


def test_parameters_come_with_their_meaning(path):
    parameters = {name: (value, meaning) for name, value, meaning in make_report(path).parameters}
    assert parameters["max_spots"][0] == "100"
    assert "sampling" in parameters["max_spots"][1]
    assert HEADER.parameters.count(":") == len(parameters)


def test_why_frames_failed_and_what_to_try(tmp_path):
    n = [1, 0, 0, 0, 0, 1]
    reason = np.array([0, FrameReason.NO_CELL, FrameReason.DRIFTED, FrameReason.NO_CELL, FrameReason.BAD_SPOTS, 0])
    status = np.array([0, 1, 1, 1, FrameStatus.BAD_SPOTS, 0])
    results = results_of(n, status=status.astype(np.uint8), reason=reason.astype(np.uint8), rung=np.zeros(6, np.uint8))
    report = make_report(write_results(tmp_path / "run.h5", results))
    said = " ".join(report.remarks)
    assert "Commonest reason of a frame without a crystal (67% of them): no cell." in said
    assert ADVICE[FrameReason.NO_CELL] in said
    drawn = {picture.name: picture.figure.axes[0] for picture in report.pictures}
    assert [label.get_text() for label in drawn["reasons"].get_yticklabels()] == ["no cell", "drifted", "bad spots"]
    assert [bar.get_width() for bar in drawn["reasons"].patches] == [2, 1, 1]
    assert "rungs" not in drawn
    checked(page(report))


def test_what_each_try_gained(tmp_path):
    rung = np.array([0, 1, 2, 2, 0], np.uint8)
    results = results_of([1, 2, 1, 1, 0], reason=np.array([0, 0, 0, 0, 2], np.uint8), rung=rung)
    report = make_report(write_results(tmp_path / "run.h5", results))
    (axes,) = [picture.figure.axes[0] for picture in report.pictures if picture.name == "rungs"]
    assert [bar.get_width() for bar in axes.patches] == [1, 1, 2, 0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [each.words for each in Rung]


def test_files_without_reasons_have_no_picture_of_them(path):
    assert not {"reasons", "rungs"} & {picture.name for picture in make_report(path).pictures}


def test_tables_name_the_command_that_lists_all_rows_and_pictures_their_title(tmp_path, monkeypatch):
    monkeypatch.setattr(rows_module, "MOST_ROWS", 2)
    html = page(make_report(write_results(tmp_path / "a run.h5", results_of([1, 0] * 3)))).decode()
    for command in (f"ffbidx table '{tmp_path}/a run.h5'", f"ffbidx table '{tmp_path}/a run.h5' --failed"):
        assert f"<code>{escape(command)}</code> lists all." in html
    crystals, failed = re.findall(r"<div class=card data-table>.*?</thead>", html, flags=re.DOTALL)
    assert "scroll sideways" in crystals
    assert "scroll sideways" not in failed
    assert 'role="img" aria-label="Indexing rate over the run. In windows of' in html


def test_factors_of_preferred_orientations_are_plain_numbers():
    figure = PoleFigure("c", 10_000, 1, np.array([0.5, 123.4]), 1.87, True)
    assert "is taken 123 times as often" in in_words(figure)
    assert "(10,000) reach 1.9." in in_words(figure)


def luminance(colour: str) -> float:
    """The relative luminance of a colour such as #fff or #1d4ed8 (WCAG 2)."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    red, green, blue = (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("name", ["page.py", "browser.html"])
def test_text_has_a_contrast_of_at_least_four_and_a_half(name):
    style = (Path(page_module.__file__).parent / name).read_text().partition("</style>")[0]
    texts = set(re.findall(r"[{; ]color: (#[0-9a-f]{3,6})\b", style))
    grounds = set(re.findall(r"background: (#[0-9a-f]{3,6})\b", style))
    assert len(texts) >= 2
    assert grounds == {"#fff", "#f3f4f6"}
    for text, ground in [*itertools.product(texts, grounds), (GREY, "#fff")]:
        assert (luminance(ground) + 0.05) / (luminance(text) + 0.05) >= 4.5, (text, ground)
