"""Errors of ffbidx.

Each carries what a user needs to mend it: the file, the place in it, what was found and what is wanted.
`exit_status` is what the command returns for it (see docs/status.md).
"""

from __future__ import annotations


class FfbidxError(Exception):
    """Base of all errors that a user can cause and mend."""

    exit_status = 1


class UsageError(FfbidxError):
    """Options that cannot be used, alone or together."""

    exit_status = 2


class CellError(FfbidxError, ValueError):
    """An input cell that cannot be used: singular, not finite, or not a cell at all."""

    exit_status = 2


class ParameterError(FfbidxError, ValueError):
    """A parameter out of its range.

    Parameters
    ----------
    name, value, wanted
        The parameter, what was given for it, and the range in words.
    """

    exit_status = 2

    def __init__(self, name: str, value: object, wanted: str) -> None:
        self.name, self.value, self.wanted = name, value, wanted
        super().__init__(f"{name} = {value!r} is out of range: {wanted}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name, self.value, self.wanted)


class ArrayError(FfbidxError, ValueError):
    """An array that cannot be used: another shape, type or content than is wanted.

    Parameters
    ----------
    name, given, wanted
        The argument, what it has, and what is wanted instead.
    """

    exit_status = 2

    def __init__(self, name: str, given: str, wanted: str) -> None:
        self.name, self.given, self.wanted = name, given, wanted
        super().__init__(f"{name} has {given}; wanted is {wanted}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name, self.given, self.wanted)


class InputError(FfbidxError):
    """An input file, or a place in one, that cannot be read.

    Parameters
    ----------
    path
        The file as the user named it.
    problem
        What is wrong and what is wanted, without a full stop.
    place
        Line, dataset or frame inside the file.
    """

    exit_status = 2

    def __init__(self, path: object, problem: str, place: str = "") -> None:
        self.path, self.problem, self.place = str(path), problem, place
        where = f"{self.path}, {place}" if place else self.path
        super().__init__(f"{where}: {problem}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, self.problem, self.place)


class NothingProcessed(FfbidxError):
    """Several inputs, or only bad frames, and nothing could be processed."""

    exit_status = 5


class NoCell(NothingProcessed):
    """No unit cell is found, or none where one is needed."""


class BackendUnavailable(FfbidxError, RuntimeError):
    """The backend or device asked for is not on this machine, or the workers of a cluster are not there."""

    exit_status = 4


class OutputError(FfbidxError):
    """A result that could not be written: full disk, no permission, already there."""

    exit_status = 6

    def __init__(self, path: object, problem: str) -> None:
        self.path, self.problem = str(path), problem
        super().__init__(f"{self.path}: {problem}")
