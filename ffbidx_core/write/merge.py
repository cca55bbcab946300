"""Joining the results of several runs, or of the shares of one run, to one file."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import OutputError, UsageError
from ..model.records.frame import Place
from ..model.records.results import ResultsHeader
from ..model.records.run import Learned, Mark, RunRecord
from ..read.results import read_run
from .check import check_output, files_of_run
from .ending import Ending
from .formats.names import PARTS_SUFFIX
from .join import write_joined
from .parts.folder import PartsFolder


@dataclass(frozen=True)
class _Part:
    path: str
    header: ResultsHeader
    complete: bool
    record: RunRecord
    mark: Mark
    learned: list[Learned] | None

    @property
    def share(self) -> tuple[int, int] | None:
        """The number of this share and the number of shares; None if the part is not a share."""
        name = self.record.settings.get("shard")
        if name is None:
            return None
        number, of = name.split("/")
        return int(number), int(of)


def merge(paths: Sequence[str], output: str, *, overwrite: bool = False, allow_gaps: bool = False) -> Ending:
    """Join results files: shares of one run in the order of its input, others in the order given.

    Parameters
    ----------
    overwrite
        Whether an existing output, and saved parts of a run with this output that did not end, may be replaced.
    allow_gaps
        Whether to join even if shares are missing or incomplete; the output is then marked as incomplete.

    Raises
    ------
    UsageError
        If their settings, versions or inputs do not agree, or a share is missing, duplicate or incomplete; each message
        names the file and the difference.
    InputError, OutputError
        If a file cannot be read, or the output cannot be written, or a run has saved parts for it.
    """
    check_output(output, overwrite, [file for path in paths for file in files_of_run(path)])
    with contextlib.closing(PartsFolder(output + PARTS_SUFFIX)) as folder:
        is_there = os.path.lexists(folder.path)
        folder.hold()
        if folder.has_parts and not overwrite:
            mend = "--resume goes on with it, --overwrite removes its parts, -o gives another name"
            raise OutputError(output, f"{folder.path} is of a run that did not end: {mend}")
        ending = _merge(paths, output, overwrite, allow_gaps)
        if is_there:
            folder.clear([output])
    return ending


def _merge(paths: Sequence[str], output: str, overwrite: bool, allow_gaps: bool) -> Ending:
    parts = [_Part(path, *read_run(path)) for path in paths]
    problems = [f"{part.path}: is not complete: finish it with --resume" for part in parts if not part.complete]
    if any(part.share for part in parts):
        parts, gaps = _in_order(parts)
        problems += gaps
    else:
        _refuse_doubles(parts)
    for part in parts[1:]:
        _refuse_others(parts[0], part)
    if problems and not allow_gaps:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise UsageError(f"{problems[0]}{more}; --allow-gaps joins what is there")
    ending = _ending(parts, not problems)
    write_joined(output, [part.path for part in parts], ending, overwrite=overwrite)
    return ending


def _in_order(parts: list[_Part]) -> tuple[list[_Part], list[str]]:
    """The parts in the order of their shares, and a message for each missing share."""
    found: dict[int, _Part] = {}
    count = next(part.share[1] for part in parts if part.share)
    for part in parts:
        if part.share is None:
            raise UsageError(f"{part.path}: is not a share, others are: join the shares first")
        number, of = part.share
        if of != count:
            raise UsageError(f"{part.path}: is a share of {of}, {parts[0].path} is one of {count}")
        if number in found:
            raise UsageError(f"the share {number}/{of} is there twice: {found[number].path} and {part.path}")
        found[number] = part
    gaps = [f"the share {number}/{count} is missing" for number in range(1, count + 1) if number not in found]
    return [found[number] for number in sorted(found)], gaps


def _refuse_doubles(parts: Sequence[_Part]) -> None:
    seen: dict[tuple[str, int], str] = {}
    for part in parts:
        for source in {source[:2] for source in part.record.inputs}:
            for key in (source, (source[0], -1)):
                if key in seen:
                    raise UsageError(f"the input {source[0]} is in two files: {seen[key]} and {part.path}")
        seen |= {source[:2]: part.path for source in part.record.inputs}


def _refuse_others(first: _Part, part: _Part) -> None:
    """Raise an error for a part of another run, which has other settings, or as a share other inputs."""
    ours, theirs = (_comparable(each) for each in (part, first))
    if difference := ours.difference(theirs):
        difference = difference.replace(" now", " here")
        raise UsageError(f"{part.path}: does not go with {first.path}: {difference}")


def _comparable(part: _Part) -> RunRecord:
    settings = {name: value for name, value in part.record.settings.items() if name != "shard"}
    return RunRecord(settings, part.record.inputs if part.share else (), part.record.config)


def _ending(parts: Sequence[_Part], complete: bool) -> Ending:
    first = parts[0]
    mark = Mark()
    for part in parts:
        mark.extend(part.mark)
    inputs = first.record.inputs
    if first.share is None:
        inputs = tuple(source for part in parts for source in part.record.inputs)
        mark.end = Place(len(inputs))
    settings = {name: value for name, value in first.record.settings.items() if name not in ("shard", "positions")}
    if not complete:
        # Results with gaps cannot be resumed from their end.
        settings["merged"] = True
    parameters = [json.loads(part.header.parameters) for part in parts]
    most = max(values["max_input_cells"] for values in parameters)
    header = dataclasses.replace(first.header, parameters=json.dumps(parameters[0] | {"max_input_cells": most}))
    learned: dict[bytes, Learned] = {}
    for part in parts:
        learned |= {group.given.tobytes(): group for group in part.learned or []}
    config = first.record.config
    if config and first.share is None:
        config = config | {"inputs": [name for part in parts for name in part.record.config.get("inputs", [])]}
    versions = [part.record.versions for part in parts]
    together = {
        name: ", ".join(dict.fromkeys(each[name] for each in versions if name in each))
        for name in dict.fromkeys(name for each in versions for name in each)
    }
    record = RunRecord(settings, inputs, config, versions=together, cell_search=first.record.cell_search)
    return Ending(header, complete, record, mark, list(learned.values()))
