"""Tables of measured numbers in README and docs are those of docs/measured."""

import json
import re
from importlib.util import module_from_spec, spec_from_file_location

import pytest

from tests.helpers.paths import ROOT


@pytest.fixture(scope="module")
def tables():
    spec = spec_from_file_location("make_tables", ROOT / "docs" / "make_tables.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_have_the_numbers_of_the_files(tables):
    for page in tables.PAGES:
        assert tables.rendered(page.read_text()) == page.read_text(), "run: python docs/make_tables.py"


def test_a_number_typed_into_a_table_is_noticed(tables):
    page = (ROOT / "docs/quality.md").read_text()
    assert tables.rendered(page.replace("0.940", "0.990")) == page


def test_every_table_is_on_a_page_and_every_file_in_a_table(tables):
    shown = {name for page in tables.PAGES for name in re.findall(r"<!-- measured: (\w+) -->", page.read_text())}
    assert shown == set(tables.TABLES)
    assert {table.file for table in tables.TABLES.values()} == {path.stem for path in tables.MEASURED.glob("*.json")}


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "measured").glob("*.json")), ids=lambda path: path.stem)
def test_numbers_say_where_and_when_they_were_measured(path):
    measured = json.loads(path.read_text())
    assert set(measured) == {"command", "date", "commit", "machine", "rows"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", measured["date"])
    assert re.fullmatch(r"[0-9a-f]{7,40}(\+changes)?", measured["commit"])
    assert measured["rows"]


@pytest.mark.parametrize(
    ("what", "file", "key", "number"),
    [
        ("frames/s on one H200", "gpu", "frames", lambda row: f"{round(row['best_one'], -3):,}".replace(",", " ")),
        ("ms per frame on one CPU core", "speed", "what", lambda row: f"{row['values'][0]:.2f}"),
    ],
)
def test_speeds_compared_with_other_programs_are_those_of_the_tables(tables, what, file, key, number):
    rows = {row[key]: row for row in json.loads((tables.MEASURED / f"{file}.json").read_text())["rows"]}
    shown = " / ".join(number(rows[f"tetragonal, {spots} spots"]) for spots in (100, 300))
    assert f"| {what}, 100 / 300 spots | {shown} |" in (ROOT / "README.md").read_text()
