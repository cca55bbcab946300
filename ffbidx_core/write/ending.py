"""The contents of a results file other than the results themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ..model.records.results import ResultsHeader
from ..model.records.run import InputIdentity, Learned, Mark, RunRecord


@dataclass(frozen=True)
class Ending:
    """The contents of a results file other than the results themselves.

    Attributes
    ----------
    header, complete
        The attributes of the root.
    record, mark, learned
        The group `/run`: settings and inputs, the progress of the run, and its learned cells (None: nothing yet).
    """

    header: ResultsHeader
    complete: bool
    record: RunRecord
    mark: Mark
    learned: Sequence[Learned] | None

    def as_json(self) -> str:
        """All fields as JSON, for another process."""
        learned = None if self.learned is None else [group.as_dict() for group in self.learned]
        return json.dumps(
            {
                "header": asdict(self.header),
                "complete": self.complete,
                "record": vars(self.record),
                "mark": self.mark.as_dict(),
                "learned": learned,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Ending:
        """The reverse of `as_json`."""
        values = json.loads(text)
        record, learned = values["record"], values["learned"]
        return cls(
            ResultsHeader(**values["header"]),
            values["complete"],
            RunRecord(**(record | {"inputs": tuple(InputIdentity(*row) for row in record["inputs"])})),
            Mark.from_dict(values["mark"]),
            None if learned is None else [Learned.from_dict(group) for group in learned],
        )
