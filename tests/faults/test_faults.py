"""Every way in which a run can be cut off: what is finished is kept, and taken up."""

import errno
import os
import random
import shutil
import signal
import time

import pytest

from ffbidx_core import read_results
from ffbidx_core.errors import OutputError
from ffbidx_core.write import atomic, join
from tests.helpers.runs.faults import assert_same, assert_whole_or_absent, make_inputs, run, with_record

KILLS = 30


@pytest.fixture(scope="module")
def wanted(sources, tmp_path_factory):
    output = tmp_path_factory.mktemp("wanted") / "x.h5"
    run(sources, output)
    return read_results(output)


class Faulty:
    """The system's calls, of which the n-th of some kinds fails and all of these after it too, as on a full disk."""

    def __init__(self, kind: str, n: int, fault: str) -> None:
        self.kind, self.left, self.fault, self.failed = kind, n, fault, False

    def __getattr__(self, name: str):
        call = getattr(os, name)
        if name != self.kind:
            return call

        def faulty(*arguments):
            self.left -= 1
            if self.left > 0 or (self.left < 0 and self.fault in ("EINTR", "short")):
                return call(*arguments)
            self.failed = True
            if self.fault == "short":
                descriptor, data = arguments
                return call(descriptor, data[: len(data) // 2] or data)
            if name == "write" and self.fault == "ENOSPC" and self.left == 0:
                # A full disk takes what still fits.
                descriptor, data = arguments
                call(descriptor, data[: len(data) // 3])
            raise OSError(getattr(errno, self.fault), os.strerror(getattr(errno, self.fault)))

        return faulty


def faults():
    yield from ((".h5", "write", fault) for fault in ("ENOSPC", "EIO", "EINTR", "short"))
    yield from ((".h5", kind, "EIO") for kind in ("open", "fsync", "replace", "link"))
    yield ".h5", "mkdir", "EDQUOT"
    yield ".h5", "open", "EROFS"
    yield ".tsv", "write", "ENOSPC"
    yield from ((".tsv", kind, "EIO") for kind in ("open", "fsync", "link"))


@pytest.mark.parametrize(("suffix", "kind", "fault"), list(faults()))
def test_each_call_that_writes_may_fail(sources, wanted, tmp_path, monkeypatch, suffix, kind, fault):
    """The n-th call fails, for n = 1, 2, ... until a run does not get to it."""
    table = None
    if suffix == ".tsv":
        run(sources, tmp_path / "whole.tsv")
        table = [path.read_bytes() for path in with_record(tmp_path / "whole.tsv")]
    for n in range(1, 100):
        folder = tmp_path / str(n)
        folder.mkdir()
        output = folder / f"x{suffix}"
        system = Faulty(kind, n, fault)
        monkeypatch.setattr(atomic, "_system", system)
        try:
            run(sources, output, batch_size=4)
        except OutputError as error:
            failure = error
            assert_whole_or_absent(output)
            files = {path for path in folder.iterdir() if path.name != f"{output.name}.parts"}
            assert files in (set(), set(with_record(output)))
        else:
            failure = None
        assert failure is None or (failure.exit_status == 6 and "\n" not in str(failure))
        assert failure is not None or not system.failed or fault in ("EINTR", "short")
        monkeypatch.setattr(atomic, "_system", os)
        if table is None or not output.exists():
            run(sources, output, resume=True, batch_size=4)
        if table is None:
            assert_same(read_results(output), wanted)
        else:
            assert [path.read_bytes() for path in with_record(output)] == table
        assert sorted(folder.iterdir()) == with_record(output)
        shutil.rmtree(folder)
        if not system.failed:
            assert n > 1
            return
    raise AssertionError("no run came to its end")


def test_finished_parts_are_kept_when_the_disk_is_full(sources, wanted, tmp_path, monkeypatch):
    output = tmp_path / "x.h5"
    monkeypatch.setattr(atomic, "_system", Faulty("write", 8, "ENOSPC"))
    with pytest.raises(OutputError, match=r"no space left on device; what is finished is in .*x\.h5\.parts, --resume"):
        run(sources, output)
    assert len(list((tmp_path / "x.h5.parts").glob("*.h5"))) == 3
    monkeypatch.setattr(atomic, "_system", os)
    run(sources, output, resume=True)
    assert_same(read_results(output), wanted)


def test_killed_at_any_moment(tmp_path):
    """30 runs of 48 frames, killed at random moments and taken up until they come to their end."""
    seed = int(os.environ.get("FFBIDX_TEST_SEED", time.time_ns() % 2**32))
    print(f"FFBIDX_TEST_SEED={seed}")
    rng = random.Random(seed)
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    sources = make_inputs(inputs, 48)
    begin = time.monotonic()
    run(sources, tmp_path / "whole.h5", batch_size=4)
    seconds = time.monotonic() - begin
    whole = (tmp_path / "whole.h5").read_bytes()
    output = tmp_path / "x.h5"
    kills = 0
    while kills < KILLS:
        while _run_and_kill(sources, output, rng.uniform(0, 1.1 * seconds)):
            assert_whole_or_absent(output)
            kills += 1
            assert kills < 100 * KILLS, "no run comes to its end"
        assert output.read_bytes() == whole
        assert not (tmp_path / "x.h5.parts").exists()
        output.unlink()


def _run_and_kill(sources, output, seconds) -> bool:
    """Run in a child that is killed after so long; whether it was not over before."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            run(sources, output, resume=True, batch_size=4)
            status = 0
        finally:
            os._exit(status)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            return False
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.fixture
def in_child(monkeypatch):
    """Small outputs are joined as large ones are."""
    monkeypatch.setattr(join, "IN_MEMORY", 0)


def test_the_child_joins_the_same(sources, wanted, tmp_path, in_child):
    run(sources, tmp_path / "x.h5")
    assert_same(read_results(tmp_path / "x.h5"), wanted)
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", r"SIGSEGV \(is the disk full\?\)"),
        ("import sys; sys.exit('no space left on device')", "no space left on device"),
        ("import sys; sys.exit(7)", r"status 7 \(is the disk full\?\)"),
    ],
)
def test_a_child_that_fails_is_an_error_of_the_output(sources, wanted, tmp_path, in_child, monkeypatch, script, says):
    """HDF5 that meets a full disk ends its process."""
    output = tmp_path / "x.h5"
    monkeypatch.setattr(join, "CHILD", ("-c", script))
    with pytest.raises(OutputError, match=f"{says}; what is finished is in .*--resume") as caught:
        run(sources, output)
    assert caught.value.exit_status == 6
    assert not output.exists()
    monkeypatch.undo()
    run(sources, output, resume=True)
    assert_same(read_results(output), wanted)


def test_the_child_meets_a_full_disk(sources, wanted, tmp_path, in_child, monkeypatch):
    """A limit on the size of files stands for the disk."""
    output = tmp_path / "x.h5"
    script = (
        "import resource, signal, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000));"
        "from ffbidx_core.write.join import _child; _child(sys.argv[1])"
    )
    monkeypatch.setattr(join, "CHILD", ("-c", script))
    with pytest.raises(OutputError, match="--resume goes on"):
        run(sources, output)
    assert not output.exists()
    assert not list(tmp_path.rglob("*.part"))
    monkeypatch.undo()
    run(sources, output, resume=True)
    assert_same(read_results(output), wanted)


def test_a_target_that_cannot_be_written_is_told_before_the_run(sources, tmp_path):
    folder = tmp_path / "readonly"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write anywhere")
    with pytest.raises(OutputError, match="cannot be written to"):
        run(sources, folder / "x.h5")
