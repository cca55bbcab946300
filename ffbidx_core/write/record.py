"""The record of a run in its outputs: options in force, versions, and identities of the inputs."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..model.records.results import ResultsHeader
from ..model.records.run import InputIdentity, RunRecord

TABLES = ("made_by", "converted", "input")
"""Names of the tables of a record, which are not options."""
COMMENT = (
    "# How the file of this name without .toml was made. `ffbidx index --config` with this file repeats the run;\n"
    "# the tables at its end are no options.\n"
)

_SIZED = ("max_input_cells", "max_output_cells")
"""Parameters that are set by the number of input cells unless they were given."""
_ROOMS = (900, 400, 200, 100, 60)
"""Largest size in bytes of a list or text; the values are tried in turn until a record fits."""
_CUT = " ... cut"
_ESCAPED = {0x7F: "\\u007f"}
"""Characters that JSON allows in a text and TOML does not, with their escapes."""


def record_of(header: ResultsHeader, record: RunRecord, converted: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The record of a run in an output, for JSON and `as_toml`: its options, and other facts in the tables `TABLES`.

    The record of a run is always the same. For a run without options in its results, the record is made from these.

    Parameters
    ----------
    converted
        Options of the conversion, if the output was made from results later.
    """
    options = record.config or _options_of(header)
    made_by: dict[str, Any] = {"ffbidx": header.ffbidx_version, **record.versions}
    made_by |= {"backend": header.backend, "device": header.device}
    known = {name: record.settings.get(name) for name in ("shard", "cells")}
    known |= {"lattices": header.lattices, "half_pixel_shift": header.half_pixel_shift}
    made_by |= {name: value for name, value in known.items() if value}
    if header.geometry:
        made_by["geometry_digest"] = _hash(header.geometry)
    if record.inputs:
        made_by |= {"inputs": len(record.inputs), "digest": digest(record.inputs)}
    tables = {"made_by": made_by, "converted": dict(converted or {}), "input": _inputs(record.inputs)}
    return options | {name: table for name, table in tables.items() if table}


def _options_of(header: ResultsHeader) -> dict[str, Any]:
    """The parameters of results as options; empty if another program wrote something else there."""
    try:
        parameters = dict(json.loads(header.parameters))
    except (ValueError, TypeError):
        return {}
    return {
        name.replace("_", "-"): ",".join(map(repr, value)) if isinstance(value, list) else value
        for name, value in parameters.items()
        if name not in _SIZED
    }


def options_among(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a file without the tables of a record; a value with the name of a table that is none stays."""
    return {
        name: value
        for name, value in values.items()
        if not (name in TABLES and (isinstance(value, dict) or _are_tables(value)))
    }


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(isinstance(row, dict) for row in value)


def digest(inputs: Sequence[InputIdentity]) -> str:
    """A hash of all inputs in their order, from frame, size and hash of each, whatever their location."""
    return _hash("".join(f"{source.frame} {source.size} {source.digest}\n" for source in inputs))


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def _inputs(inputs: Sequence[InputIdentity]) -> list[dict[str, Any]]:
    """A row for each input; consecutive single frames of a file are combined."""
    rows: list[dict[str, Any]] = []
    for (path, size, hashed, is_whole), group in itertools.groupby(
        inputs, lambda source: (source.path, source.size, source.digest, source.frame < 0)
    ):
        row, frames = {"path": path, "size": size, "digest": hashed}, [source.frame for source in group]
        rows += [row] * len(frames) if is_whole else [row | {"frames": frames}]
    return rows


def shortened(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a record from `record_of`, first complete, then shorter and shorter, with marks at the cuts.

    First the inputs are left out (their number and hash stay), then lists and texts are cut, and finally options.
    """
    yield made
    options, tables = options_among(made), {name: made[name] for name in ("made_by", "converted") if name in made}
    if "input" in made:
        options["input"] = f"{tables['made_by']['inputs']}{_CUT}"
    for room in _ROOMS:
        yield _cut(options, room) | _cut(tables, room)
    yield _cut(tables, _ROOMS[-1])


def _cut(value: Any, room: int) -> Any:
    """A value that takes at most `room` bytes as TOML, as does each value of a table; numbers are not changed."""
    if isinstance(value, dict):
        return {name: _cut(each, room) for name, each in value.items()}
    if not isinstance(value, (str, list)) or _size(value) <= room:
        return value
    n = len(value)
    if isinstance(value, str):
        while n and _size(value[:n] + _CUT) > room:
            n = n * 7 // 8
        return value[:n] + _CUT
    cut = [_cut(each, room // 2) for each in value[: room // 2]]
    if len(cut) == n and _size(cut) <= room:
        return cut
    n = len(cut)
    while n and _size([*cut[:n], f"{len(value) - n} more{_CUT}"]) > room:
        n -= 1
    return [*cut[:n], f"{len(value) - n} more{_CUT}"]


def _size(value: str | list[Any]) -> int:
    return len(toml_value(value).encode())


def as_toml(values: Mapping[str, Any]) -> str:
    """The text of options and tables as TOML."""
    return "".join(f"{line}\n" for line in toml_lines(values))


def toml_lines(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of options and tables as TOML; tables come last."""
    for name, value in values.items():
        for row in value if _are_tables(value) else [value]:
            if isinstance(row, dict):
                yield from ("", f"[{name}]" if row is value else f"[[{name}]]", *toml_lines(row))
            else:
                yield f"{name} = {toml_value(row)}"


def toml_value(value: Any) -> str:
    """A text, number or boolean, or a list of these, as TOML."""
    if isinstance(value, str):
        # TOML must be text, but names of files may contain other bytes.
        text = json.dumps(value.encode("utf-8", "backslashreplace").decode(), ensure_ascii=False)
        return text.translate(_ESCAPED)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml_value, value))}]"
    return repr(value) if isinstance(value, float) else json.dumps(value)
