"""Replacing numbers in a JSON text while all other bytes stay as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from json.decoder import JSONDecoder
from typing import Any

Path = tuple[str | int, ...]
_BLANK = " \t\r\n"


def with_numbers(text: str, numbers: Mapping[Path, float]) -> str:
    """The JSON text with numbers replaced at some paths of keys and positions; paths that do not exist are ignored."""
    parts, done = [], 0
    for path, begin, end in _values(text, {each[:n] for each in numbers for n in range(len(each))}):
        if path in numbers:
            parts += [text[done:begin], repr(float(numbers[path]))]
            done = end
    return "".join([*parts, text[done:]])


def _values(text: str, wanted: set[Path]) -> Iterator[tuple[Path, int, int]]:
    """Yield path, begin and end of each value at a path in `wanted`, or of a list or object outside these paths."""
    decoder = JSONDecoder()

    def skip(at: int) -> int:
        while text[at] in _BLANK:
            at += 1
        return at

    def walk(path: Path, at: int) -> Iterator[Any]:
        """Yield the values below the one at a position, and return the position after it."""
        at = skip(at)
        if path not in wanted or text[at] not in "{[":
            end = decoder.raw_decode(text, at)[1]
            yield path, at, end
            yield end
            return
        is_object, position, at = text[at] == "{", 0, skip(at + 1)
        while text[at] not in "}]":
            key: str | int = position
            if is_object:
                key, at = decoder.raw_decode(text, at)
                at = skip(at) + 1
            for found in walk((*path, key), at):
                if isinstance(found, int):
                    at = skip(found)
                else:
                    yield found
            position += 1
            if text[at] == ",":
                at = skip(at + 1)
        yield at + 1

    yield from (found for found in walk((), 0) if not isinstance(found, int))
