"""The conda recipe and the container definition in packaging/ are well formed, and say what pyproject.toml says."""

import re
import subprocess
import tomllib

import pytest

from tests.helpers.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
RECIPE = ROOT / "packaging" / "conda" / "recipe.yaml"
DEFINITION = ROOT / "packaging" / "apptainer" / "ffbidx.def"
OF_CONDA = {"matplotlib-base": "matplotlib"}
"""Packages that have another name on PyPI."""


def as_pairs(requirements):
    """Names and versions of requirements, without blanks and extras."""
    return dict(re.fullmatch(r"([\w.-]+)(?:\[\w+\])?(.*)", each.replace(" ", "")).groups() for each in requirements)


@pytest.fixture(scope="module")
def recipe():
    """The recipe as rattler-build renders it."""
    rattler_build = pytest.importorskip("rattler_build")
    (variant,) = rattler_build.Stage0Recipe.from_file(RECIPE).render()
    return variant.recipe.to_dict()


def test_the_recipe_is_of_this_release(recipe):
    assert recipe["package"] == {"name": PROJECT["name"], "version": PROJECT["version"]}
    assert recipe["about"]["license"] == PROJECT["license"]
    assert recipe["about"]["summary"] == PROJECT["description"]
    assert (ROOT / recipe["about"]["license_file"][0]).exists()
    assert (RECIPE.parent / recipe["source"][0]["path"]).resolve() == ROOT


def test_the_recipe_requires_what_the_project_requires(recipe):
    required = as_pairs(recipe["requirements"]["run"])
    assert required.pop("python") == PROJECT["requires-python"]
    assert required == as_pairs(PROJECT["dependencies"])
    optional = as_pairs(each for extra in ("formats", "pandas", "parquet", "report") for each in EXTRAS[extra])
    allowed = as_pairs(recipe["requirements"]["run_constraints"])
    assert allowed.pop("cupy") == as_pairs(EXTRAS["cuda13"])["cupy-cuda13x"]
    assert {OF_CONDA.get(name, name): version for name, version in allowed.items()}.items() <= optional.items()


def test_the_recipe_installs_the_command(recipe):
    (name, target), *_ = PROJECT["scripts"].items()
    assert recipe["build"]["python"]["entry_points"] == [f"{name} = {target}"]
    assert recipe["build"]["noarch"] == "python"


@pytest.fixture(scope="module")
def definition():
    """Header and sections of the container definition."""
    header, *sections = re.split(r"^%(?=\w)", DEFINITION.read_text(), flags=re.MULTILINE)
    return header, {name: text for name, _, text in (section.partition("\n") for section in sections)}


def test_the_definition_has_known_sections_only(definition):
    header, sections = definition
    assert re.search(r"^Bootstrap: docker\nFrom: python:3\.\d+-slim$", header, flags=re.MULTILINE)
    assert f"Programming Language :: Python :: {re.search('python:([0-9.]+)', header)[1]}" in PROJECT["classifiers"]
    assert set(sections) == {"arguments", "labels", "help", "files", "post", "environment", "runscript", "test"}


def test_the_scripts_of_the_definition_are_shell(definition):
    _, sections = definition
    for name in ("post", "environment", "runscript", "test"):
        checked = subprocess.run(["sh", "-n"], input=sections[name], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, f"{name}: {checked.stderr}"


def test_the_definition_takes_files_that_are_there_and_all_that_the_package_needs(definition):
    _, sections = definition
    taken = {line.split()[0] for line in sections["files"].strip().splitlines()}
    assert all((ROOT / name).exists() for name in taken)
    packages = {"ffbidx", "ffbidx_cli", "ffbidx_core"}
    assert packages | {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"]} <= taken


def test_the_definition_installs_extras_of_the_project(definition):
    _, sections = definition
    named = re.findall(r"EXTRAS=([\w,]*\w)", DEFINITION.read_text())
    assert len(named) == 2
    assert {extra for extras in named for extra in extras.split(",")} <= EXTRAS.keys()
    assert '"/opt/ffbidx[{{ EXTRAS }}]"' in sections["post"]
