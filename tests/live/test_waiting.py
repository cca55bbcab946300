import time

from ffbidx_core.live.door.waiting import PUSHED, Received, Waiting
from ffbidx_core.live.messages import End, Frame


def received(message) -> Received:
    return Received(message, PUSHED, time.perf_counter())


def frames(n):
    return [received(Frame("", k, "")) for k in range(n)]


def numbers(items):
    return [item.message.number for item in items]


def test_the_oldest_frame_goes_first_and_is_counted():
    waiting = Waiting(3)
    lost = [waiting.put(item) for item in frames(5)]
    assert numbers([item for item in lost if item]) == [0, 1]
    assert waiting.dropped == 2
    assert numbers(waiting.take(10, 0, 0)) == [2, 3, 4]
    assert waiting.take(10, 0, 0) == []


def test_what_is_no_frame_is_never_dropped_and_ends_a_batch():
    waiting = Waiting(1)
    end = received(End("r"))
    first, second = frames(2)
    for item in (first, end, second):
        waiting.put(item)
    assert waiting.take(10, 0, 0) == [end]
    assert waiting.take(10, 0, 0) == [second]
    waiting = Waiting(9)
    for item in (first, end, second):
        waiting.put(item)
    assert [waiting.take(10, 1, 0) for _ in range(3)] == [[first], [end], [second]]


def test_a_batch_goes_when_it_is_full_or_its_first_frame_has_waited():
    waiting = Waiting(9)
    for item in frames(5):
        waiting.put(item)
    began = time.perf_counter()
    assert len(waiting.take(4, 60, 0)) == 4
    assert time.perf_counter() - began < 30
    one = frames(1)[0]
    waiting = Waiting(9)
    waiting.put(one)
    assert waiting.take(4, 0.05, 0) == [one]
    assert time.perf_counter() - one.at >= 0.05
