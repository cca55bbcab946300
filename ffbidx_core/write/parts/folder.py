"""The folder beside an output in which a run keeps its saved parts, with the ledger that names them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import zlib
from collections.abc import Iterable
from typing import Any

from ...errors import InputError, OutputError
from ...model.records.frame import Place
from ...model.records.run import InputIdentity, Learned, Mark, RunRecord
from ..atomic import beside, copy_file, make_directory, publish_file, remove_directory, remove_file, write_file
from ..formats.names import LEDGER
from ..ledger import DAMAGED, Ledger, NotedInputs, checksum_of

LEDGER_FORMAT, LEDGER_VERSION = "ffbidx-ledger", 1
PART_NAME, UNFINISHED_NAME = re.compile(r"\d{6,}\.h5"), re.compile(r"\.ffbidx-[0-9a-f]+\.part")
"""Names of the files of saved parts, and of a joined file until it is finished."""
PART = "shard"
"""Key of the ledger lines that name a saved part, kept so that runs of earlier versions can be resumed."""


class PartsFolder:
    """The folder of a run's saved parts, which is made with the first part and locked by one program at a time.

    Attributes
    ----------
    path : str
        Name of the folder.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._ledger: Ledger | None = None
        self._noted = NotedInputs()
        self._lock = -1

    @property
    def is_begun(self) -> bool:
        """Whether this run has a ledger in the folder."""
        return self._ledger is not None

    @property
    def has_ledger(self) -> bool:
        """Whether a run has left a ledger in the folder."""
        return os.path.lexists(self._ledger_path)

    @property
    def has_parts(self) -> bool:
        """Whether a run has left a ledger, in whatever state, and a saved part; true if the folder cannot be listed."""
        if not self.has_ledger:
            return False
        try:
            return any(map(PART_NAME.fullmatch, os.listdir(self.path)))
        except OSError:
            return True

    def unfinished(self, output: str) -> str:
        """Name of the joined file of an output until it is finished, on the file system of the output.

        It is the same in the runs that resume a run, so that each removes the file that a killed one has left.
        """
        target = os.path.realpath(output)
        name = self._unfinished_name
        return os.path.join(os.path.dirname(target), name) if name else beside(target, ".part")

    @property
    def _unfinished_name(self) -> str:
        """Name, without directory, of unfinished joined files; empty if no ledger has one."""
        try:
            head, *_ = [*(self._ledger or Ledger.open(self._ledger_path)).lines, {}]
        except InputError:
            return ""
        name = str(head.get("unfinished", ""))
        return name if UNFINISHED_NAME.fullmatch(name) else ""

    def remove_unfinished(self, outputs: Iterable[str]) -> None:
        """Remove the joined files that a killed run has left beside these outputs."""
        for output in outputs:
            remove_file(self.unfinished(output))

    @property
    def _ledger_path(self) -> str:
        return os.path.join(self.path, LEDGER)

    @property
    def _lines(self) -> list[dict[str, Any]]:
        """The lines of the ledger that name saved parts."""
        return [] if self._ledger is None else [line for line in self._ledger.lines if PART in line]

    @property
    def parts(self) -> list[str]:
        """The names of the files of the saved parts, in their order."""
        return [path for path, _ in self.parts_with_checksums]

    @property
    def parts_with_checksums(self) -> list[tuple[str, int]]:
        """The name and the CRC-32 of the file of each saved part, in their order."""
        return [(os.path.join(self.path, line[PART]), line["crc32"]) for line in self._lines]

    def hold(self) -> None:
        """Lock the folder, if it exists, against other programs.

        Raises
        ------
        OutputError
            If another program holds the lock.
        """
        while self._lock < 0:
            try:
                self._lock = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._release()
                raise OutputError(self.path, "another run is at work on it") from None
            except OSError:
                # Some file systems have no locks.
                return
            if not self._is_locked_folder_there:
                self._release()

    @property
    def _is_locked_folder_there(self) -> bool:
        """Whether the locked folder is the one of this name, which another program may have removed meanwhile."""
        try:
            return os.path.samestat(os.fstat(self._lock), os.stat(self.path))
        except OSError:
            return False

    def _release(self) -> None:
        """Release the lock."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def left(self) -> tuple[Ledger, RunRecord, Place]:
        """The ledger that a run has left, the record of this run, and the place after its saved frames.

        Raises
        ------
        InputError
            If the ledger cannot be read or is not a ledger.
        """
        ledger = Ledger.open(self._ledger_path)
        head = ledger.lines[0] if ledger.lines else {}
        if head.get("format") != LEDGER_FORMAT or head.get("format_version") != LEDGER_VERSION:
            raise InputError(ledger.path, "is no ledger of this program: --overwrite starts the run again")
        inputs = NotedInputs.of_lines(ledger.lines[1:]).inputs
        ends = [line["mark"]["end"] for line in ledger.lines if PART in line]
        return ledger, RunRecord(head["settings"], tuple(inputs)), Place(*ends[-1]) if ends else Place()

    def take_up(self, ledger: Ledger) -> tuple[Mark, list[Learned] | None, list[str]]:
        """Resume a ledger as far as its saved parts are undamaged; returns progress, learned cells, and notes."""
        self._noted = NotedInputs.of_lines(ledger.lines[1:])
        lines, notes = ledger.lines, []
        for number, line in enumerate(lines):
            if PART in line and (problem := self._damage_of(line)):
                lines = lines[:number]
                notes.append(f"{problem}; the frames from there on are computed again")
                break
        self._ledger = Ledger.begin(ledger.path, lines) if notes else ledger
        return *progress_of(lines), notes

    def begin(self, record: RunRecord, groups: list[Learned] | None) -> None:
        """Begin the ledger, unless it has been begun, with the record of the run and its learned cells so far.

        Raises
        ------
        OutputError
            If another run is at work in the folder or has left parts there, or the ledger cannot be written.
        """
        if self._ledger is not None:
            return
        make_directory(self.path)
        self.hold()
        if self.has_parts:
            raise OutputError(self.path, "another run has left saved parts in it meanwhile: --resume goes on with it")
        self._noted = NotedInputs(record.inputs)
        lines: list[dict[str, Any]] = [
            {
                "format": LEDGER_FORMAT,
                "format_version": LEDGER_VERSION,
                "settings": record.settings,
                "inputs": len(self._noted.inputs),
                "unfinished": beside("", ".part"),
            }
        ]
        lines += [{"input": list(source)} for source in self._noted.inputs]
        if groups is not None:
            lines.append(_line_of(groups))
        self._ledger = Ledger.begin(self._ledger_path, lines)

    def learned(self, groups: list[Learned]) -> None:
        """Add learned cells to a ledger that has been begun."""
        if self._ledger is not None:
            self._ledger.add(_line_of(groups))

    def save(self, image: bytes, mark: Mark, inputs: Iterable[InputIdentity] | None) -> None:
        """Save the bytes of the next part; `inputs` are the inputs begun so far, for a run that follows its inputs."""
        path = self._part_path(len(self.parts))
        write_file(path, image, overwrite=True)
        self._add(path, mark, zlib.crc32(image), inputs)

    def adopt(self, path: str, mark: Mark, crc32: int) -> None:
        """Give a file that a worker has saved in this folder the name of the next part."""
        part = self._part_path(len(self.parts))
        publish_file(path, part, overwrite=True)
        self._add(part, mark, crc32, None)

    def copy(self, results: str, mark: Mark, inputs: Iterable[InputIdentity] | None) -> None:
        """Save a copy of a results file as the first part."""
        path = self._part_path(0)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        copy_file(results, path)
        self._add(path, mark, checksum_of(path), inputs)

    def _part_path(self, number: int) -> str:
        return os.path.join(self.path, f"{number:06d}.h5")

    def _add(self, path: str, mark: Mark, checksum: int, inputs: Iterable[InputIdentity] | None) -> None:
        assert self._ledger is not None
        line = {PART: os.path.basename(path), "mark": mark.as_dict(), "crc32": checksum}
        if inputs is not None:
            line["inputs"] = self._noted.news(inputs)
        self._ledger.add(line)

    def first_damage(self) -> str:
        """A message about the first damaged part; empty if all parts are undamaged."""
        return next(filter(None, map(self._damage_of, self._lines)), "")

    def _damage_of(self, line: dict[str, Any]) -> str:
        path = os.path.join(self.path, line[PART])
        try:
            found = checksum_of(path)
        except OSError as error:
            return f"{path}: cannot be read: {(error.strerror or str(error)).lower()}"
        return "" if found == line["crc32"] else f"{path}: {DAMAGED}"

    def clear(self, outputs: Iterable[str]) -> None:
        """Remove the folder of another run, what this run has left beside its outputs, and the lock on the folder.

        Raises
        ------
        OutputError
            If another program holds the lock.
        """
        self.hold()
        self.remove_unfinished(outputs)
        remove_directory(self.path)
        self._release()

    def remove(self) -> None:
        """Remove the ledger and then the saved parts of this run."""
        if self._ledger is not None:
            self._ledger.remove()
            remove_directory(self.path)
            self._ledger = None

    def close(self) -> None:
        """Release the lock, and remove the folder if no part was saved."""
        if self._ledger is not None and not self._lines:
            remove_directory(self.path)
        self._release()


def is_seen(folder: str) -> bool:
    """Whether a worker, perhaps on another machine, sees the folder of a run's saved parts."""
    return os.path.exists(os.path.join(folder, LEDGER))


def save_part(folder: str, image: bytes) -> str:
    """Save the bytes of a part under a new name in a folder, where the run takes it over; returns the path."""
    path = os.path.join(folder, f"task-{secrets.token_hex(8)}.h5")
    write_file(path, image, overwrite=False)
    return path


def progress_of(lines: Iterable[dict[str, Any]]) -> tuple[Mark, list[Learned] | None]:
    """The progress of a run and its learned cells (None: nothing yet), from the lines of its ledger."""
    mark, groups = Mark(), None
    for line in lines:
        if PART in line:
            mark.extend(Mark.from_dict(line["mark"]))
        elif "learned" in line:
            groups = [Learned.from_dict(values) for values in line["learned"]]
    return mark, groups


def _line_of(groups: list[Learned]) -> dict[str, Any]:
    return {"learned": [group.as_dict() for group in groups]}
