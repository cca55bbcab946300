"""The project's own dialect: CBOR maps whose fields docs/live.md and spots.cddl describe."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import cbor2
import numpy as np

from ..messages import Control, End, Message, MessageError, Start, control_of, frame_of, start_of
from ..messages import name as name_of

MAPS = range(0xA0, 0xC0)
"""First bytes of CBOR maps."""
SELF_DESCRIBED = b"\xd9\xd9\xf7"
FRAME = b"dtypeeframe"
"""Bytes behind the first one of a map that begins with the type `frame`, which a message of a series does not have."""
DEEPEST = 16
"""Largest number of levels of maps and lists in a message."""
TYPED_ARRAYS = {
    64: "u1", 65: ">u2", 66: ">u4", 67: ">u8", 69: "<u2", 70: "<u4", 71: "<u8", 72: "i1", 73: ">i2", 74: ">i4",
    75: ">i8", 77: "<i2", 78: "<i4", 79: "<i8", 81: ">f4", 82: ">f8", 84: "<f2", 85: "<f4", 86: "<f8",
}  # fmt: skip
"""Data types of the arrays of RFC 8746, keyed by their tags."""
_DTYPES = {tag: np.dtype(name) for tag, name in TYPED_ARRAYS.items()}
FLOAT32, SHAPED = 85, 40


def loads(data: bytes) -> Any:
    """The content of some bytes of CBOR, with arrays of RFC 8746 as NumPy arrays."""
    return cbor2.loads(data, tag_hook=_untagged, max_depth=DEEPEST)


def _untagged(tag: cbor2.CBORTag, immutable: bool) -> Any:
    if (dtype := _DTYPES.get(tag.tag)) is not None and isinstance(tag.value, bytes):
        return np.frombuffer(tag.value, dtype)
    if tag.tag == SHAPED and isinstance(tag.value, (list, tuple)) and len(tag.value) == 2:
        shape, values = tag.value
        return np.asarray(values).reshape([int(n) for n in shape])
    return tag.value


def decode(data: bytes) -> list[Message]:
    """The message in some bytes."""
    return [message_of(loads(data))]


def message_of(values: Any) -> Message:
    """The message of a map with the fields of this dialect.

    Raises
    ------
    MessageError
        If the message has an unknown type, or fields that cannot be used.
    """
    if not isinstance(values, Mapping):
        raise MessageError("the message is not a map")
    kind = values.get("type", "frame")
    if kind == "frame":
        return frame_of(values)
    if kind == "start":
        return start_of(values)
    if kind == "end":
        return End(name_of(values, "run"))
    if kind == "control":
        return control_of(values)
    raise MessageError("the type of a message must be frame, start, end or control")


def fields_of(message: Message) -> dict[str, Any]:
    """The fields of a message with their names in this dialect; arrays stay arrays."""
    if isinstance(message, Control):
        return {"type": "control", "cells": list(message.cells), "parameters": message.parameters}
    if isinstance(message, End):
        return {"type": "end", "run": message.run}
    if isinstance(message, Start):
        detector = None if message.detector is None else dataclasses.asdict(message.detector)
        return _given(type="start", run=message.run, detector=detector, wavelength=message.wavelength)
    number, from_corner = None if message.number < 0 else message.number, None if message.from_corner else False
    return _given(type="frame", **(vars(message) | {"number": number, "from_corner": from_corner}))


def plain_fields_of(message: Message) -> dict[str, Any]:
    """The fields of `fields_of`, with lists in place of arrays."""
    fields = fields_of(message)
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in fields.items()}


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def encode(message: Message) -> bytes:
    """The bytes of a message."""
    return dumps(fields_of(message))


def dumps(values: dict[str, Any]) -> bytes:
    """A map as CBOR, with arrays as float32 arrays of RFC 8746."""
    return cbor2.dumps({name: _tagged(value) for name, value in values.items()})


def _tagged(value: Any) -> Any:
    return cbor2.CBORTag(FLOAT32, value.astype("<f4").tobytes()) if isinstance(value, np.ndarray) else value


def encode_answer(answer: dict[str, Any]) -> bytes:
    """The bytes of an answer."""
    return cbor2.dumps(answer)


def with_field(data: bytes, name: str, value: int) -> bytes:
    """The bytes of a map of fewer than 23 fields, with one more field."""
    assert MAPS[0] <= data[0] < MAPS[0] + 23
    return bytes([data[0] + 1]) + data[1:] + cbor2.dumps(name) + cbor2.dumps(value)
