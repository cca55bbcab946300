"""Tables of arrays, in which each column declares the kind of its rows.

A column is one line in a dataclass that inherits from `ArrayTable`:

    rmsd: Annotated[NDArray[np.float32], Column("crystals", "/crystal/rmsd", units="1/angstrom")]

Empty tables, the joining of tables, selections of frames, the datasets of a results file and the checks of a file that
is read all follow from these declarations.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from types import ModuleType, NoneType
from typing import Annotated, Any, Self, cast, get_args, get_origin, get_type_hints

import numpy as np

from .ragged import rows_of

OFFSETS = "frames + 1"
"""`Column.rows` of offsets: frame f owns rows offsets[f]:offsets[f + 1] of the kind that the column points to."""
SHARED = "input_cells"
"""`Column.rows` of a column that all frames of a run share: it is neither joined nor cut."""


@dataclass(frozen=True)
class Column:
    """The layout of an array in a table, and the dataset of a results file that holds it.

    Attributes
    ----------
    rows
        Kind of rows that the first dimension counts: frames, cells, crystals, `OFFSETS` or `SHARED`.
    path
        Dataset in a results file; empty for a column that is not written.
    tail
        Lengths of the other dimensions.
    points_to
        Kind of rows to which the values are indices; empty if the values are not indices of rows.
    units
        Attribute `units` of the dataset; empty if it has none.
    names
        Enumeration that names the values of a uint8 column; None for another column.
    fill
        Value of all rows if a file lacks the dataset; None if the file must have it or the column may be None.
    dtype
        Type of the values; None in a declaration, where the annotation gives it. `object` is text.
    nullable
        Whether the column may be None; the annotation decides.
    """

    rows: str
    path: str = ""
    tail: tuple[int, ...] = ()
    points_to: str = ""
    units: str = ""
    names: type[IntEnum] | None = None
    fill: float | None = None
    dtype: Any = None
    nullable: bool = False

    @property
    def is_text(self) -> bool:
        """Whether the values are text of any length."""
        return bool(self.dtype == object)

    @property
    def optional(self) -> bool:
        """Whether a file may lack the dataset."""
        return self.nullable or self.fill is not None

    def filled(self, n_rows: int, xp: ModuleType = np) -> Any:
        """Rows (n_rows, ...) for which nothing is known: `fill` everywhere, or zeros if there is no `fill`."""
        return xp.full((n_rows, *self.tail), self.fill or 0, dtype=self.dtype)


def columns_of(table: type[ArrayTable]) -> Mapping[str, Column]:
    """The columns of a table by the names of its fields, in the order of the fields."""
    return _columns_of(cast("Any", table))


@functools.cache
def _columns_of(table: Any) -> Mapping[str, Column]:
    hints = get_type_hints(table, include_extras=True)
    found = {field.name: _column(hints[field.name]) for field in fields(table)}
    return {name: column for name, column in found.items() if column is not None}


def _column(hint: Any) -> Column | None:
    """The column that an annotation declares, with the type of its values; None for a field that is not a column."""
    if get_origin(hint) is not Annotated:
        return None
    array, declared = get_args(hint)
    column: Column = declared
    choices = [choice for choice in get_args(array) if choice is not NoneType]
    if nullable := len(choices) < len(get_args(array)):
        (array,) = choices
    dtype = _scalar_of(array) if column.dtype is None else column.dtype
    return replace(column, dtype=np.dtype(dtype), nullable=nullable)


def _scalar_of(array: Any) -> type[np.generic]:
    """The scalar type in an annotation such as `NDArray[np.float32]`, or a `NewType` of one.

    NumPy before 2.5 expands the annotation to ndarray[shape, dtype[float32]]; later versions keep it as an alias whose
    argument is float32.
    """
    arguments = get_args(getattr(array, "__supertype__", array))
    nested = (scalar for part in arguments for scalar in get_args(part) if get_origin(part) is np.dtype)
    (scalar,) = (part for part in (*arguments, *nested) if isinstance(part, type) and issubclass(part, np.generic))
    return scalar


class ArrayTable:
    """Base class of dataclasses with columns, which are the fields annotated with a `Column`.

    Other fields describe the table as a whole.
    """

    @classmethod
    def empty(cls, n_frames: int = 0, xp: ModuleType = np) -> Self:
        """The table of `n_frames` frames on which nothing was found."""
        counts = {"frames": n_frames, OFFSETS: n_frames + 1}
        return cls(**{name: column.filled(counts.get(column.rows, 0), xp) for name, column in columns_of(cls).items()})

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The rows of several tables, one after the other; shared columns and other fields are those of the first."""
        if len(parts) == 1:
            return parts[0]
        arrays: dict[str, Any] = {}
        for name, column in columns_of(cls).items():
            values = [getattr(part, name) for part in parts]
            if column.rows == SHARED:
                continue
            if any(each is None for each in values):
                arrays[name] = None
                continue
            if column.points_to not in ("", SHARED):
                shifts = np.cumsum([0, *(part.n_rows(column.points_to) for part in parts[:-1])]).tolist()
                values = [each + shift for each, shift in zip(values, shifts, strict=True)]
            if column.rows == OFFSETS:
                values = [values[0], *(each[1:] for each in values[1:])]
            arrays[name] = np.concatenate(values)
        return cast("Self", replace(cast("Any", parts[0]), **arrays))

    def n_rows(self, kind: str) -> int:
        """Number of rows of a kind."""
        arrays = (getattr(self, name) for name, column in columns_of(type(self)).items() if column.rows == kind)
        return next(len(array) for array in arrays if array is not None)

    def only(self, table: type[ArrayTable]) -> dict[str, Any]:
        """The columns that another type of table declares as well, by their names."""
        return {name: getattr(self, name) for name in columns_of(table)}

    def take(self, chosen: Any, xp: ModuleType = np) -> Self:
        """The table of a selection of frames (ascending indices), or of rows if the table has only one kind of rows."""
        columns = columns_of(type(self))
        offsets = {column.points_to: name for name, column in columns.items() if column.rows == OFFSETS}
        arrays: dict[str, Any] = {}
        kinds = {column.rows for column in columns.values()}
        rows = {"frames" if "frames" in kinds else next(iter(kinds)): chosen}
        for kind, name in offsets.items():
            rows[kind], arrays[name] = rows_of(getattr(self, name), chosen, xp)
        for name, column in columns.items():
            values = getattr(self, name)
            if column.rows in rows and values is not None:
                values = values[rows[column.rows]]
                arrays[name] = xp.searchsorted(rows[column.points_to], values) if column.points_to in rows else values
        return cast("Self", replace(cast("Any", self), **arrays))

    def __getitem__(self, frames: slice) -> Self:
        """The table of consecutive frames (step 1)."""
        begin, end, _ = frames.indices(self.n_rows("frames"))
        arrays = cut(
            columns_of(type(self)),
            slice(begin, max(begin, end)),
            lambda name, rows: None if (values := getattr(self, name)) is None else values[rows],
        )
        return cast("Self", replace(cast("Any", self), **arrays))


def cut(columns: Mapping[str, Column], frames: slice, rows_of_column: Callable[[str, slice], Any]) -> dict[str, Any]:
    """The columns of consecutive frames, with offsets and indices that count from the first of these frames.

    Parameters
    ----------
    columns
        Columns of the table by their names.
    frames
        First frame and end of the frames.
    rows_of_column
        Function that returns a slice of rows of a column, given by name, from memory or from a file, or None if there
        is no such column; it is called only for rows that belong to the frames.
    """
    rows, arrays = {"frames": frames}, {}
    for name, column in columns.items():
        if column.rows == OFFSETS:
            offsets = rows_of_column(name, slice(frames.start, frames.stop + 1))
            rows[column.points_to] = slice(int(offsets[0]), int(offsets[-1]))
            arrays[name] = offsets - offsets[0]
    for name, column in columns.items():
        if column.rows in rows:
            values = rows_of_column(name, rows[column.rows])
            arrays[name] = values - rows[column.points_to].start if column.points_to in rows else values
    return arrays
