"""Outputs that could not be written are refused before a run."""

import os
from pathlib import Path

import pytest

from ffbidx_core.errors import OutputError, UsageError
from ffbidx_core.write import check_output


def test_an_output_that_can_be_written_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").write_text("")
    (tmp_path / "old").write_text("")
    monkeypatch.chdir(tmp_path)
    check_output("new", False, ["in", "nothere"])
    check_output("old", True, ["in", "nothere", "a\0b"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "old"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("output", ["in", "./in", "symbolic", "hard"])
def test_an_output_that_is_an_input_is_a_usage_error(tmp_path: Path, output: str, overwrite: bool) -> None:
    source = tmp_path / "in"
    source.write_text("")
    (tmp_path / "symbolic").symlink_to(source)
    (tmp_path / "hard").hardlink_to(source)
    with pytest.raises(UsageError, match=f"the output is the input {source}") as caught:
        check_output(f"{tmp_path}/{output}", overwrite, ["nothere", str(source)])
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("output", "overwrite", "problem"),
    [
        ("old", False, "is already there: give another name with -o, or --overwrite"),
        ("nothere/out", True, "its directory .*/nothere does not exist: mkdir -p /.*/nothere$"),
        ("old/out", True, "its directory .*/old does not exist$"),
        ("folder", True, "is a directory"),
        ("pipe", True, "is not a regular file"),
        ("new/", True, "is not a file name"),
        ("x" * 300, True, "cannot be written: file name too long"),
        ("a\0b", True, "cannot be written: embedded null byte"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused(
    tmp_path: Path, output: str, overwrite: bool, problem: str
) -> None:
    (tmp_path / "old").write_text("")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match=problem) as caught:
        check_output(f"{tmp_path}/{output}", overwrite)
    assert caught.value.exit_status == 6


@pytest.mark.parametrize("output", ["", "/dev/null"])
def test_devices_and_no_name_are_refused(output: str) -> None:
    with pytest.raises(OutputError):
        check_output(output, True)


def test_a_directory_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    for name in ("new", "old"):
        (tmp_path / "old").write_text("")
        with pytest.raises(OutputError, match=r"its directory .* cannot be written to"):
            check_output(str(tmp_path / name), True)
