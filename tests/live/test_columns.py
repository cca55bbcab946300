"""Frames of messages as columns: what a batch holds is what its messages held."""

import multiprocessing
from types import SimpleNamespace

import numpy as np
import pytest

import ffbidx_core
from ffbidx_core.live.columns import FrameColumns, columns_of
from ffbidx_core.live.door.child import Wish, hand_over
from ffbidx_core.live.door.waiting import PUSHED, Origin, Queue, Received
from ffbidx_core.live.frames import IN_FILE, MISSING, NO_GEOMETRY, Placing, made_up_frames
from ffbidx_core.live.messages import FlatPanel, Frame, Start
from ffbidx_core.model.cell import cell_from_parameters
from ffbidx_core.model.detector.panels import Geometry
from ffbidx_core.read.geometry.crystfel import parse_crystfel
from ffbidx_core.read.sift import ResolutionLimits
from tests.helpers.calls import MONO
from tests.helpers.live.server import QUICK

PANEL = FlatPanel((500.0, 510.0), 150.0, 75.0, (1000, 1000))


def spots(k: int) -> Frame:
    return Frame("r", k, f"frame {k}", spots=np.full((k, 3), 0.01 * k, np.float32), sent=1.5 if k % 2 else None)


def pixels(k: int, run: str = "r", **more) -> Frame:
    rows = np.arange(2.0 * k, dtype=np.float32).reshape(-1, 2)
    return Frame(run, k, "", pixels=rows, **({"intensity": rows[:, 0], "wavelength": 1.0} | more))


def received(frames) -> list[Received]:
    return [Received(frame, PUSHED, float(k)) for k, frame in enumerate(frames)]


def frames_of(columns: FrameColumns) -> list[tuple]:
    """Run, number, name, rows, intensity, wavelength, distance, time of sending and of arrival of each frame."""
    parts = [slice(*each) for each in zip(columns.offsets, columns.offsets[1:], strict=False)]
    return [
        (
            columns.run, columns.numbers[f], columns.names[f], columns.rows[part].tolist(),
            None if columns.intensity is None else columns.intensity[part].tolist(),
            *(None if np.isnan(each[f]) else each[f] for each in (columns.wavelength, columns.distance, columns.sent)),
            columns.at[f],
        )
        for f, part in enumerate(parts)
    ]  # fmt: skip


def expected(item: Received) -> tuple:
    frame = item.message
    rows = frame.pixels if frame.spots is None else frame.spots
    strong = None if frame.intensity is None else frame.intensity.tolist()
    lengths = frame.wavelength, frame.distance, frame.sent
    return frame.run, frame.number, frame.name, rows.tolist(), strong, *lengths, item.at


MIXED = [
    spots(3), spots(0), spots(5), pixels(4), pixels(2, distance=100.0), pixels(1, intensity=None),
    pixels(3, from_corner=False), pixels(3, run="s", from_corner=False), spots(2),
]  # fmt: skip


def test_each_stretch_of_one_run_and_kind_is_a_block_with_all_that_its_messages_had():
    items = received(MIXED)
    found = columns_of(items)
    assert [each.n_frames for each in found] == [3, 2, 1, 1, 1, 1]
    assert [row for each in found for row in frames_of(each)] == [expected(item) for item in items]
    assert [each.from_corner for each in found] == [True, True, True, False, False, True]
    assert [each.has_pixels for each in found] == [False, True, True, True, True, False]
    assert all(each.origins is None for each in found)


def test_frames_that_are_left_out_leave_the_others_as_they_were():
    client = Origin(b"client", "json")
    items = [Received(pixels(k, distance=50.0 + k), client if k == 3 else PUSHED, float(k)) for k in range(5)]
    (found,) = columns_of(items)
    assert found.without({}) is found
    left = found.without({0, 2})
    assert frames_of(left) == [expected(items[k]) for k in (1, 3, 4)]
    assert left.each_origin == [PUSHED, client, PUSHED]


def test_a_frame_without_number_or_name_gets_one():
    frames = [Frame("", 7, ""), Frame("", -1, ""), Frame("", -1, "x")]
    for frame in frames:
        frame.spots = np.zeros((1, 3), np.float32)
    (found,) = columns_of(received(frames))
    named = found.named(10)
    assert (named.numbers.tolist(), named.names) == ([7, 11, 12], ["7", "11", "x"])
    assert named.named(99) is named


def test_pixels_that_cannot_be_converted_have_a_reason():
    (given,) = columns_of(received([pixels(3, wavelength=None), pixels(3), pixels(3, wavelength=0.0)]))
    placing = Placing(None)
    assert placing.problems(given) == {0: NO_GEOMETRY, 1: NO_GEOMETRY, 2: NO_GEOMETRY}
    assert placing.problems(columns_of(received([spots(3)]))[0]) == {}
    placing.start(Start("r", PANEL, 1.1))
    assert placing.problems(given) == {}


def geometry(wavelength: str) -> Geometry:
    text = f"{wavelength}\nclen = 0.15\nres = 10000\nq/min_fs = 0\nq/max_fs = 999\nq/min_ss = 0\nq/max_ss = 999\n"
    return parse_crystfel("a.geom", text + "q/corner_x = -500\nq/corner_y = -500\nq/fs = +x\nq/ss = +y\n")


@pytest.mark.parametrize(("wavelength", "reason"), [("", MISSING), ("wavelength = /a/b A", IN_FILE)])
def test_a_wavelength_that_neither_message_nor_geometry_has_is_named(wavelength, reason):
    (given,) = columns_of(received([pixels(3, wavelength=None), pixels(3)]))
    assert Placing(geometry(wavelength)).problems(given) == {0: reason}


def test_frames_of_several_kinds_make_the_block_of_each_kind_alone():
    placing, limits = Placing(None), ResolutionLimits()
    placing.start(Start("r", PANEL, 1.1))
    parts = columns_of(received(MIXED))
    whole, alone = placing.block(parts, limits, True), [placing.block([each], limits, True) for each in parts]
    assert np.array_equal(whole.spots, np.concatenate([each.spots for each in alone]))
    assert np.array_equal(whole.n_spots, np.concatenate([each.n_spots for each in alone]))
    assert list(whole.ids) == [frame.name for frame in MIXED]
    assert whole.by_intensity.tolist() == [frame.intensity is not None for frame in MIXED]


def test_a_batch_that_is_due_goes_before_further_messages_are_received():
    ours, theirs = multiprocessing.Pipe()
    waiting, looks = Queue(1000), []

    def receive(timeout: int) -> set[int]:
        looks.append(timeout)
        if len(looks) > 3:
            raise EOFError
        for frame in range(5):
            waiting.put(Received(spots(frame), PUSHED, 0.0))
        return {theirs.fileno()} if len(looks) == 1 else set()

    sockets = SimpleNamespace(receive=receive, send=list, watch=lambda source: None)
    ours.send(Wish(100, 0.0, 60.0))
    with pytest.raises(EOFError):
        hand_over(theirs, sockets, waiting, SimpleNamespace(n_dropped=2, n_failed=1))
    assert looks == [-1] * 4
    handed = ours.recv()
    assert [each.n_frames for each in handed.taken] == [5]
    assert (handed.n_waiting, handed.dropped, handed.errors) == (0, 2, 1)
    assert not ours.poll()


def test_crystals_are_found_on_made_up_frames():
    made = made_up_frames(cell_from_parameters([float(v) for v in MONO.split(",")[:6]])[None], 3)
    parts = [made.rows[i:j] for i, j in zip(made.offsets, made.offsets[1:], strict=False)]
    request = ffbidx_core.RunRequest(cells=MONO, spots=parts, parameters=QUICK, threads=1)
    assert ffbidx_core.index(request).results.status.tolist() == [0, 0, 0]
