"""A client of live servers that is fast enough for 20,000 frames a second: one process sends, another one receives."""

from __future__ import annotations

import itertools
import multiprocessing
import struct
import time
from multiprocessing.connection import Connection

import cbor2
import numpy as np
import zmq

from ffbidx_core.live.dialects import own
from ffbidx_core.live.messages import Frame
from ffbidx_core.live.replayed import connect_subscriber

MARK = 1.5
"""Time of sending in the prepared messages, which is replaced when one is sent."""
PAUSE = 1e-4
"""Time in seconds that the sender sleeps when no frame is due."""
PATIENCE = 10_000
"""Time in milliseconds without an answer after which the receiver ends."""


def prepared(spots: np.ndarray, offsets: np.ndarray, run: str) -> list[tuple[bytes, bytes]]:
    """The message of each frame as the bytes before and behind the time of sending, a float64 in CBOR."""
    frames = [spots[begin:end].astype(np.float32) for begin, end in itertools.pairwise(offsets)]
    messages = [own.encode(Frame(run, k, f"frame {k}", spots=rows, sent=MARK)) for k, rows in enumerate(frames)]
    return [tuple(message.split(struct.pack(">d", MARK))) for message in messages]


def delays_under_load(
    address: str, spots: np.ndarray, offsets: np.ndarray, *, rate: float, n_frames: int, run: str
) -> dict:
    """Counts of the answers to frames that are sent at a steady rate again and again, and percentiles of their delays.

    A delay is the time in milliseconds from sending a frame to receiving its answer.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    receiver = context.Process(target=_receive, args=(theirs, f"{address}.answers", n_frames))
    receiver.start()
    ours.recv()
    seconds = _send(address, prepared(spots, offsets, run), rate, n_frames)
    found = ours.recv()
    receiver.join()
    return {"sent": n_frames, "frames_per_second": round(n_frames / seconds, 1)} | found


def _send(address: str, messages: list[tuple[bytes, bytes]], rate: float, n_frames: int) -> float:
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.setsockopt(zmq.SNDHWM, 0)
        push.connect(address)
        begin, sent = time.perf_counter(), 0
        while sent < n_frames:
            due = min(n_frames, int((time.perf_counter() - begin) * rate) + 1)
            for k in range(sent, due):
                before, behind = messages[k % len(messages)]
                push.send(before + struct.pack(">d", time.time()) + behind)
            sent = due
            time.sleep(PAUSE)
        return time.perf_counter() - begin


def _receive(connection: Connection, address: str, n_frames: int) -> None:
    counts, delays, indexed, last, missed = {"answer": 0, "dropped": 0, "error": 0}, [], 0, 0, 0
    with zmq.Context() as context, context.socket(zmq.SUB) as sub:
        sub.setsockopt(zmq.RCVHWM, 0)
        sub.setsockopt(zmq.SUBSCRIBE, b"")
        connect_subscriber(sub, address, 30)
        connection.send(None)
        while sum(counts.values()) + missed < n_frames and sub.poll(PATIENCE):
            answer = cbor2.loads(sub.recv_multipart()[-1])
            now = time.time()
            missed += answer["sequence"] - last - 1 if last else 0
            last = answer["sequence"]
            if answer["type"] not in counts:
                continue
            counts[answer["type"]] += 1
            if answer["type"] == "answer":
                delays.append(1e3 * (now - answer["sent"]))
                indexed += bool(answer["crystals"])
    names = {"answer": "answered", "dropped": "dropped", "error": "errors"}
    found = {names[kind]: n for kind, n in counts.items()} | {"indexed": indexed, "missed": missed}
    found |= {f"p{q}": round(float(np.percentile(delays, q)), 2) if delays else None for q in (50, 90, 99, 100)}
    connection.send(found)
