"""The plan of the house: which room may import which, and that no room reaches itself through others.

Reads the sources, imports nothing.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

MODULES = sorted(path for top in ("ffbidx", "ffbidx_core", "ffbidx_cli") for path in (ROOT / top).rglob("*.py"))
MOST_MODULES = 16
"""A folder with more modules is one in which nothing is found."""
MOST_LINES = 300
"""A file with more lines has more than one trade."""

GROUND = {
    "errors", "lazy", "nouns", "ranges", "version", "parameters", "published_parameters", "compiled", "compile_time",
}  # fmt: skip
"""Modules at the top of the core that every room stands on."""

MAY_IMPORT = {
    "ground": set(),
    "model": {"ground"},
    "backends": {"ground", "model"},
    "read": {"ground", "model"},
    "method": {"ground", "model", "backends"},
    "write": {"ground", "model", "read"},
    "devices": {"ground", "model", "method"},
    "published": {"ground", "model", "method"},
    "simulate": {"ground", "model", "write"},
    "learn": {"ground", "model", "method", "read", "devices"},
    "cell_search": {"ground", "model", "method", "devices", "read", "learn"},
    "panels": {"ground", "model", "method", "read", "devices", "learn"},
    "run": {"ground", "model", "method", "read", "write", "devices", "learn", "cell_search", "panels"},
    "live": {"ground", "model", "read", "write", "devices", "run"},
    "diagnose": {"ground", "model", "read", "devices", "learn", "panels"},
    "report": {"ground", "model", "read", "devices", "learn", "cell_search", "panels", "diagnose"},
    "benchmark": {"ground", "model", "method", "devices", "run", "simulate"},
    # The doctor asks each backend itself how it is.
    "doctor": {"ground", "model", "backends", "method", "simulate", "benchmark"},
    # The doors of the core: what `ffbidx_core` itself offers.
    "ffbidx_core": {"ground", "read", "run"},
    "ffbidx": {"ground", "published"},
    "ffbidx_cli": {
        "ground", "model", "read", "write", "devices", "learn", "cell_search", "panels", "run", "live", "diagnose",
        "report", "benchmark", "doctor", "simulate", "ffbidx_core",
    },
}  # fmt: skip
"""The rooms, lowest first, and the rooms that each may import from besides itself."""


def room_of(parts: tuple[str, ...]) -> str:
    """`ffbidx_core.read.formats.hdf5.native` is in the room `read`, anything of the command line in `ffbidx_cli`."""
    if parts[0] != "ffbidx_core" or len(parts) == 1:
        return parts[0]
    return "ground" if parts[1] in GROUND else parts[1]


def imports_of(path: Path) -> Iterator[str]:
    """Rooms that a module imports from, wherever in it, the imports for the type checker included."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            # `from . import x` may name a module of the package, anything else things in a module.
            names = [(*base, alias.name) if module_at(*base, alias.name) else base for alias in node.names]
        else:
            continue
        yield from (room_of(name) for name in names if name[0] in ("ffbidx_core", "ffbidx_cli", "ffbidx"))


def module_at(*parts: str) -> bool:
    """Whether there is a module or a package of this name."""
    place = ROOT.joinpath(*parts)
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def room_of_file(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return room_of(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    room = room_of_file(path)
    assert room in MAY_IMPORT, "a new room: say in MAY_IMPORT where it belongs"
    assert set(imports_of(path)) <= MAY_IMPORT[room] | {room}


def reached_from(room: str, arrows: dict[str, set[str]]) -> set[str]:
    """All rooms that a room imports from, through whatever others."""
    reached: set[str] = set()
    waiting = [room]
    while waiting:
        new = arrows[waiting.pop()] - reached
        reached |= new
        waiting += new
    return reached


def test_no_room_reaches_itself_through_others():
    found: dict[str, set[str]] = {room: set() for room in MAY_IMPORT}
    for path in MODULES:
        found[room_of_file(path)] |= set(imports_of(path)) - {room_of_file(path)}
    assert [room for room in found if room in reached_from(room, found)] == []
    assert [room for room in MAY_IMPORT if room in reached_from(room, MAY_IMPORT)] == []


def test_rooms_stand_in_their_order():
    rooms = list(MAY_IMPORT)
    assert [room for room in rooms if not MAY_IMPORT[room] <= set(rooms[: rooms.index(room)])] == []


def test_only_ground_and_benchmark_lie_beside_the_rooms():
    loose = {path.stem for path in (ROOT / "ffbidx_core").glob("*.py")}
    assert loose == GROUND | {"__init__", "benchmark"}


def test_no_folder_has_more_modules_than_one_finds_one_s_way_in():
    folders = {path.parent for top in ("ffbidx_core", "ffbidx_cli", "tests") for path in (ROOT / top).rglob("*.py")}
    crowded = {
        str(folder.relative_to(ROOT)): n for folder in folders if (n := len(list(folder.glob("*.py")))) > MOST_MODULES
    }
    assert crowded == {}


def test_no_file_has_more_lines_than_are_read_at_a_time():
    tops = ("ffbidx", "ffbidx_core", "ffbidx_cli", "tests", "docs")
    files = [path for top in tops for path in (ROOT / top).rglob("*") if path.suffix in (".py", ".cu", ".cuh")]
    assert any(path.suffix == ".cu" for path in files)
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files}
    assert {name: n for name, n in lines.items() if n > MOST_LINES} == {}
