"""Crystals as Apache Parquet, for pandas, polars, DuckDB and similar programs."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

from ...errors import UsageError
from ...model.records.results import Results
from ...read.run_inputs import RunInputs
from ..record import as_toml
from .csv import crystal_records

WORDS = ("source", "id", "lattice")
COUNTS = ("index", "crystal", "input_cell", "n_spots", "n_indexed")
"""Columns of text, and columns of whole numbers; all other columns are float64."""


def parquet_pieces(pieces: Iterable[Results], inputs: RunInputs) -> Iterator[bytes]:
    """Yield results as Parquet with the columns of the CSV, and a row group for each piece.

    The record of the run is in the metadata of the schema under the key `ffbidx`, as TOML.

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

    def type_of(name: str) -> pyarrow.DataType:
        return pyarrow.string() if name in WORDS else pyarrow.int64() if name in COUNTS else pyarrow.float64()

    sink, writer = io.BytesIO(), None
    for results in pieces:
        records = crystal_records(results, inputs)
        if writer is None:
            schema = pyarrow.schema([(name, type_of(name)) for name in records])
            schema = schema.with_metadata({"ffbidx": as_toml(inputs.made)})
            writer = pyarrow.parquet.ParquetWriter(_Growing(sink), schema)
        text = {name: [value.encode("utf-8", "backslashreplace").decode() for value in records[name]] for name in WORDS}
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
