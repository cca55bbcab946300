"""Every command and every Python example of the README, in its order, in one directory."""

import re
import shlex
import subprocess

import pytest

from ffbidx_cli.main import COMMANDS, cli
from ffbidx_core import read_results
from tests.helpers.paths import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_all_examples_run(run, tmp_path):
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data")
    commands = 0
    for language, code in BLOCKS:
        if language == "python":
            exec(compile(code, "README.md", "exec"), {})
            continue
        for line in code.replace("\\\n", " ").splitlines():
            if line.startswith("ffbidx "):
                ran = run(*shlex.split(line)[1:])
                assert ran.status == 0, (line, ran.err)
                commands += 1
            else:
                subprocess.run(["bash", "-c", line], check=True)
    assert commands == len(re.findall(r"^ffbidx ", README, flags=re.MULTILINE)) >= 8
    # What the text says of the sample frames: one in ten without a crystal.
    results = read_results("lysozyme.ffbidx.h5")
    assert results.n_frames == 200
    assert 170 <= (results.status == 0).sum() <= 180
    assert read_results("stills.ffbidx.h5").n_frames == 20


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`?(--[a-z][a-z-]+)", README))))
def test_options_in_the_text_exist(option):
    commands = [cli.get_command(None, name) for name in COMMANDS]
    parameters = [p for command in commands for p in command.params]
    assert option in {name for p in parameters for name in p.opts + p.secondary_opts} | {"--help"}


def test_every_command_is_described():
    for name in COMMANDS:
        assert f"ffbidx {name}" in README


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
