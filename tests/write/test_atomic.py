import errno
import itertools
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ffbidx_core.errors import OutputError
from ffbidx_core.write import write_file
from ffbidx_core.write.atomic import write_all, write_files
from ffbidx_core.write.scratch import scratch

CONTENT = bytes(range(256)) * 100


def fail(number: int, name: str = "write") -> Callable[..., int]:
    def call(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return call


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("data", [b"", CONTENT, [CONTENT[:5], b"", CONTENT[5:]]])
def test_a_file_is_written(tmp_path: Path, data: bytes | list[bytes], overwrite: bool) -> None:
    path = tmp_path / "out.h5"
    write_file(str(path), data, overwrite)
    assert path.read_bytes() == (data if isinstance(data, bytes) else b"".join(data))
    assert names(tmp_path) == ["out.h5"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_a_relative_name_and_the_longest_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_file("a" * 255, CONTENT, False)
    assert names(tmp_path) == ["a" * 255]


def test_an_existing_file_is_replaced_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    path.write_bytes(b"old")
    with pytest.raises(OutputError, match="is already there, written by another program meanwhile"):
        write_file(str(path), CONTENT, False)
    assert path.read_bytes() == b"old"
    write_file(str(path), CONTENT, True)
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == ["out.h5"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("link_error", [errno.EPERM, errno.ENOTSUP])
def test_file_systems_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool, link_error: int
) -> None:
    monkeypatch.setattr(os, "link", fail(link_error))
    path = tmp_path / "out.h5"
    write_file(str(path), CONTENT, overwrite)
    assert path.read_bytes() == CONTENT
    with pytest.raises(OutputError, match="is already there"):
        write_file(str(path), b"new", False)
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == ["out.h5"]


def test_what_a_symbolic_link_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link, target = tmp_path / "link", tmp_path / "there" / "out"
    link.symlink_to(target)
    write_file(str(link), b"1", False)
    write_file(str(link), b"2", True)
    assert link.is_symlink()
    assert target.read_bytes() == b"2"


@pytest.mark.parametrize("most", [1, 1000])
def test_short_and_interrupted_writes_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    real, calls = os.write, iter(range(10**6))

    def short(descriptor: int, data: memoryview) -> int:
        if next(calls) % 3 == 1:
            raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR))
        return real(descriptor, data[:most])

    monkeypatch.setattr(os, "write", short)
    write_file(str(tmp_path / "out"), CONTENT[:3000], False)
    monkeypatch.undo()
    assert (tmp_path / "out").read_bytes() == CONTENT[:3000]


def full_after(n: int) -> Callable[[int, memoryview], int]:
    """A disk with room for n bytes."""
    real, left = os.write, n

    def write(descriptor: int, data: memoryview) -> int:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real(descriptor, data[:left])
        left -= written
        return written

    return write


FAILURES = {
    "full disk": ("write", full_after(1000), "no space left on device"),
    "full disk at the start": ("write", full_after(0), "no space left on device"),
    "no progress": ("write", lambda *_: 0, "input/output error"),
    "quota": ("write", fail(errno.EDQUOT), "disk quota exceeded|quota"),
    "full disk at sync": ("fsync", fail(errno.ENOSPC), "no space left on device"),
    "broken disk": ("fsync", fail(errno.EIO), "input/output error"),
    "read only": ("open", fail(errno.EROFS), "read-only file system"),
    "no rename": ("replace", fail(errno.EACCES), "permission denied"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_an_output_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / "out.h5"
    path.write_bytes(b"old")
    function, replacement, problem = FAILURES[name]
    monkeypatch.setattr(os, function, replacement)
    with pytest.raises(OutputError, match=f"^{path}: cannot be written: ({problem})") as caught:
        write_file(str(path), CONTENT, True)
    monkeypatch.undo()
    assert caught.value.exit_status == 6
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["out.h5"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux only")
def test_a_full_device() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(OSError, match="No space left on device"):
            write_all(descriptor, CONTENT)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_stop_in_the_middle_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def pieces() -> Iterator[bytes]:
        yield CONTENT
        raise error

    with pytest.raises(error):
        write_file(str(tmp_path / "out"), pieces(), False)
    assert names(tmp_path) == []


def test_files_that_belong_together_are_all_there_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / name for name in ("a", "b")]
    contents = {str(path): [path.name.encode(), CONTENT] for path in paths}
    # One that is there keeps the other from being written.
    paths[1].write_bytes(b"old")
    with pytest.raises(OutputError, match=f"^{paths[1]}: is already there"):
        write_files(contents, False)
    assert (names(tmp_path), paths[1].read_bytes()) == (["b"], b"old")
    write_files(contents, True)
    assert [path.read_bytes() for path in paths] == [b"a" + CONTENT, b"b" + CONTENT]
    # None gets its name while another is not on the disk, whose content may be what goes wrong.
    with pytest.raises(OutputError, match=f"^{paths[1]}: cannot be written"):
        write_files({str(paths[0]): b"new", str(paths[1]): waiting(tmp_path / "not-there")}, True)
    assert [path.read_bytes() for path in paths] == [b"a" + CONTENT, b"b" + CONTENT]


def second_fails(name: str) -> Callable[[str, str], None]:
    """A function of `os` of two paths whose second call fails, and no other."""
    real, calls = getattr(os, name), itertools.count(1)

    def call(source: str, target: str) -> None:
        if next(calls) == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(source, target)

    return call


@pytest.mark.parametrize("has_links", [True, False])
@pytest.mark.parametrize("there", [("a", "b", "c"), ("a", "c"), ("b",), ()])
def test_replaced_files_come_back_when_another_cannot_get_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...], has_links: bool
) -> None:
    for name in there:
        (tmp_path / name).write_bytes(f"old {name}".encode())
    contents = {str(tmp_path / name): f"new {name}".encode() for name in "abc"}
    if not has_links:
        monkeypatch.setattr(os, "link", fail(errno.EPERM))
    monkeypatch.setattr(os, "replace", second_fails("replace"))
    with pytest.raises(OutputError, match=f"^{tmp_path / 'b'}: cannot be written: input/output error"):
        write_files(contents, True)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: f"old {name}" for name in there}
    # The next try finds nothing in its way, and leaves nothing of the old ones.
    write_files(contents, True)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: f"new {name}" for name in "abc"}


@pytest.mark.parametrize("name", ["link", "replace"])
def test_a_stop_between_two_names_brings_replaced_files_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    contents = {str(tmp_path / name): f"new {name}".encode() for name in "ab"}
    for path in contents:
        Path(path).write_bytes(b"old")
    real, calls = getattr(os, name), itertools.count(1)

    def call(source: str, target: str) -> None:
        real(source, target)
        if next(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, name, call)
    with pytest.raises(KeyboardInterrupt):
        write_files(contents, True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old", "b": b"old"}


def test_a_directory_that_cannot_be_synced_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def sync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    write_file(str(tmp_path / "out"), CONTENT, False)
    assert (tmp_path / "out").read_bytes() == CONTENT


def waiting(folder: Path) -> Iterator[bytes]:
    with scratch(str(folder)) as room:
        for piece in (CONTENT[:7], b"", CONTENT[7:]):
            room.add(piece)
        assert room.size == len(CONTENT)
        yield from room.pieces()


def test_bytes_that_wait_on_the_disk(tmp_path: Path) -> None:
    write_file(str(tmp_path / "out"), waiting(tmp_path), False)
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert names(tmp_path) == ["out"]


def test_no_room_for_bytes_that_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", fail(errno.ENOSPC))
    with pytest.raises(OutputError, match="no space left"):
        write_file(str(tmp_path / "out"), waiting(tmp_path), False)
    with pytest.raises(OutputError, match="no such file"):
        write_file(str(tmp_path / "out"), waiting(tmp_path / "not-there"), False)
    assert names(tmp_path) == []
