import json
import pickle
import subprocess
import sys
import time

import pytest

from ffbidx_core.errors import InputError
from ffbidx_core.read import Source, count_frames, read_blocks
from ffbidx_core.read.files.identity import identities
from ffbidx_core.read.files.probe import _CHILD, Prober
from ffbidx_core.read.growing.watched import Watched
from tests.helpers.runs.hanging import HANGS


def noting(monkeypatch, owner, name):
    """The arguments of all calls of a method or function, which is called as before."""
    original, calls = getattr(owner, name), []

    def noted(*arguments, **keywords):
        calls.append(arguments)
        return original(*arguments, **keywords)

    monkeypatch.setattr(owner, name, noted)
    return calls


def test_a_file_that_hangs_is_a_row_among_others(text_file, monkeypatch):
    names = ("a.txt", "sleepy.txt", "b.txt", "no.txt")
    sources = [Source(text_file("0.1 0.2 0.3", name)) for name in names[:3]] + [Source(names[3])]
    asked = noting(monkeypatch, Prober, "_opens")
    with Prober(1.0, HANGS) as prober:
        assert [found.size > 0 for found in identities(sources, prober)] == [True, False, True, False]
        assert count_frames(sources, prober=prober) == 2
        (block,) = read_blocks(sources, prober=prober)
        assert [Watched(source.path, prober).is_there for source in sources] == [True, False, True, False]
    # Waited for once only.
    assert [path for _, path in asked].count(sources[1].path) == 1
    assert block.status.tolist() == [1, 4, 1, 4]
    assert "sleepy.txt: cannot be read: it did not open within 1 s" in block.problems[0]
    assert "no such file" in block.problems[1]


def test_without_a_prober_nothing_is_started(text_file, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", None)
    assert count_frames([Source(text_file("0.1 0.2 0.3"))]) == 1


def test_one_child_probes_many_files(text_file, monkeypatch):
    started = noting(monkeypatch, subprocess, "Popen")
    with Prober() as prober:
        for name in ("a.txt", "b.txt", "none.txt"):
            prober.check(text_file("0.1 0.2 0.3", name) if name != "none.txt" else name)
    assert len(started) == 1


def test_the_time_in_which_the_child_starts_does_not_count(text_file):
    with Prober(0.5, f"import time; time.sleep(1)\n{HANGS}") as prober:
        prober.check(text_file("0.1 0.2 0.3"))
        with pytest.raises(InputError, match=r"did not open within 0\.5 s"):
            prober.check(text_file("0.1 0.2 0.3", "sleepy.txt"))


@pytest.mark.parametrize("script", ["raise SystemExit", "import sys; sys.stdin.readline()", f"{_CHILD}    break\n"])
def test_a_child_that_dies_is_started_again(text_file, script):
    with Prober(2.0, script) as prober:
        for _ in range(4):
            prober.check(text_file("0.1 0.2 0.3"))
            time.sleep(0.05)


def test_a_prober_goes_to_other_processes_without_its_child(text_file):
    with Prober(1.0, HANGS) as prober:
        prober.check(text_file("0.1 0.2 0.3"))
        with pickle.loads(pickle.dumps(prober)) as other, pytest.raises(InputError, match="did not open within 1 s"):
            other.check(text_file("0.1 0.2 0.3", "sleepy.txt"))


def test_a_child_whose_program_is_gone_says_nothing(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"x")
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout.read(1) == b"\n"
    child.stdout.close()
    child.stdin.write(json.dumps(str(tmp_path / "a.h5")).encode() + b"\n")
    child.stdin.close()
    assert child.stderr.read() == b""
    assert child.wait(timeout=60) == 0
