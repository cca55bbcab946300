"""The ledger: a file of JSON lines that only grows; each line is on the disk before the next one is begun."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import InputError
from ..model.records.run import InputIdentity
from .atomic import append, pieces_of, remove_file, write_file

DAMAGED = "is damaged, its checksum is wrong"


class Ledger:
    """A ledger on the disk.

    Attributes
    ----------
    lines : list of dict
        The complete lines. An incomplete last line of a program that died is left out, and the next line replaces it.
    """

    def __init__(self, path: str, lines: list[dict[str, Any]], size: int) -> None:
        self.path, self.lines, self._size = path, lines, size

    @classmethod
    def begin(cls, path: str, lines: list[dict[str, Any]]) -> Ledger:
        """Make a new ledger that begins with these lines; either all of them are written or none.

        Raises
        ------
        OutputError
            If the ledger cannot be written.
        """
        data = b"".join(_line(line) for line in lines)
        write_file(path, data, overwrite=True)
        return cls(path, lines, len(data))

    @classmethod
    def open(cls, path: str) -> Ledger:
        """Open the ledger in a file.

        Raises
        ------
        InputError
            If the ledger cannot be read, or a line other than the last one is damaged.
        """
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise InputError(path, f"cannot be read: {(error.strerror or str(error)).lower()}") from None
        whole = data[: data.rfind(b"\n") + 1]
        lines = []
        for number, text in enumerate(whole.splitlines(), start=1):
            try:
                line = json.loads(text)
            except ValueError:
                line = None
            if not isinstance(line, dict):
                raise InputError(path, "is damaged: --overwrite starts the run again", f"line {number}")
            lines.append(line)
        return cls(path, lines, len(whole))

    def add(self, line: dict[str, Any]) -> None:
        """Add a line, and wait until it is on the disk.

        Raises
        ------
        OutputError
            If the line cannot be written.
        """
        data = _line(line)
        append(self.path, data, at=self._size)
        self._size += len(data)
        self.lines.append(line)

    def remove(self) -> None:
        """Remove the ledger; this is done before its saved parts are removed, so it never names a missing file."""
        remove_file(self.path)


class NotedInputs:
    """The inputs of a run in its ledger: those in the head, and those that were added or grew with later saved parts.

    Attributes
    ----------
    inputs : list of InputIdentity
        Identities of the inputs, in their order.
    """

    def __init__(self, inputs: Iterable[InputIdentity] = ()) -> None:
        self.inputs = list(inputs)

    @classmethod
    def of_lines(cls, lines: Sequence[dict[str, Any]]) -> NotedInputs:
        """The inputs in the lines of a ledger other than its head."""
        noted = cls(InputIdentity(*line["input"]) for line in lines if "input" in line)
        for line in lines:
            for number, *values in line.get("inputs", ()):
                noted.inputs[number : number + 1] = [InputIdentity(*values)]
        return noted

    def news(self, inputs: Iterable[InputIdentity]) -> list[list[Any]]:
        """The number and identity of each input that is new or has changed since the last call."""
        before, self.inputs = self.inputs, list(inputs)
        return [[k, *now] for k, now in enumerate(self.inputs) if before[k : k + 1] != [now]]


def _line(line: dict[str, Any]) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def checksum_of(path: str) -> int:
    """The CRC-32 of a file, which the ledger keeps for each saved part."""
    value = 0
    with open(path, "rb") as file:
        for piece in pieces_of(file):
            value = zlib.crc32(piece, value)
    return value
