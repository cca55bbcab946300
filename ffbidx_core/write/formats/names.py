"""The names of outputs and of their formats. Nothing large is imported here: a wrong name is found at once."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence

from ...errors import UsageError

RESULTS_FILE, TABLE = "hdf5", "table"
TO_STDOUT = "-"
"""Name of the output that stands for standard output."""
RECORD_SUFFIX = ".toml"
"""Suffix of the file with the record of the run, beside an output that has no place for it."""
PARTS_SUFFIX, LEDGER = ".parts", "ledger.jsonl"
"""Suffix of the folder in which a run keeps its saved parts, after the name of its output, and the name of the ledger
in this folder."""

SUFFIXES = {
    ".h5": RESULTS_FILE,
    ".hdf5": RESULTS_FILE,
    ".txt": TABLE,
    ".tsv": TABLE,
    ".csv": "csv",
    ".parquet": "parquet",
    ".stream": "stream",
    ".sol": "sol",
    ".expt": "expt",
    ".refl": "refl",
    ".geom": "geom",
}
HDF5_SUFFIXES = tuple(suffix for suffix, wanted in SUFFIXES.items() if wanted == RESULTS_FILE)
FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))
WITH_PIXELS = ("stream", "expt", "refl", "geom")
"""Formats that need the positions of the spots on the detector."""
_HOLD_THE_RECORD = (RESULTS_FILE, "stream", "expt", "parquet")
"""Formats that contain the options, versions and inputs of the run; others have these in a file beside them."""


def files_of(path: str, wanted: str) -> list[str]:
    """Names of the files of an output: the output itself, and the record of the run if the format has no place for it.

    Parameters
    ----------
    path
        Name of the output.
    wanted
        Its format, one of `FORMATS`.
    """
    return [path] if wanted in _HOLD_THE_RECORD else [path, path + RECORD_SUFFIX]


def is_hdf5(path: str) -> bool:
    """Whether the suffix of an output asks for an HDF5 file."""
    return path.lower().endswith(HDF5_SUFFIXES)


def format_of(path: str, given: str | None = None) -> str:
    """The format of an output: the given one, or the one of its suffix.

    Raises
    ------
    UsageError
        If the suffix is not known.
    """
    if given is not None:
        return given
    found = SUFFIXES.get(os.path.splitext(path)[1].lower())
    if found is None:
        raise UsageError(
            f"--output {path}: the suffix does not say what to write: {', '.join(SUFFIXES)}, or give --format"
        )
    return found


def formats_of(paths: Sequence[str], first: str | None = None) -> dict[str, str]:
    """The format of each output, keyed by its path.

    Parameters
    ----------
    paths
        Names of the outputs; `-` is standard output, whose format is the text table unless `first` names another.
    first
        The format of the first output, if its suffix does not say it.

    Raises
    ------
    UsageError
        If a suffix is not known, two outputs are the same file, or an output is the record beside another.
    """
    if first is not None and first not in FORMATS:
        raise UsageError(f"--format {first}: is none of {', '.join(FORMATS)}")
    chosen = {
        path: format_of(path, (first if number == 0 else None) or (TABLE if path == TO_STDOUT else None))
        for number, path in enumerate(paths)
    }
    if len(chosen) < len(paths):
        raise UsageError("the same output is named twice with -o")
    files = {path: wanted for path, wanted in chosen.items() if path != TO_STDOUT}
    named: dict[str, str] = {}
    for path in files:
        if (other := named.setdefault(_target(path), path)) != path:
            raise UsageError(f"-o {path}: is the same file as -o {other}: leave one of them out")
    for path, wanted in files.items():
        for file in files_of(path, wanted):
            if file != path and (other := named.get(_target(file), "")):
                raise UsageError(f"-o {other}: the record of {path} has this name: give another one")
    return chosen


def _target(path: str) -> str:
    """The file that writing to a name replaces, whatever the spelling of the name; see `os.path.realpath`."""
    try:
        return os.path.realpath(path)
    except ValueError:
        # The name contains a null character, for which the check of the outputs has an error.
        return path


def names_of_share(paths: Sequence[str], number: int, of: int, *, overwrite: bool) -> list[str]:
    """Names of outputs with the share in them, so that the outputs of all shares can be in one folder.

    Parameters
    ----------
    paths
        Names of the outputs of the whole run.
    number, of
        Number of the share, counted from 1, and number of shares.
    overwrite
        Whether files of another number of shares may exist already.

    Raises
    ------
    UsageError
        If such files exist and may not; the error names one and the share to ask for.
    """
    if not overwrite:
        for path in paths:
            _refuse_other_shares(path, number, of)
    parts = [os.path.splitext(path) for path in paths]
    return [f"{stem}.{number:0{len(str(of))}}-of-{of}{suffix}" for stem, suffix in parts]


def _refuse_other_shares(path: str, number: int, of: int) -> None:
    """Raise an error if files of another number of shares exist, as after submitting a part of a job array again."""
    stem, suffix = os.path.splitext(path)
    name = re.compile(re.escape(stem) + r"\.\d+-of-(\d+)" + re.escape(suffix) + f"({re.escape(PARTS_SUFFIX)})?")
    for other in sorted(glob.glob(f"{glob.escape(stem)}.*-of-*{glob.escape(suffix)}*")):
        found = name.fullmatch(other)
        if found is not None and int(found[1]) != of:
            again = f"for a part of the same run --shard K/{found[1]} or slurm/{found[1]}, for a new one --overwrite"
            raise UsageError(f"--shard {number}/{of}: {other} is of a share of {found[1]}: give {again}")
