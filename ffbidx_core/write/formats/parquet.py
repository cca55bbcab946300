"""Crystals as Apache Parquet, for pandas, polars, DuckDB and similar programs."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

from ...errors import UsageError
from ...model.records.results import Results
from ...read.run_inputs import RunInputs
from ..record import as_toml
from .columns import COLUMNS, crystal_records


def parquet_pieces(pieces: Iterable[Results], inputs: RunInputs) -> Iterator[bytes]:
    """Yield results as Parquet with the columns of the CSV, and a row group for each piece.

    The metadata of a field have its unit under the key `unit`, those of the schema have the record of the run under the
    key `ffbidx`, as TOML.

    Raises
    ------
    UsageError
        If pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError(".parquet needs pyarrow, which is not installed: pip install 'ffbidx[parquet]'") from None

    types = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
    fields = [
        pyarrow.field(each.name, types[each.kind], metadata={"unit": each.unit} if each.unit else None)
        for each in COLUMNS
    ]
    schema = pyarrow.schema(fields, metadata={"ffbidx": as_toml(inputs.made)})
    words = [each.name for each in COLUMNS if each.kind is str]
    sink, writer = io.BytesIO(), None
    for results in pieces:
        records = crystal_records(results)
        if writer is None:
            writer = pyarrow.parquet.ParquetWriter(_Growing(sink), schema)
        text = {name: [value.encode("utf-8", "backslashreplace").decode() for value in records[name]] for name in words}
        writer.write_table(pyarrow.table({**records, **text}, schema))
        yield _taken(sink)
    if writer is not None:
        writer.close()
    yield _taken(sink)


class _Growing(io.RawIOBase):
    """A file that only grows, and whose bytes go to another buffer."""

    def __init__(self, sink: io.BytesIO) -> None:
        self._sink, self._position = sink, 0

    def writable(self) -> bool:
        """True: the file can be written to."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Append bytes to the buffer."""
        self._position += self._sink.write(data)
        return len(data)

    def tell(self) -> int:
        """The number of bytes written so far."""
        return self._position


def _taken(sink: io.BytesIO) -> bytes:
    """The bytes of a buffer, which is emptied."""
    data = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return data
