"""The environment variables that the sources read are those of the table in docs/options.md."""

import ast
import re
from collections.abc import Iterator

from tests.helpers.paths import ROOT
from tests.house.test_imports import MODULES

OURS = re.compile(r"_?(FFBIDX|INDEXER)_[A-Z_]+")
NAME = re.compile(r"`(_?[A-Z0-9]+(?:_[A-Z0-9]+)+)`")


def is_environ(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "environ"


def named_in(tree: ast.AST) -> Iterator[ast.AST]:
    """What stands for the name of a variable where `os.environ` is asked, and all strings that are such a name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and OURS.fullmatch(node.value):
            yield node
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and is_environ(node.func.value):
            yield node.args[0]
        elif isinstance(node, ast.Subscript) and is_environ(node.value):
            yield node.slice
        elif isinstance(node, ast.Compare) and any(map(is_environ, node.comparators)):
            yield node.left


def read_by_the_sources() -> set[str]:
    nodes = [node for path in MODULES for node in named_in(ast.parse(path.read_text()))]
    return {node.value for node in nodes if isinstance(node, ast.Constant)}


def test_every_environment_variable_is_in_the_table():
    table = (ROOT / "docs" / "options.md").read_text().partition("## Environment variables")[2].partition("\n## ")[0]
    first_columns = "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| "))
    assert set(NAME.findall(first_columns)) == read_by_the_sources()


def test_variables_are_found_however_they_are_asked_for():
    code = 'os.environ.get("A_B"); os.environ["C_D"]; "E_F" in os.environ; NAME = "FFBIDX_G"; "FFBIDX_H is no name"'
    assert sorted(node.value for node in named_in(ast.parse(code))) == ["A_B", "C_D", "E_F", "FFBIDX_G"]
