"""What is handed out: an sdist and a wheel that `twine` finds sound, and records of the project that agree."""

import re
import subprocess
import sys
import tarfile
import tomllib

import pytest

from tests.helpers.paths import ROOT

yaml = pytest.importorskip("yaml")  # comes with distributed
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_twine_finds_nothing_wrong(distributions):
    pytest.importorskip("twine")
    files = sorted(str(path) for path in distributions.iterdir())
    assert [name.rpartition(".")[2] for name in files] == ["whl", "gz"]
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def run(*words, folder=ROOT):
    """The words as a command of this interpreter; its output where it failed."""
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr or "failed"


def test_the_wheel_has_what_a_wheel_should(distributions):
    pytest.importorskip("check_wheel_contents")
    (wheel,) = distributions.glob("*.whl")
    assert not run("-m", "check_wheel_contents", str(wheel))


def test_pyroma_finds_all_that_a_package_should_say(distributions):
    """But for an address of the authors: there is none."""
    pytest.importorskip("pyroma")
    (path,) = distributions.glob("*.tar.gz")
    assert not run("-m", "pyroma", "--min=10", "--skip-tests=AuthorEmail", str(path))


def test_links_and_pictures_of_the_readme_are_absolute_or_handed_out(distributions):
    markdown = pytest.importorskip("readme_renderer.markdown")
    page = markdown.render((ROOT / "README.md").read_text())
    places = [place.partition("#")[0] for place in re.findall(r'(?:href|src)="([^"]+)"', page)]
    assert len(places) > 20
    (path,) = distributions.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert not [place for place in places if not place.startswith("https://") and place not in names]


def test_tests_pass_where_the_sdist_is_unpacked(distributions, tmp_path):
    """A few of them, which `make sdist-test` does with all."""
    (path,) = distributions.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    some = "tests/published/test_signatures.py", "tests/read/test_places.py"
    assert not run("-m", "pytest", "-p", "no:cacheprovider", *some, folder=folder)


def test_the_sdist_has_documentation_and_tests(distributions):
    (path,) = distributions.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    there = {
        "docs/algorithm.md",
        "packaging/conda/recipe.yaml",
        "sample_data/lysozyme.h5",
        "tests/conftest.py",
        "CHANGELOG.md",
        "LICENSE",
        "Makefile",
    }
    assert there <= names
    assert {".editorconfig", ".pre-commit-config.yaml", ".github/ISSUE_TEMPLATE/bug.yml"} <= names
    assert not [name for name in names if "__pycache__" in name]


def test_citation_changes_and_project_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in PROJECT["authors"]]
    # The release and its day stand in the changes below what is not released yet.
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert headings[:2] == ["## Unreleased", f"## {citation['version']} ({citation['date-released']})"]
    # The paper is the one that the README asks to cite.
    assert citation["references"][0]["doi"] in (ROOT / "README.md").read_text().partition("## How to cite")[2]


@pytest.mark.parametrize("name", [".pre-commit-config.yaml", ".github/ISSUE_TEMPLATE/bug.yml"])
def test_forms_and_hooks_are_well_formed(name):
    assert yaml.safe_load((ROOT / name).read_text())


def test_the_bug_form_asks_for_the_doctor():
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text())
    labels = {field["id"]: field["attributes"]["label"] for field in form["body"] if "id" in field}
    assert "ffbidx doctor --json" in labels["doctor"]


def test_the_hooks_are_the_checks_of_make_lint():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    targets, _, recipes = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n")
    lint = recipes.partition("\nquality:")[0]
    assert targets.split() == re.findall(r"^(\w+):", lint, flags=re.MULTILINE) == ["style", "types"]
    for hook in hooks:
        assert " ".join(hook["entry"].split()[:2]).removesuffix(" --force-exclude") in lint


def test_the_tests_and_benches_that_make_names_are_there():
    text = (ROOT / "Makefile").read_text()
    paths = set(re.findall(r"tests/[\w/]+(?:\.py)?", text)) | {
        name.replace(".", "/") + ".py" for name in re.findall(r"-m (tests[\w.]+)", text)
    }
    assert len(paths) > 15
    missing = {path for path in paths if not (ROOT / path).exists()}
    assert not {path for path in missing if not (ROOT / path.removesuffix(".py") / "__main__.py").exists()}
    for name, function in re.findall(r"(tests/[\w/]+\.py)::(\w+)", text):
        assert f"def {function}(" in (ROOT / name).read_text()
