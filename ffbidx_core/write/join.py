"""Joining results files to one in bounded memory, for large files in a child process while the run goes on.

HDF5 may end the whole process if the disk is full, so large files are not written by the process of the run.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import h5py
import numpy as np

from ..errors import FfbidxError, InputError, OutputError
from ..model.records.results import Results
from ..read.ahead import read_ahead
from ..read.results import results_in_pieces
from .atomic import beside, publish_file, remove_file, sync_file, write_file
from .ending import Ending
from .growing_file import FRAMES_AT_ONCE, GrowingFile
from .ledger import DAMAGED, checksum_of
from .results import as_texts, write_attributes

IN_MEMORY = 4 * 2**20
"""Total size of parts in bytes up to which they are joined in memory, without a child process."""
CHILD = ("-m", "ffbidx_core.write.join")
"""Arguments of the interpreter for the child process."""

_INPUT_COLUMNS = {"frame": "i8", "size": "i8", "mtime_ns": "i8"}


def write_joined(
    path: str, parts: Sequence[str | Results], ending: Ending, *, overwrite: bool, temporary: str = ""
) -> None:
    """Join results, and write the joined file; a child process does this for large files.

    Parameters
    ----------
    parts
        Names of results files, or results in memory.
    temporary
        Name of a large file until it is finished, on the file system of `path`. Empty: a new name.

    Raises
    ------
    OutputError
        If the file cannot be written; then nothing of it remains.
    """
    names = [part for part in parts if isinstance(part, str)]
    if len(names) < len(parts) or not are_large(names):
        image = io.BytesIO()
        with h5py.File(image, "w", libver="earliest") as file:
            join(file, itertools.chain.from_iterable(map(_in_pieces, parts)), lambda: ending)
        write_file(path, image.getvalue(), overwrite)
        return
    with contextlib.closing(JoinAhead(temporary or beside(os.path.realpath(path), ".part"))) as ahead:
        for name in names:
            ahead.add(name)
        ahead.publish(path, ending, overwrite)


def are_large(parts: Sequence[str]) -> bool:
    """Whether a child process joins these files: together they hold more than `IN_MEMORY` bytes."""
    return sum(map(os.path.getsize, parts)) > IN_MEMORY


class JoinAhead:
    """A child process that joins results files as they come, while the run goes on.

    Parameters
    ----------
    temporary
        Name of the file until it is finished, on the file system of the output; an existing one is removed.

    Attributes
    ----------
    n_parts : int
        Number of files that the child has been given.
    """

    def __init__(self, temporary: str) -> None:
        self._temporary = temporary
        self._remove()
        self.n_parts, self._has_ended = 0, False
        # The child has a session of its own, because Ctrl-C is meant for the run, which ends at the second one.
        self._child = subprocess.Popen(
            [sys.executable, *CHILD, self._temporary],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )

    def add(self, part: str, crc32: int | None = None) -> None:
        """Make the child append a results file; None: its checksum is not known."""
        self.n_parts += 1
        self._send(json.dumps([part, crc32]).encode())

    def end(self) -> None:
        """Declare that no further files come: the child writes what it has to the disk, while the run goes on."""
        if not self._has_ended:
            self._has_ended = True
            self._send(b"")

    def _send(self, line: bytes) -> None:
        assert self._child.stdin is not None
        # A child that has failed reports it at the end.
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write(line + b"\n")

    def publish(self, path: str, ending: Ending, overwrite: bool) -> None:
        """Make the child write the remaining contents, and give the file its name.

        Raises
        ------
        OutputError
            If the file cannot be written; then nothing of it remains.
        """
        self.end()
        _, output = self._child.communicate(ending.as_json().encode())
        status, errors = self._child.returncode, output.decode("utf-8", "surrogateescape")
        if status == 0:
            publish_file(self._temporary, path, overwrite)
            return
        if status > 0 and errors.strip():
            raise OutputError(path, f"cannot be written: {errors.strip().splitlines()[-1]}")
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        raise OutputError(path, f"cannot be written: joining the results ended with {how} (is the disk full?)")

    def close(self) -> None:
        """End the child, and remove a file that was not published."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.communicate()
        self._remove()

    def _remove(self) -> None:
        remove_file(self._temporary)


def _in_pieces(part: str | Results) -> Iterable[Results]:
    """Results in memory, or those in a file, in pieces."""
    return [part] if isinstance(part, Results) else results_in_pieces(part, FRAMES_AT_ONCE)


def join(file: h5py.File, pieces: Iterable[Results], ending: Callable[[], Ending]) -> None:
    """Write results, one after the other, to an empty HDF5 file, and then the contents of the ending.

    Parameters
    ----------
    pieces
        The results, which are taken as they come.
    ending
        Function that returns the remaining contents, called after the last piece.
    """
    columns = GrowingFile(file)
    for piece in pieces:
        columns.add(piece)
    columns.end()
    last = ending()
    write_attributes(file, last.header, last.complete)
    _write_run(file, last)


def _write_run(file: h5py.File, ending: Ending) -> None:
    text = h5py.string_dtype("utf-8")
    learned = None if ending.learned is None else [group.as_dict() for group in ending.learned]
    record = ending.record
    words = {
        "settings": record.settings,
        "config": record.config,
        "versions": record.versions,
        "mark": ending.mark.as_dict(),
        "learned": learned,
        "doubt": ending.mark.contest.as_dict(),
    } | ({"cell_search": record.cell_search} if record.cell_search else {})
    if learned and "distortion" in learned[0]:
        words["distortion"] = learned[0]["distortion"]
    for name, value in words.items():
        file.create_dataset(f"run/{name}", data=json.dumps(value), dtype=text)
    inputs = ending.record.inputs
    file.create_dataset("run/input/path", data=as_texts([source.path for source in inputs]), dtype=text)
    for name, kind in _INPUT_COLUMNS.items():
        file.create_dataset(f"run/input/{name}", data=np.array([getattr(row, name) for row in inputs], dtype=kind))
    file.create_dataset("run/input/digest", data=as_texts([source.digest for source in inputs]), dtype=text)


def _child(temporary: str) -> NoReturn:
    """Join the parts that lines of standard input name; this is the program of the child of `JoinAhead`."""
    stream = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="surrogateescape")
    # There is no file before there is a part: a run that has none may end in any way.
    if not (first := stream.readline()):
        os._exit(1)
    lines = itertools.chain([first], iter(stream.readline, ""))
    with errors_in_a_line(), h5py.File(temporary, "w", libver="earliest") as file:
        join(file, _pieces(lines, temporary), lambda: _ending(stream, temporary, file))
    # The end of the interpreter, for which the run would wait, has nothing left to do.
    os._exit(0)


@contextlib.contextmanager
def errors_in_a_line() -> Iterator[None]:
    """A context in which an error ends a child process with a line on standard error, for its parent."""
    try:
        yield
    except (OSError, RuntimeError, FfbidxError) as error:
        print(" ".join(str(error).split()), file=sys.stderr, flush=True)
        # A normal exit would make HDF5 write its buffers again.
        os._exit(1)


def _pieces(lines: Iterable[str], temporary: str) -> Iterator[Results]:
    """The results in the parts that lines up to an empty one name, each after its checksum was compared.

    Threads compare the checksums of the next parts and sync the joined file meanwhile, so that at the end of the run
    the disk has little left to do.
    """
    with ThreadPoolExecutor(1) as pool:
        synced = pool.submit(sync_file, temporary)
        for path, is_own in read_ahead(_undamaged(lines)):
            yield from results_in_pieces(path, FRAMES_AT_ONCE, is_own=is_own)
            if synced.done():
                synced.result()
                synced = pool.submit(sync_file, temporary)
        synced.result()


def _undamaged(lines: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """The names of the parts in lines up to an empty one, and whether the checksum of each is known, and is right."""
    for line in itertools.takewhile(str.strip, lines):
        path, crc32 = json.loads(line)
        if crc32 is not None and checksum_of(path) != crc32:
            raise InputError(path, DAMAGED)
        yield path, crc32 is not None


def _ending(stream: io.TextIOWrapper, temporary: str, file: h5py.File) -> Ending:
    # The run, which still judges its crystals, syncs the file once more when it is whole.
    sync_file(temporary)
    text = stream.read()
    if not text:
        # The process of the run has ended. A run that resumes it may be writing another file of this name by now.
        if os.path.samestat(os.stat(temporary), os.fstat(file.id.get_vfd_handle())):
            os.unlink(temporary)
        os._exit(1)
    return Ending.from_json(text)


if __name__ == "__main__":
    _child(sys.argv[1])
