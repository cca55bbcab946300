"""How an input file is recognised: size and content hash."""

import os
from pathlib import Path

import pytest

from ffbidx_core.read import Source
from ffbidx_core.read.files.identity import (
    BLOCKS,
    LARGEST_SAMPLE,
    MOST_READ,
    SMALLEST_SAMPLE,
    identities,
    identity,
    identity_now,
    sample_of,
)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "spots.bin"
    path.write_bytes(os.urandom(100_000))
    return str(path)


def change(path: str, at: int) -> None:
    """Another byte, and the time of modification that was before."""
    before = os.stat(path)
    with open(path, "r+b") as opened:
        opened.seek(at)
        byte = opened.read(1)
        opened.seek(at)
        opened.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_copy_is_the_same_whatever_its_time(file: str) -> None:
    then = identity(file)
    os.utime(file, ns=(1, 1))
    assert identity(file).change(then) is None


@pytest.mark.parametrize("at", [0, 50_001, 99_999])
def test_a_byte_that_is_another_is_seen_though_size_and_time_are_the_same(file: str, at: int) -> None:
    then = identity(file)
    change(file, at)
    now = identity(file)
    assert (now.size, now.mtime_ns) == (then.size, then.mtime_ns)
    assert now.change(then) == "its size is the same, but not its content"


@pytest.mark.parametrize("at", [0, 1023, 99_999, (100_000 - 1024) // (BLOCKS - 1)])
def test_of_a_large_file_blocks_are_looked_at(file: str, at: int) -> None:
    sample = 1024 * BLOCKS
    then = identity(file, sample)
    assert then.digest.startswith(f"{sample}:")
    change(file, 1024)
    assert identity(file, sample).change(then) is None
    change(file, at)
    assert identity(file, sample).change(then) is not None


def test_another_size(file: str) -> None:
    then = identity(file)
    with open(file, "ab") as opened:
        opened.write(b"x")
    assert identity(file).change(then) == "100000 bytes then, 100001 now"


def test_hashes_of_other_numbers_of_bytes_leave_it_to_the_time(file: str) -> None:
    then = identity(file, 1024 * BLOCKS)
    assert identity(file).change(then) is None
    os.utime(file, ns=(1, 1))
    assert identity(file).change(then) == "it was modified"
    # Whoever has the earlier one makes one like it.
    assert identity_now(file, then).change(then) is None


def test_what_is_read_of_many_files_has_a_limit() -> None:
    assert sample_of(1) == sample_of(MOST_READ // LARGEST_SAMPLE) == LARGEST_SAMPLE
    assert sample_of(10**6) == SMALLEST_SAMPLE
    for n in (20, 1000, 16_000):
        assert n * sample_of(n) <= MOST_READ < 2 * (n * sample_of(n) + n * sample_of(n))
    assert sample_of(1000) == sample_of(1010)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("not-there", "pipe", "null\0"):
        path = name if "\0" in name else str(tmp_path / name)
        found = identity(path)
        assert found.digest == ""
        assert found.change(found) is None


def test_a_file_that_comes_or_goes(file: str) -> None:
    there = identity(file)
    os.unlink(file)
    assert identity(file).change(there) == "it is not there any more"
    assert there.change(identity(file)) == "it was not there, is there now"


def test_frames_of_a_file_share_what_is_known_of_it(file: str) -> None:
    whole, third = identities([Source(file), Source(file, 3)])
    assert (whole.frame, third.frame) == (-1, 3)
    assert whole[2:] == third[2:] == identity(file)[2:]
