"""Millepede's binary files, read back as its readers do."""

import struct

import numpy as np

from ffbidx_core.model.records.measurements import Measurements
from ffbidx_core.write.formats.mille import LABELS, mille


def read_records(data):
    """Records as lists of measurements: value, {own label: derivative}, error, {shared label: derivative}."""
    records, at = [], 0
    while at < len(data):
        (words,) = struct.unpack_from("<i", data, at)
        n = words // 2
        numbers = struct.unpack_from(f"<{n}f", data, at + 4)
        labels = struct.unpack_from(f"<{n}i", data, at + 4 + 4 * n)
        at += 4 + 8 * n
        assert (numbers[0], labels[0]) == (0.0, 0)
        zeros = [i for i in range(1, n) if labels[i] == 0]
        found = []
        for first, second, end in zip(zeros[::2], zeros[1::2], [*zeros[2::2], n], strict=True):
            own = dict(zip(labels[first + 1 : second], numbers[first + 1 : second], strict=True))
            shared = dict(zip(labels[second + 1 : end], numbers[second + 1 : end], strict=True))
            found.append((numbers[first], own, numbers[second], shared))
        records.append(found)
    return records


def test_records_read_back():
    rng = np.random.default_rng(0)
    given = []
    for n in (3, 6):
        by_panel = rng.standard_normal((n, 6))
        by_panel[2::3] = 0
        given.append(
            Measurements(
                rng.standard_normal(n), rng.uniform(1, 2, n), rng.standard_normal((n, 9)), np.arange(n) // 3, by_panel
            )
        )
    records = read_records(b"".join(mille(given)))
    assert [len(record) for record in records] == [3, 6]
    for record, measured in zip(records, given, strict=True):
        for row, (value, own, error, shared) in enumerate(record):
            assert np.isclose(value, measured.values[row])
            assert np.isclose(error, measured.errors[row])
            assert list(own) == list(range(1, 10))
            assert np.allclose(list(own.values()), measured.own[row])
            first = LABELS * (measured.panel[row] + 1) + 1
            assert list(shared) == ([] if row % 3 == 2 else list(range(first, first + 6)))
            assert np.allclose(list(shared.values()), measured.by_panel[row][: len(shared)])
