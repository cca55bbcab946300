"""Every command and every Python example of the README and of the pages of the documentation, in their order."""

import re
import shlex
import subprocess

import pytest

from ffbidx_cli.main import COMMANDS, cli
from ffbidx_core import read_results
from tests.helpers.paths import ROOT

README = (ROOT / "README.md").read_text()
NAMES = ("tutorial", "beamline", "gpu", "unindexed", "formats", "tasks")
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in NAMES}
"""Pages whose examples go on from one page to the next, in one directory."""
ALL = README + "".join(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))


def run_examples(run, text: str) -> int:
    """Run the examples of a page; how many of them are commands of the program."""
    commands = 0
    for language, code in re.findall(r"^```(sh|python)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
        if language == "python":
            exec(compile(code, "example", "exec"), {})
            continue
        for line in code.replace("\\\n", " ").splitlines():
            if line.startswith("ffbidx "):
                ran = run(*shlex.split(line)[1:])
                assert ran.status == 0, (line, ran.err)
                commands += 1
            else:
                subprocess.run(["bash", "-c", line], check=True)
    assert commands == len(re.findall(r"^ffbidx ", text, flags=re.MULTILINE))
    return commands


def test_all_examples_of_the_readme_run(run, tmp_path):
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data")
    assert run_examples(run, README) >= 6
    # What the text says of the sample frames: one in ten without a crystal.
    results = read_results("lysozyme.ffbidx.h5")
    assert results.n_frames == 200
    assert 170 <= (results.status == 0).sum() <= 180


def test_all_examples_of_the_documentation_run(run, tmp_path):
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data")
    assert all([run_examples(run, text) for text in PAGES.values()][:4])
    assert read_results("stills.ffbidx.h5").n_frames == 20


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`?(--[a-z][a-z-]+)", README + "".join(PAGES.values())))))
def test_options_in_the_text_exist(option):
    commands = [cli.get_command(None, name) for name in COMMANDS]
    parameters = [p for command in commands for p in command.params]
    # dials.import, indexamajig and the benchmarks have options of their own.
    others = {"--help", "--peaks", "--indexing", "--copy-header", "--only"}
    assert option in {name for p in parameters for name in p.opts + p.secondary_opts} | others


def test_every_command_is_described():
    for name in COMMANDS:
        assert f"ffbidx {name}" in ALL


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_readme_is_read_in_ten_minutes():
    assert len(README.splitlines()) <= 220
