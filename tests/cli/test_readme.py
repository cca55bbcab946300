"""Every command and every Python example of the README and of the pages of the documentation, in their order."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from ffbidx_cli.main import COMMANDS, cli
from ffbidx_core import read_results
from tests.helpers.beamline import MADE_FOR_READING, geom_text, write_cxi
from tests.helpers.calls import CELL_LINE, QUICK
from tests.helpers.dials_files import write_dials
from tests.helpers.paths import ROOT

README = (ROOT / "README.md").read_text()
NAMES = ("tutorial", "beamline", "gpu", "unindexed", "formats", "tasks")
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in NAMES}
"""Pages whose examples go on from one page to the next, and from those of the README, in one directory."""
SHOWN = re.compile(r"^ffbidx show \S+ (\d+)$", flags=re.MULTILINE)
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
                command, _, output = line.partition(" > ")
                ran = run(*shlex.split(command)[1:])
                assert ran.status == 0, (line, ran.err)
                if output:
                    Path(output).write_text(ran.out)
                commands += 1
            else:
                subprocess.run(["bash", "-c", line], check=True)
    assert commands == len(re.findall(r"^ffbidx ", text, flags=re.MULTILINE))
    return commands


def test_all_examples_of_the_readme_and_of_the_documentation_run(run, tmp_path):
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data")
    assert run_examples(run, README) >= 6
    # What the text says of the sample frames: one in ten without a crystal.
    results = read_results("lysozyme.ffbidx.h5")
    assert results.n_frames == 200
    assert 170 <= (results.status == 0).sum() <= 180
    # The README shows the picture of a frame with two crystals.
    assert len(results[int(SHOWN.search(README)[1])].cells) == 2
    # No page writes a file that the README or another page has written: such a command would end with status 6.
    assert all([run_examples(run, text) for text in PAGES.values()][:4])
    assert read_results("stills.ffbidx.h5").n_frames == 20


OTHER_COMMANDS = [
    line
    for path in sorted((ROOT / "docs").glob("*.md"))
    for line in re.findall(
        r"^ {4}(ffbidx .*)" if path.stem in NAMES else r"^(?: {4})?(ffbidx .*)",
        path.read_text().replace("\\\n", " "),
        flags=re.MULTILINE,
    )
]
"""The other commands of all pages, whose inputs are the reader's own."""
NOT_RUN = ("--dask", "--follow", "--learn-geometry", "auto")
"""Words in commands that take long, or need a cluster or a detector; tests of their own run such commands."""


def test_there_are_commands_in_the_other_pages():
    assert {line.split()[1] for line in OTHER_COMMANDS} >= {"index", "cell", "geometry", "diagnose", "serve", "replay"}


@pytest.mark.parametrize("line", [line for line in OTHER_COMMANDS if "--config" not in line])
def test_commands_for_inputs_of_the_reader_can_be_parsed(line):
    name, *arguments = shlex.split(line, comments=True)[1:]
    command = cli.get_command(None, name)
    assert command.make_context(name, arguments).params


def test_commands_that_index_inputs_of_the_reader_run(run, tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("run.cxi", "run1.h5", "spots.h5", "data/1.h5", "data/2.h5"):
        write_cxi(tmp_path / name, MADE_FOR_READING)
    write_dials(tmp_path, MADE_FOR_READING)
    for name in ("detector.geom", "refined.geom"):
        (tmp_path / name).write_text(geom_text())
    for name in ("lysozyme.cell", "protein.cell", "found.cell"):
        (tmp_path / name).write_text(CELL_LINE)
    lines = [line for line in OTHER_COMMANDS if line.startswith("ffbidx index ") and not set(NOT_RUN) & {*line.split()}]
    assert len(lines) >= 8
    for line in lines:
        command, _, output = line.partition(" > ")
        geometry = [] if " -g " in line else ["-g", "detector.geom"]
        ran = run(*shlex.split(command)[1:], *geometry, *QUICK, "--max-frames", 2, "--overwrite")
        assert ran.status == 0, (line, ran.err)
        if output:
            (tmp_path / output).write_text(ran.out)


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
