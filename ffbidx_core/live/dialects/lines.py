"""The dialect of JSON lines: those of the fast feedback service, or the fields of the project's own dialect."""

from __future__ import annotations

import json
from typing import Any

from ..messages import Frame, Message, MessageError, frame_of
from ..messages import number as number_of
from .own import message_of, plain_fields_of


def decode(data: bytes) -> list[Message]:
    """The messages in one or several lines."""
    return [message_of_line(line) for line in data.splitlines() if line.strip()]


def message_of_line(line: bytes) -> Message:
    """The message in a line; in spot centres, the centre of the first pixel is at 0.5, as in the service.

    Raises
    ------
    MessageError
        If the line is not a JSON object with usable fields.
    """
    values = json.loads(line)
    if not isinstance(values, dict):
        raise MessageError("a line must be a JSON object")
    if "spot_centers" in values:
        fields = {"pixels": values["spot_centers"], "sent": values.get("sent")}
        return frame_of({"number": number_of(values, "file-number")} | fields)
    return message_of(values)


def encode(message: Message) -> bytes:
    """A message as a line, in the form of the fast feedback service if it has pixels."""
    if isinstance(message, Frame) and message.pixels is not None:
        centres = message.pixels.astype(float).round(4).tolist()
        sent = {} if message.sent is None else {"sent": message.sent}
        return _line({"file-number": max(message.number, 0), "spot_centers": centres} | sent)
    return _line(plain_fields_of(message))


def encode_answer(answer: dict[str, Any]) -> bytes:
    """An answer as a JSON line."""
    return _line(answer)


def _line(values: dict[str, Any]) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode() + b"\n"
