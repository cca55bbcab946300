"""The check, before a run begins, that an output can be written."""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
from collections.abc import Iterable

from ..errors import InputError, OutputError, UsageError
from ..model.records.run import RunRecord
from .atomic import failed

WAYS_ON = "--overwrite, or --resume to go on with its run"
"""Options for an output of a run that is there."""


def check_output(path: str, overwrite: bool, inputs: Iterable[str] = (), *, ways_on: str = "--overwrite") -> None:
    """Raise an error before the run if an output could not be written after it.

    Parameters
    ----------
    path
        Name of the output.
    overwrite
        Whether an existing output may be replaced.
    inputs
        Files that the run reads and therefore must not replace.
    ways_on
        The options that the error names if the output exists.

    Raises
    ------
    UsageError
        If the output is one of the inputs.
    OutputError
        If the output exists already, or cannot be written to its directory.
    """
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        _check_directory(path)
        return
    except (OSError, ValueError) as error:
        raise failed(path, error) from None
    for name in inputs:
        with contextlib.suppress(OSError, ValueError):
            if os.path.samestat(found, os.stat(name)):
                raise UsageError(f"{path}: the output is the input {name}: give another name with -o")
    if not stat.S_ISREG(found.st_mode):
        raise OutputError(path, "is a directory" if stat.S_ISDIR(found.st_mode) else "is not a regular file")
    if not overwrite:
        raise OutputError(path, f"is already there: give another name with -o, or {ways_on}")
    _check_directory(path)


def files_of_run(results: str) -> list[str]:
    """A file and, if it is a results file, the inputs that it records: their names here, and copies beside the file."""
    # A run checks its outputs before it needs to read results.
    from ..read.formats.open import is_results
    from ..read.results import read_record

    record = RunRecord({}, ())
    with contextlib.suppress(InputError):
        # Other files, which may be large texts, are read no further than this needs.
        if is_results(results):
            _, record = read_record(results)
    folder, names = os.path.dirname(results), [known.path for known in record.inputs]
    copies = [os.path.join(folder, copy) for name in names for copy in (name, os.path.basename(name))]
    return [results, *names, *copies]


def _check_directory(path: str) -> None:
    # The target of a symbolic link is replaced, not the link.
    directory = os.path.dirname(os.path.realpath(path)) or "."
    if path == "" or path.endswith("/"):
        raise OutputError(path or "''", "is not a file name")
    if not os.path.isdir(directory):
        mend = "" if os.path.lexists(directory) else f": mkdir -p {shlex.quote(directory)}"
        raise OutputError(path, f"its directory {directory} does not exist{mend}")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise OutputError(path, f"its directory {directory} cannot be written to")
