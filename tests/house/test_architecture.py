"""The picture of the rooms and the way of a frame in docs/architecture.md are those of the sources."""

import re
from importlib.util import module_from_spec, spec_from_file_location

import pytest

from tests.helpers.paths import ROOT
from tests.house.test_imports import MAY_IMPORT

PAGE = (ROOT / "docs" / "architecture.md").read_text()


@pytest.fixture(scope="module")
def script():
    spec = spec_from_file_location("make_architecture_picture", ROOT / "docs" / "make_architecture_picture.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_that_of_the_imports(script):
    assert script.Picture().svg() == script.PICTURE.read_text(), "run: python docs/make_architecture_picture.py"


def test_every_room_and_every_way_between_rooms_is_in_the_picture(script):
    drawn = script.PICTURE.read_text()
    assert set(re.findall(r"<g id='(\w+)'>", drawn)) == set(MAY_IMPORT)
    arrows = {room: set() for room in MAY_IMPORT}
    for room, below in re.findall(r"<title>(\w+) imports (\w+)</title>", drawn):
        arrows[room].add(below)
    for room, below in script.imports().items():
        assert below <= script.reached_from(room, arrows)


def test_the_table_follows_the_numbers_of_the_picture(script):
    rows = re.findall(r"^\| (\d+) \| `(\w+)", PAGE, flags=re.MULTILINE)
    assert {room: int(number) for number, room in rows} == script.WAY


PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_sources_and_pages_that_the_documentation_names_are_there(page):
    text = page.read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / target).exists(), target
    for path in re.findall(r"`((?:ffbidx_core|ffbidx_cli|tests|docs)/[\w/.-]+)`", text):
        assert (ROOT / path).exists(), path
