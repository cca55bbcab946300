"""Calls of the command, and input files for them."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

QUICK = ("--num-halfsphere-points", "4096", "--learn-cell", "0", "--judge-frames", "0")
"""Options that make a run of clear frames fast."""
CELL_LINE = "31 42 53 90 103 90\n"
MONO = "31,42,53,90,103,90"
"""The cell of clear frames, in the form of a file and as an option."""


@dataclass
class Ran:
    """The outcome of a call of the command: its exit status and its outputs."""

    status: int
    out: str
    err: str

    @property
    def summary(self) -> dict:
        return json.loads(self.out)

    def is_one_line_error(self, status: int, *words: str) -> bool:
        """Whether the call failed properly: with this status, one line that has these words, and no traceback."""
        assert self.status == status, self.err
        assert self.err.startswith("ffbidx: ")
        assert self.err.count("\n") == 1, self.err
        assert "internal error" not in self.err
        for word in words:
            assert str(word) in self.err
        return True


def start(*arguments, **options) -> subprocess.Popen:
    """Start the program in a process of its own."""
    command = [sys.executable, "-c", "import sys; from ffbidx_cli.main import main; sys.exit(main())"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": os.environ} | options
    return subprocess.Popen([*command, *map(str, arguments)], **options)


def write_spots(path: Path, pieces: list, **more) -> Path:
    """Write an HDF5 spot file of frames (n, 3); `more` are further datasets."""
    with h5py.File(path, "w") as file:
        file["spots"] = np.concatenate(pieces)
        file["spots"].attrs["units"] = "1/angstrom"
        file["offsets"] = np.cumsum([0, *(len(piece) for piece in pieces)])
        for name, values in more.items():
            file[name] = values
    return path


def write_text(path: Path, spots: np.ndarray, first: str = "") -> Path:
    """Write one frame as text, after a first line."""
    path.write_text(first + "".join("{:.7f} {:.7f} {:.7f}\n".format(*row) for row in spots))
    return path
