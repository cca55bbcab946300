"""Residuals and their derivatives in the format of `pede` of Millepede II (Mille's binary files, C order)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ...model.records.measurements import Measurements

LABELS = 10
"""The label of motion k, from 1, of panel p, from 0, is LABELS * (p + 1) + k."""


def mille(records: Iterable[Measurements]) -> Iterator[bytes]:
    """Yield the bytes of a binary file of records, one for each crystal.

    A record consists of the number of its words, all its numbers as float32, and as many labels as int32; numbers and
    labels both begin with a zero. A measurement consists of its value (label 0), its derivatives by parameters of the
    crystal (labels 1, 2, ...), its error (label 0), and its derivatives by motions of panels (with their labels).
    """
    for record in records:
        floats, labels = [np.zeros(1)], [np.zeros(1, np.int64)]
        for row in range(len(record.values)):
            own = np.flatnonzero(record.own[row])
            shared = np.flatnonzero(record.by_panel[row])
            floats += [
                record.values[row : row + 1], record.own[row, own], record.errors[row : row + 1],
                record.by_panel[row, shared],
            ]  # fmt: skip
            labels += [
                np.zeros(1, np.int64), own + 1, np.zeros(1, np.int64), LABELS * (record.panel[row] + 1) + shared + 1,
            ]  # fmt: skip
        body = np.concatenate(floats).astype("<f4")
        yield (
            np.array([2 * len(body)], "<i4").tobytes() + body.tobytes() + np.concatenate(labels).astype("<i4").tobytes()
        )
