"""msgpack maps of OM (OnDA) as CrystFEL reads them; pickles, which old versions send, are refused unread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgpack
import numpy as np

from ...ranges import HC
from ..messages import Frame, Message, MessageError, frame_of, quantity, table
from ..messages import name as name_of
from .own import message_of, plain_fields_of

MAPS_AND_LISTS = (*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF)
"""First bytes of msgpack maps and lists; 0x80 is an empty map, or in a pickle is followed by a version."""
MOST_FRAMES = 1000
"""Largest number of frames in one message."""


def decode(data: bytes) -> list[Message]:
    """The frames in a map, or in a list of maps."""
    if data[:1] == b"\x80":
        raise MessageError("the message is empty or pickled; pickles are never read")
    values = msgpack.unpackb(data, raw=False, strict_map_key=False, timestamp=0)
    maps = values if isinstance(values, list) else [values]
    if len(maps) > MOST_FRAMES:
        raise MessageError(f"the message has {len(maps)} frames; at most {MOST_FRAMES} are taken")
    return [_message(each) for each in maps]


def _message(values: Any) -> Message:
    if not isinstance(values, Mapping):
        raise MessageError("the message is not a map")
    if "peak_list" not in values:
        return message_of(values)
    peaks = values["peak_list"]
    if not isinstance(peaks, Mapping):
        raise MessageError("peak_list must be a map of fs, ss and intensity")
    fs, ss, intensity = (table(peaks, key, 1) for key in ("fs", "ss", "intensity"))
    if fs is None or ss is None or len(fs) != len(ss):
        raise MessageError("peak_list must have equally many numbers of fs and ss")
    given = quantity(peaks, "num_peaks")
    count = len(fs) if given is None or not 0 <= given < len(fs) else int(given)
    energy = quantity(values, "beam_energy")
    fields: dict[str, Any] = {"pixels": np.hstack([fs, ss])[:count], "from_corner": False}
    fields["intensity"] = None if intensity is None else intensity[:count]
    fields["wavelength"] = HC / energy if energy is not None and energy > 0 else None
    fields["distance"] = quantity(values, "detector_distance")
    fields["name"] = name_of(values, "event_id") or _time(values)
    fields["sent"] = values.get("sent")
    return frame_of(fields)


def _time(values: Mapping[str, Any]) -> str:
    """The time stamp, which is the name of a frame without an event."""
    found = quantity(values, "timestamp")
    return "" if found is None else repr(found)


def encode(message: Message) -> bytes:
    """A message as OM sends it; a frame without pixels, or another message, has the fields of the project's dialect."""
    if not isinstance(message, Frame) or message.pixels is None:
        return _packed(plain_fields_of(message))
    fs, ss = message.pixel_numbers.T
    peaks: dict[str, Any] = {"num_peaks": len(fs), "fs": fs.tolist(), "ss": ss.tolist()}
    if message.intensity is not None:
        peaks["intensity"] = message.intensity.tolist()
    values: dict[str, Any] = {"peak_list": peaks, "event_id": message.name, "source": message.run}
    if message.wavelength is not None:
        values["beam_energy"] = HC / message.wavelength
    if message.distance is not None:
        values["detector_distance"] = message.distance
    if message.sent is not None:
        values["sent"] = message.sent
    return _packed(values)


def encode_answer(answer: dict[str, Any]) -> bytes:
    """An answer as a msgpack map."""
    return _packed(answer)


def _packed(values: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb(values)
    return packed
