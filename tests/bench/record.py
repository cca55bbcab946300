"""Files of measured numbers for docs/make_tables.py, written by `--json FILE` of every benchmark."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.helpers.paths import ROOT


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add the option `--json FILE` to a parser."""
    parser.add_argument(
        "--json", metavar="FILE", help="write the table with machine, date and commit to this file, too"
    )


def processor() -> str:
    """The name of this machine's processor and the number of those that this process may use."""
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return f"{len(os.sched_getaffinity(0))} cores of {names[0] if names else 'an unnamed processor'}"


def commit() -> str:
    """The commit that is checked out, with `+changes` if files differ from it; all zeros outside of git."""
    found = _git("rev-parse", "--short", "HEAD")
    return (found + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")) if found else 7 * "0"


def write(path: str, rows: Iterable[Mapping[str, Any]], machine: str | None = None) -> None:
    """Write rows of numbers with the command that was called, today's date, the commit and the machine.

    Parameters
    ----------
    path : str
        Name of the file.
    rows : iterable of mappings
        The rows of the table, with the names that the columns of the table use.
    machine : str, optional
        Name of the machine; by default the processor of this machine.
    """
    program = Path(sys.argv[0]).resolve()
    inside = program.relative_to(ROOT) if program.is_relative_to(ROOT / "tests") else Path("tests/bench", program.name)
    module = ".".join(inside.with_suffix("").parts).removesuffix(".__main__")
    options = [word for word in sys.argv[1:] if word not in ("--json", path)]
    head = {
        "command": shlex.join(["python", "-m", module, *options]),
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "machine": machine or processor(),
    }
    lines = [f" {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}," for name, value in head.items()]
    body = ",\n".join(f"  {json.dumps(row, ensure_ascii=False, default=float)}" for row in rows)
    Path(path).write_text("\n".join(["{", *lines, ' "rows": [', body, " ]", "}", ""]))


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
