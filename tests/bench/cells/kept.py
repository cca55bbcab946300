"""The file of outcomes with which a benchmark that was cut off goes on: `--keep FILE`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from tests.bench import record
from tests.bench.cells.outcome import Case, Outcome


class Kept:
    """The outcomes in a file, to which each further one is added at once, one line of JSON each.

    Parameters
    ----------
    path
        Name of the file, which need not exist; None if outcomes are not kept.

    Raises
    ------
    SystemExit
        If the file has outcomes of another commit: a table is of one.
    """

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else Path(path)
        self.outcomes: dict[Case, Outcome] = {}
        text = self._path.read_text() if self._path is not None and self._path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if self._path is not None and whole != text:
            # The process was killed while it wrote the last line.
            self._path.write_text(whole)
        for line in whole.splitlines():
            values = json.loads(line)
            if values["commit"] != record.commit():
                raise SystemExit(f"{path} has outcomes of commit {values['commit']}: remove it, or check that one out")
            self.outcomes[Case(**values["case"])] = Outcome(**values["outcome"])

    def add(self, case: Case, outcome: Outcome) -> None:
        """Add an outcome, and write it to the file."""
        self.outcomes[case] = outcome
        if self._path is None:
            return
        values = {"commit": record.commit(), "case": dataclasses.asdict(case), "outcome": dataclasses.asdict(outcome)}
        with self._path.open("a") as file:
            file.write(json.dumps(values) + "\n")
