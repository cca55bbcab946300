"""Messages of each dialect, built from its documents, and messages that nobody should send."""

import contextlib
import json

import cbor2
import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffbidx_core.live.dialects import DIALECTS, decoded
from ffbidx_core.live.messages import Control, End, FlatPanel, Frame, MessageError, Start

PIXELS = np.array([[10.5, 20.25], [300.0, 4.75]], np.float32)
STRONG = np.array([7.0, 3.0], np.float32)


def only(data: bytes, chosen: str = "auto"):
    (found,) = decoded(data, chosen)[1]
    return found


def test_a_frame_of_the_own_dialect_has_arrays_of_rfc_8746():
    spots = np.array([[0.1, 0.2, -0.02], [0.0, 0.25, -0.03]], "<f4")
    data = cbor2.dumps(
        {
            "type": "frame",
            "run": "r1",
            "number": 7,
            "name": "x",
            "spots": cbor2.CBORTag(85, spots.tobytes()),
            "sent": 1.5,
        }
    )
    frame = only(data)
    assert (frame.run, frame.number, frame.name, frame.sent) == ("r1", 7, "x", 1.5)
    assert np.array_equal(frame.spots, spots)
    big = cbor2.CBORTag(40, [[2, 3], cbor2.CBORTag(82, spots.astype(">f8").tobytes())])
    assert np.array_equal(only(cbor2.dumps({"type": "frame", "spots": big})).spots, spots)
    assert np.array_equal(only(cbor2.dumps({"spots": spots.tolist()})).spots, spots)


def test_start_end_and_control_of_the_own_dialect():
    detector = {"beam_centre": [1, 2.5], "distance": 150, "pixel_size": 75, "size": [100, 200]}
    start = only(cbor2.dumps({"type": "start", "run": "a", "detector": detector, "wavelength": 1.3}))
    assert start == Start("a", FlatPanel((1.0, 2.5), 150.0, 75.0, (100, 200)), 1.3)
    assert only(cbor2.dumps({"type": "end", "run": "a"})) == End("a")
    control = only(cbor2.dumps({"type": "control", "cells": ["1,2,3,90,90,90"], "parameters": {"searches": 2}}))
    assert control == Control(("1,2,3,90,90,90",), {"searches": 2})


def test_om_has_numbers_of_pixels_and_an_energy():
    peaks = {"num_peaks": 2, "fs": [10.0, 299.5, 9.0], "ss": [19.75, 4.25, 9.0], "intensity": [7.0, 3.0, 0.0]}
    values = {"peak_list": peaks, "beam_energy": 12398.42, "detector_distance": 150.0, "event_id": "e-1"}
    for data in (msgpack.packb(values), msgpack.packb([values])):
        dialect, (frame,) = decoded(data)
        assert dialect.name == "om"
        assert np.allclose(frame.pixels, PIXELS - 0.5)
        assert not frame.from_corner
        assert np.array_equal(frame.intensity, STRONG)
        assert (frame.name, frame.number, frame.distance) == ("e-1", -1, 150.0)
        assert frame.wavelength == pytest.approx(1.0)


def test_lines_of_the_fast_feedback_service():
    dialect, messages = decoded(
        b'{"file-number": 3, "spot_centers": [[10.5, 20.25], [300, 4.75]]}\n{"file-number": 4, "spot_centers": []}'
    )
    assert dialect.name == "json"
    assert [m.number for m in messages] == [3, 4]
    assert np.array_equal(messages[0].pixels, PIXELS)
    assert messages[0].from_corner
    assert len(messages[1].pixels) == 0


@pytest.mark.parametrize("where", ["maps", "flat", "user_data"])
def test_images_of_a_series_carry_spots(where):
    maps = [{"x": 10.0, "y": 19.75, "I": 7.0}, {"x": 299.5, "y": 4.25, "I": 3.0}]
    flat = [v for spot in maps for v in spot.values()]
    fields = {"maps": {"spots": maps}, "flat": {"spots": flat}, "user_data": {"user_data": {"spots": maps}}}[where]
    head = {"type": "image", "series_id": 5, "series_unique_id": "run-5", "image_id": 9}
    dialect, (frame,) = decoded(cbor2.dumps(head | fields))
    assert dialect.name == "stream2"
    assert (frame.run, frame.number) == ("run-5", 9)
    assert np.allclose(frame.pixels, PIXELS - 0.5)
    assert not frame.from_corner
    assert np.array_equal(frame.intensity, STRONG)


def test_the_start_of_a_series_has_metres():
    start = only(
        cbor2.dumps(
            {
                "type": "start", "series_id": 5, "series_unique_id": "s",
                "beam_center_x": 1000.0, "beam_center_y": 900.0,
                "detector_translation": [0.0, 0.0, 0.15], "pixel_size_x": 7.5e-5, "pixel_size_y": 7.5e-5,
                "incident_wavelength": 1.1, "image_size_x": 2068, "image_size_y": 2164,
            }
        )
    )  # fmt: skip
    assert start.run == "s"
    assert start.wavelength == 1.1
    assert start.detector.beam_centre == (1000.5, 900.5)
    assert start.detector.distance == pytest.approx(150)
    assert start.detector.pixel_size == pytest.approx(75)
    assert start.detector.size == (2068, 2164)
    assert only(cbor2.dumps({"type": "end", "series_id": 5, "series_unique_id": "s"})) == End("s")


@pytest.mark.parametrize("word", DIALECTS)
def test_what_is_encoded_is_decoded_to_the_same_places(word):
    frame = Frame("r", 4, "name", pixels=PIXELS, intensity=STRONG, wavelength=1.25, distance=100.0, sent=2.5)
    dialect, (found,) = decoded(DIALECTS[word].encode(frame))
    assert dialect.name == word
    assert np.allclose(found.pixels + (0 if found.from_corner else 0.5), PIXELS)


@pytest.mark.parametrize("word", ["cbor", "om", "json"])
def test_spots_survive_where_a_dialect_can_carry_them(word):
    spots = np.array([[0.1, 0.2, -0.02]], np.float32)
    found = only(DIALECTS[word].encode(Frame("r", 4, "name", spots=spots)))
    assert np.array_equal(found.spots, spots)
    assert (found.run, found.number, found.name) == ("r", 4, "name")


def test_pickles_are_refused_unread():
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("a pickle was read",)

    import pickle

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps(Trap(), protocol)
        for word in ("auto", *DIALECTS):
            with pytest.raises(MessageError):
                decoded(data, word)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"type": "frame"}, "spots"),
        ({"type": "frame", "spots": [[1, 2, 3]], "pixels": [[1, 2]]}, "either spots"),
        ({"type": "frame", "spots": [1, 2]}, "table of 3"),
        ({"type": "frame", "spots": [["a", "b", "c"]]}, "not a number"),
        ({"type": "frame", "spots": {"a": 1}}, "spots"),
        ({"type": "frame", "spots": [[0.1] * 3] * 20_001}, "at most 20000"),
        ({"type": "frame", "spots": [[0.1] * 3], "intensity": [1, 2]}, "intensity"),
        ({"type": "frame", "spots": [[0.1] * 3], "number": -4}, "number"),
        ({"type": "frame", "spots": [[0.1] * 3], "number": 2**60}, "number"),
        ({"type": "frame", "spots": [[0.1] * 3], "run": "x" * 300}, "run"),
        ({"type": "frame", "spots": [[0.1] * 3], "wavelength": "short"}, "wavelength"),
        ({"type": "start", "run": "x", "detector": {"distance": 1}}, "beam_centre"),
        ({"type": "start", "run": "x", "wavelength": -1}, "wavelength"),
        ({"type": "control"}, "cells"),
        ({"type": "control", "cells": [5]}, "cells"),
        ({"type": "nonsense"}, "type"),
        ([1], "not a map"),
    ],
)
def test_the_error_names_what_is_wrong(values, word):
    with pytest.raises(MessageError, match=word):
        decoded(cbor2.dumps(values), "cbor")
    with pytest.raises(MessageError):
        decoded(json.dumps(values).encode(), "json")


@given(st.binary(max_size=300))
def test_whatever_bytes_come_there_is_a_message_or_a_message_error(data):
    for word in ("auto", *DIALECTS):
        with contextlib.suppress(MessageError):
            decoded(data, word)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["type", "run", "number", "name", "spots", "pixels", "intensity", "wavelength", "sent", "detector", "peak_list",
     "beam_energy", "file-number", "spot_centers", "series_id", "image_id", "user_data", "cells", "parameters",
     "timestamp"]
)  # fmt: skip
TYPES = st.sampled_from(["frame", "start", "end", "control", "image"])


@given(st.dictionaries(KEYS, VALUES, max_size=6), TYPES)
def test_fields_of_any_kind_make_a_message_or_a_message_error(values, kind):
    values = values | {"type": kind}
    encoded = [cbor2.dumps(values), json.dumps(values, default=repr).encode()]
    with contextlib.suppress(OverflowError):
        # msgpack has no integers of more than 64 bits.
        encoded.append(msgpack.packb(values))
    for data in encoded:
        for word in ("auto", *DIALECTS):
            try:
                decoded(data, word)
            except MessageError:
                continue


def test_a_line_of_the_service_keeps_the_time_of_sending_that_replay_adds():
    line = DIALECTS["json"].encode(Frame("r", 4, "name", pixels=PIXELS, sent=2.5))
    assert json.loads(line) == {"file-number": 4, "spot_centers": PIXELS.tolist(), "sent": 2.5}
    assert only(line).sent == 2.5


def test_large_and_deep_messages_are_refused():
    with pytest.raises(MessageError, match="bytes"):
        decoded(b"\xa1" + bytes(2**24))
    with pytest.raises(MessageError):
        decoded(b"\xa1\x61a" + b"\x81" * 10_000)
    with pytest.raises(MessageError):
        decoded(b"[" * 100_000)
