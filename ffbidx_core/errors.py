"""The errors that ffbidx raises.

The message of each error is one line that gives a user the means to correct the cause: the file, the place inside the
file, the value found and the value expected. The command ends with the error's `exit_status` (see docs/status.md).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Instead:
    """What to type instead of a wrong value of an option.

    Attributes
    ----------
    option : str
        The option as it is typed.
    value : str
        The right value.
    condition : str
        The condition for the value to be right, in words; empty if there is none.
    typed : str
        The wrong value as it was typed, where the option may be given several times; empty for any value.
    """

    option: str
    value: str
    condition: str = ""
    typed: str = ""


class FfbidxError(Exception):
    """Base class of all errors that a user can cause and correct.

    Attributes
    ----------
    instead : Instead or None
        What to type instead, if that is known.
    """

    exit_status = 1
    instead: Instead | None = None


class UsageError(FfbidxError):
    """An option cannot be used as given, or not together with another option."""

    exit_status = 2


class CellError(FfbidxError, ValueError):
    """An input cell is unusable: its vectors are singular or not finite, or the text describes no unit cell."""

    exit_status = 2


class RadianError(CellError):
    """Angles of a cell seem to be in radians.

    Parameters
    ----------
    message
        The angles, in words.
    parameters
        a, b, c in angstrom, alpha, beta, gamma in degrees, with these angles converted.
    """

    def __init__(self, message: str, parameters: tuple[float, ...]) -> None:
        self.message, self.parameters = message, parameters
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message, self.parameters)


class ParameterError(FfbidxError, ValueError):
    """A parameter has a value outside its range.

    Parameters
    ----------
    name
        Name of the parameter.
    value
        Value that was given.
    wanted
        The allowed range in words.
    """

    exit_status = 2

    def __init__(self, name: str, value: object, wanted: str) -> None:
        self.name, self.value, self.wanted = name, value, wanted
        super().__init__(f"{name} = {value!r} is out of range: {wanted}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name, self.value, self.wanted)


class ArrayError(FfbidxError, ValueError):
    """An array has a shape, dtype or content that cannot be used.

    Parameters
    ----------
    name
        Name of the argument.
    given
        The offending property of the array, in words.
    wanted
        The property that is expected instead, in words.
    """

    exit_status = 2

    def __init__(self, name: str, given: str, wanted: str) -> None:
        self.name, self.given, self.wanted = name, given, wanted
        super().__init__(f"{name} has {given}; expected {wanted}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name, self.given, self.wanted)


class InputError(FfbidxError):
    """An input file, or a part of one, cannot be read.

    Parameters
    ----------
    path
        The file, as the user named it.
    problem
        The fault that was found and the content expected, without a full stop.
    place
        Line, dataset or frame inside the file; empty where the fault concerns the whole file.

    Attributes
    ----------
    further : tuple of InputError
        Further faults of the same file, where all of them were looked for; those that differ only in their place are
        one.
    every : tuple of InputError
        All faults of the file, each with its own place; empty if there is only this one.
    """

    exit_status = 2

    def __init__(self, path: object, problem: str, place: str = "") -> None:
        self.path, self.problem, self.place = str(path), problem, place
        self.further: tuple[InputError, ...] = ()
        self.every: tuple[InputError, ...] = ()
        where = f"{self.path}, {place}" if place else self.path
        super().__init__(f"{where}: {problem}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, self.problem, self.place)

    @property
    def faults(self) -> list[str]:
        """Every fault of the file that was found, with its place."""
        return [str(fault) for fault in self.every or (self,)]


class NothingProcessed(FfbidxError):
    """No frame could be processed: none of several inputs was readable, or every frame was bad.

    Attributes
    ----------
    option : (3,) str or None
        Name and right value of an option with which frames can be processed, and the condition for that in words.
    """

    exit_status = 5
    option: tuple[str, str, str] | None = None


class NoCell(NothingProcessed):
    """The search for an unknown unit cell found none, or an input that must come with a cell has none."""


class BackendUnavailable(FfbidxError, RuntimeError):
    """The requested backend or device does not exist on this machine, or the workers of a cluster do not answer."""

    exit_status = 4


class OutputError(FfbidxError):
    """An output could not be written: the disk is full, permission is missing, or the file already exists.

    Parameters
    ----------
    path
        The output file.
    problem
        The reason, without a full stop.
    """

    exit_status = 6

    def __init__(self, path: object, problem: str) -> None:
        self.path, self.problem = str(path), problem
        super().__init__(f"{self.path}: {problem}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, self.problem)
