"""The one-way street: who may import whom. Reads the sources, imports nothing."""

import ast
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

MODULES = sorted([*ROOT.glob("ffbidx_core/**/*.py"), *ROOT.glob("ffbidx_cli/**/*.py"), ROOT / "ffbidx.py"])

BASE = {"model", "parameters", "errors", "version", "log"}
ENGINE = {
    "backends",
    "batch",
    "crystals",
    "expected_false",
    "false_rate",
    "indexer",
    "lanes",
    "polish",
    "reasons",
    "retry",
    "search",
    "successive",
    "whitened",
}
FILES = {"batch", "read", "write"}
RUNS = {
    "distribute",
    "learn",
    "benchmark",
    "input_cells",
    "job",
    "outcome",
    "pipeline",
    "shards",
    "simulate",
    "summary",
}

MAY_IMPORT = {
    "model": {"model", "parameters", "errors"},
    "parameters": {"errors", "ranges"},
    "ranges": set(),
    "errors": set(),
    "version": set(),
    "log": {"errors"},
    "batch": BASE,
    "read": BASE | FILES,
    "write": BASE | FILES,
    **dict.fromkeys(ENGINE - {"batch"}, BASE | ENGINE),
    # The runs reach the backends through the indexer only.
    **dict.fromkeys(RUNS, BASE | FILES | RUNS | {"indexer", "lanes"}),
    # The doctor asks each backend itself how it is.
    "doctor": BASE | {"backends", "benchmark", "indexer", "simulate"},
    **dict.fromkeys(("api", "engine", "layout"), BASE | ENGINE | {"api", "engine", "layout"}),
    "ffbidx_core": {"read", "api"},
    # It indexes a sample again.
    "diagnose": BASE | FILES | {"distribute", "learn", "simulate"},
    "ffbidx_cli": BASE | RUNS | {"diagnose", "doctor", "read", "write", "ffbidx_core"},
    "ffbidx": {"api", "version"},
}
"""Rooms of the core, and the rooms that each may import from."""


def room_of(parts: tuple[str, ...]) -> str:
    """`ffbidx_core.read.formats.hdf5` is in `read`, anything of the command line in `ffbidx_cli`."""
    return parts[1] if parts[0] == "ffbidx_core" and len(parts) > 1 else parts[0]


def imports_of(path: Path):
    """Rooms that a module imports from, wherever in it, those for the type checker included."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    package = parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            # `from . import x` names a module of the package, anything else things in a module.
            names = [base] if node.module else [(*base, alias.name) for alias in node.names]
        else:
            continue
        yield from (room_of(name) for name in names if name[0] in ("ffbidx_core", "ffbidx_cli", "ffbidx"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    room = room_of(parts[:-1] if parts[-1] == "__init__" else parts)
    assert room in MAY_IMPORT, "a new room: say in MAY_IMPORT where it belongs"
    allowed = MAY_IMPORT[room] | {room}
    assert set(imports_of(path)) <= allowed
