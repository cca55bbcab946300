"""The record of a run in its outputs: options in force, versions, and the identity of the inputs."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..model.records.results import ResultsHeader
from ..model.records.run import InputIdentity, RunRecord

SUFFIX = ".toml"
"""Suffix of the file with the record, beside an output that has no place for it."""
TABLES = ("made_by", "converted", "input")
"""Tables of a record, which are no options."""
COMMENT = (
    "# How the file of this name without .toml was made. `ffbidx index --config` with this file repeats the run;\n"
    "# the tables at its end are no options.\n"
)

_SIZED = ("max_input_cells", "max_output_cells")
"""Parameters that follow from the input cells of a run unless they were given."""
_ROOMS = (900, 400, 200, 100, 60)
"""Bytes that a list or text may take, tried one after the other until a record fits."""
_CUT = " ... cut"
_ESCAPED = {0x7F: "\\u007f"}
"""Characters that JSON takes in a text and TOML does not, with their escapes."""


def record_of(header: ResultsHeader, record: RunRecord, converted: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What an output says of its run, ready for JSON and `as_toml`: the options, and what is none as `TABLES`.

    The same run says the same, whenever it is asked. Of a run that knows no more than its results, what these say.

    Parameters
    ----------
    converted
        Options of the conversion, where the output was made from results later.
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
    """The parameters of results as options; none where another program wrote something else there."""
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
    """The options of a file without the tables of a record; a value of such a name that is no table stays."""
    return {
        name: value
        for name, value in values.items()
        if not (name in TABLES and (isinstance(value, dict) or _are_tables(value)))
    }


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(isinstance(row, dict) for row in value)


def digest(inputs: Sequence[InputIdentity]) -> str:
    """A hash of all inputs in their order, by frame, size and hash of each: wherever they are copied it is the same."""
    return _hash("".join(f"{source.frame} {source.size} {source.digest}\n" for source in inputs))


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def _inputs(inputs: Sequence[InputIdentity]) -> list[dict[str, Any]]:
    """A row for each input; single frames of a file that follow each other are one."""
    rows: list[dict[str, Any]] = []
    for (path, size, hashed, is_whole), group in itertools.groupby(
        inputs, lambda source: (source.path, source.size, source.digest, source.frame < 0)
    ):
        row, frames = {"path": path, "size": size, "digest": hashed}, [source.frame for source in group]
        rows += [row] * len(frames) if is_whole else [row | {"frames": frames}]
    return rows


def shortened(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What `record_of` gives, whole, then shorter and shorter, with marks where something is cut.

    The inputs go first: their number and hash stay. Then lists and texts are cut, and in the end options are left out.
    """
    yield made
    options, tables = options_among(made), {name: made[name] for name in ("made_by", "converted") if name in made}
    if "input" in made:
        options["input"] = f"{tables['made_by']['inputs']}{_CUT}"
    for room in _ROOMS:
        yield _cut(options, room) | _cut(tables, room)
    yield _cut(tables, _ROOMS[-1])


def _cut(value: Any, room: int) -> Any:
    """A value that takes at most so many bytes as TOML; each value of a table does. Numbers stay as they are."""
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
    """Options and tables as TOML."""
    return "".join(f"{line}\n" for line in toml_lines(values))


def toml_lines(values: Mapping[str, Any]) -> Iterator[str]:
    """The lines of options and tables as TOML; tables come last."""
    for name, value in values.items():
        for row in value if _are_tables(value) else [value]:
            if isinstance(row, dict):
                yield from ("", f"[{name}]" if row is value else f"[[{name}]]", *toml_lines(row))
            else:
                yield f"{name} = {toml_value(row)}"


def toml_value(value: Any) -> str:
    """A text, number or truth value, or a list of them, as TOML."""
    if isinstance(value, str):
        # Names of files need not be text, TOML is.
        text = json.dumps(value.encode("utf-8", "backslashreplace").decode(), ensure_ascii=False)
        return text.translate(_ESCAPED)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml_value, value))}]"
    return repr(value) if isinstance(value, float) else json.dumps(value)
