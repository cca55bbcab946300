"""Help in groups, topics, the schema of a file of options, and completion in real shells."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import jsonschema
import pytest

from ffbidx_cli.commands.index import command
from ffbidx_cli.help import FIRST, GROUPS, group_of
from ffbidx_cli.main import COMMANDS, cli
from ffbidx_cli.topics import TOPICS
from tests.helpers.paths import ROOT
from tests.helpers.terminal import screen_of


def titles(text: str) -> list[str]:
    return [line.removesuffix(":") for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]


def test_the_help_begins_with_an_example_and_the_options_that_matter(run):
    text = run("index", "--help").out
    assert "\nExample: ffbidx index spots.h5 --cell lysozyme.cell" in text
    assert titles(text) == ["The most important options"]
    options = [line.split()[0].rstrip(",") for line in text.splitlines() if line.startswith("  -")]
    assert len(options) == len(FIRST) + 2
    assert len(text.splitlines()) <= 60


def test_all_options_stand_in_their_groups(run):
    text = run("index", "--help-all").out
    assert titles(text) == list(GROUPS.values())
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[-1] in text
            assert group_of(parameter) in GROUPS


@pytest.mark.parametrize("topic", [*COMMANDS, *TOPICS])
def test_help_on_every_topic(run, topic):
    ran = run("help", topic)
    assert ran.status == 0, ran.err
    if topic in TOPICS:
        assert "".join(ran.out.split()).startswith("".join(TOPICS[topic].split()))
    if topic in GROUPS:
        assert f"{GROUPS[topic]}: options of ffbidx index:" in ran.out
    if topic in COMMANDS and topic not in TOPICS:
        assert ran.out.startswith(f"Usage: ffbidx {topic}")


def test_every_command_knows_its_name_for_the_reference():
    assert [cli.get_command(None, name).name for name in COMMANDS] == list(COMMANDS)


def test_every_group_of_options_is_a_topic():
    assert GROUPS.keys() <= TOPICS.keys()


def test_help_on_nothing_known(run):
    assert run("help", "zebra").is_one_line_error(2, "zebra", "cell", "schema")
    assert run("help", "cel").is_one_line_error(2, "did you mean 'ffbidx help cell'?")
    assert "help TOPIC: index, " in run("help").out


def test_a_file_of_options_keeps_to_the_schema(run, spots_file, cell_file):
    schema = json.loads(run("help", "schema").out)
    jsonschema.Draft202012Validator.check_schema(schema)
    options = ("--cell", cell_file, "--max-drift", "4%,2", "--beam-shift", 1, 2, "-o", "a.h5", "-o", "b.tsv")
    written = tomllib.loads(run("index", spots_file, *options, "--print-config").out)
    jsonschema.validate({k: v for k, v in written.items() if k != "ffbidx"}, schema)
    for wrong in ({"every": "two"}, {"no-such-option": 1}, {"preset": "worst"}, {"beam-shift": [1.0]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_every_command_has_a_manual_page_with_all_its_options(tmp_path):
    pytest.importorskip("click_man")
    subprocess.run([sys.executable, ROOT / "docs" / "make_man_pages.py", tmp_path / "man"], check=True, cwd=ROOT)
    pages = {path.name: path.read_text().replace("\\-", "-") for path in (tmp_path / "man").iterdir()}
    assert pages.keys() == {"ffbidx.1", *(f"ffbidx-{name}.1" for name in COMMANDS)}
    assert all(f"ffbidx-{name}" in pages["ffbidx.1"].replace(" ", "-") for name in COMMANDS)
    options = [each for each in command.params if isinstance(each, click.Option)]
    assert all(option.opts[-1] in pages["ffbidx-index.1"] for option in options)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_completion_is_installed(run, shell, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    script = run("completion", shell)
    assert script.status == 0
    assert "_FFBIDX_COMPLETE" in script.out
    ran = run("completion", shell, "--install")
    assert ran.status == 0, ran.err
    path, _, _ = ran.err.partition(": ")
    assert path.startswith(str(tmp_path))
    assert Path(path).read_text() == script.out
    assert run("completion", shell, "--install").status == 0


STARTS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
PREPARATION = {
    "bash": 'eval "$(ffbidx completion bash)"',
    "zsh": 'autoload -Uz compinit; compinit -u; eval "$(ffbidx completion zsh)"',
}


@pytest.mark.parametrize("shell", STARTS)
@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("ffbidx diag\t", "ffbidx diagnose"),
        ("ffbidx index --num-half\t", "--num-halfsphere-points"),
        ("ffbidx index some_sp\t", "some_spots.h5"),
        ("ffbidx index --cell my_c\t", "my_cell.txt"),
    ],
)
def test_shells_complete_commands_options_and_files(shell, typed, shown, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    for name in ("some_spots.h5", "my_cell.txt"):
        (tmp_path / name).touch()
    program = tmp_path / "ffbidx"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from ffbidx_cli.main import main\nsys.exit(main())\n"
    )
    program.chmod(0o755)
    ready = f'PATH="{tmp_path}:$PATH"; {PREPARATION[shell]}; echo rea""dy\n'
    text = screen_of(STARTS[shell], 100, str(tmp_path), [("", ready), ("ready", typed)], until=shown)
    assert shown in text.partition("ready")[2], text
