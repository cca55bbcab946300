"""CBOR in the form of DECTRIS Stream2, with the spots that Jungfraujoch adds to its images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cbor2
import numpy as np

from ..messages import End, Frame, Message, MessageError, Start, frame_of, needed, number, quantity, start_of
from ..messages import name as name_of
from .own import fields_of, loads

SERIES = b"iseries_id"
"""A field, preceded by the byte of its length, that every message of a series has and the own dialect lacks."""


def is_series(data: bytes) -> bool:
    """Whether a CBOR message belongs to a series."""
    return SERIES in data


def decode(data: bytes) -> list[Message]:
    """The message in some bytes; an image without a list of spots is a frame without spots."""
    values = loads(data)
    if not isinstance(values, Mapping):
        raise MessageError("the message is not a map")
    run = name_of(values, "series_unique_id") or name_of(values, "series_id")
    kind = values.get("type")
    if kind == "start":
        return [_start(values, run)]
    if kind == "end":
        return [End(run)]
    if kind == "image":
        return [_image(values, run)]
    raise MessageError("the type of a message must be start, image or end")


def _start(values: Mapping[str, Any], run: str) -> Start:
    """The start of a run; lengths in a start message are in metres, the wavelength is in angstrom."""
    fields: dict[str, Any] = {"run": run, "wavelength": quantity(values, "incident_wavelength")}
    metres = quantity(values, "detector_distance")
    if metres is None and isinstance(values.get("detector_translation"), (list, tuple, np.ndarray)):
        moved = values["detector_translation"]
        metres = float(moved[2]) if len(moved) == 3 else None
    if metres is not None:
        fields["detector"] = {
            # DECTRIS measures from the centre of the first pixel.
            "beam_centre": [needed(values, f"beam_center_{axis}") + 0.5 for axis in "xy"],
            "distance": 1e3 * abs(metres),
            "pixel_size": 1e6 * needed(values, "pixel_size_x"),
            "size": [int(needed(values, f"image_size_{axis}")) for axis in "xy"],
        }
    return start_of(fields)


def _image(values: Mapping[str, Any], run: str) -> Frame:
    extra = values.get("user_data")
    spots = values.get("spots", extra.get("spots") if isinstance(extra, Mapping) else None)
    key = next((key for key in ("image_number", "image_id") if key in values), "image_id")
    table = np.array([] if spots is None else _rows(spots), np.float64).reshape(-1, 3)
    return frame_of(
        {
            "run": run,
            "number": number(values, key),
            "pixels": table[:, :2],
            "intensity": table[:, 2],
            "from_corner": False,
            "sent": values.get("sent"),
        }
    )


def _rows(spots: Any) -> Any:
    """The x, y, I of each spot, from a list of maps or from a list of numbers."""
    if isinstance(spots, (list, tuple)) and spots and isinstance(spots[0], Mapping):
        return [(spot["x"], spot["y"], spot.get("I", 0.0)) for spot in spots]
    return spots


def encode(message: Message) -> bytes:
    """A message as a detector with this dialect sends it.

    Raises
    ------
    MessageError
        If the frame has no pixels, because the dialect has no other spots.
    """
    fields: dict[str, Any] = {"type": "end", "series_id": 1, "series_unique_id": getattr(message, "run", "")}
    if isinstance(message, Start):
        fields |= {"type": "start", "incident_wavelength": message.wavelength}
        if (panel := message.detector) is not None:
            fields |= {
                "beam_center_x": panel.beam_centre[0] - 0.5,
                "beam_center_y": panel.beam_centre[1] - 0.5,
                "detector_translation": [0.0, 0.0, panel.distance / 1e3],
                "pixel_size_x": panel.pixel_size / 1e6,
                "pixel_size_y": panel.pixel_size / 1e6,
                "image_size_x": panel.size[0],
                "image_size_y": panel.size[1],
            }
    elif isinstance(message, Frame):
        if message.pixels is None:
            raise MessageError("the dialect stream2 needs pixels, and the frame has none")
        pixels = message.pixel_numbers
        strong = np.zeros(len(pixels)) if message.intensity is None else message.intensity
        spots = [{"x": x, "y": y, "I": i} for (x, y), i in zip(pixels.tolist(), strong.tolist(), strict=True)]
        fields |= {"type": "image", "image_id": max(message.number, 0), "spots": spots, "sent": message.sent}
    elif not isinstance(message, End):
        return cbor2.dumps(fields_of(message))
    return cbor2.dumps(fields)
