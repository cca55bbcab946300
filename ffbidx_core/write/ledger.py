"""A ledger: a file of JSON lines that only grows, each line on the disk before the next one is begun."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import InputError
from ..model.records.run import InputIdentity
from .atomic import append, remove_file, write_file


class Ledger:
    """A ledger on the disk.

    Attributes
    ----------
    lines : list of dict
        The whole lines. A line that was torn when the program died is left out, and the next takes its place.
    """

    def __init__(self, path: str, lines: list[dict[str, Any]], size: int) -> None:
        self.path, self.lines, self._size = path, lines, size

    @classmethod
    def begin(cls, path: str, lines: list[dict[str, Any]]) -> Ledger:
        """A new ledger that begins with these lines, all of them or none.

        Raises
        ------
        OutputError
            When it cannot be written.
        """
        data = b"".join(_line(line) for line in lines)
        write_file(path, data, overwrite=True)
        return cls(path, lines, len(data))

    @classmethod
    def open(cls, path: str) -> Ledger:
        """The ledger of a file.

        Raises
        ------
        InputError
            When it cannot be read, or a line that is not the last one is damaged.
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
                lines.append(json.loads(text))
            except ValueError:
                raise InputError(path, "is damaged: --overwrite starts the run again", f"line {number}") from None
        return cls(path, lines, len(whole))

    def add(self, line: dict[str, Any]) -> None:
        """Add a line; it is on the disk when this returns.

        Raises
        ------
        OutputError
            When it cannot be written.
        """
        data = _line(line)
        append(self.path, data, at=self._size)
        self._size += len(data)
        self.lines.append(line)

    def remove(self) -> None:
        """Remove the ledger, which is done before its saved parts go: a ledger never names a file that is not there."""
        remove_file(self.path)


class NotedInputs:
    """The inputs of a run in its ledger: those of the head, and those that came or grew with later saved parts.

    Attributes
    ----------
    inputs : list of InputIdentity
    """

    def __init__(self, inputs: Iterable[InputIdentity] = ()) -> None:
        self.inputs = list(inputs)

    @classmethod
    def of_lines(cls, lines: Sequence[dict[str, Any]]) -> NotedInputs:
        """The inputs in the lines of a ledger, without its head."""
        noted = cls(InputIdentity(*line["input"]) for line in lines if "input" in line)
        for line in lines:
            for number, *values in line.get("inputs", ()):
                noted.inputs[number : number + 1] = [InputIdentity(*values)]
        return noted

    def news(self, inputs: Iterable[InputIdentity]) -> list[list[Any]]:
        """Number and identity of each input that is new or has changed since the last call."""
        before, self.inputs = self.inputs, list(inputs)
        return [[k, *now] for k, now in enumerate(self.inputs) if before[k : k + 1] != [now]]


def _line(line: dict[str, Any]) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"
