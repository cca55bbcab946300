"""Sending frames of files as messages at a steady rate, and measuring the delays of their answers."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import zmq

from ..errors import InputError, UsageError
from ..model.detector.panels import GivenGeometry
from ..read import expand_inputs
from ..read.blocks import read_frames
from ..read.files.content import check_is_there
from ..read.frames import RawFrames
from ..read.results import read_record
from .dialects import DIALECTS, Dialect
from .door.keys import use_client_keys
from .door.settings import beside
from .messages import End, Frame
from .replayed import Answers, Replayed

BEHIND = 0.05
"""Largest lag of the sender behind its schedule, in seconds, before it no longer tries to catch up."""


def replay(
    inputs: Sequence[str],
    to: str,
    *,
    answers: str | None,
    dialect: str,
    rate: float,
    geometry: GivenGeometry | None = None,
    run: str = "replay",
    keys: str = "",
    max_frames: int | None = None,
    repeat: int = 1,
    patience: float = 10.0,
    stop: threading.Event | None = None,
    progress: Callable[[Replayed], object] = lambda state: None,
) -> Replayed:
    """Send the frames of files to a server.

    Parameters
    ----------
    inputs
        Names of spot files, or of a results file whose inputs are sent.
    to
        Address of the server, its `--bind`.
    answers
        Address at which answers are published; None: the port of `to` + 1; empty: answers are not received.
    dialect
        Name of the dialect.
    rate
        Number of frames per second; 0: as fast as possible.
    geometry
        Geometry for inputs with peaks in pixels.
    run
        Name of the run.
    keys
        Folder with the keys of a client.
    max_frames, repeat
        Largest number of frames that are sent; number of times that the inputs are sent.
    patience
        Time in seconds in which the server must be there, and without an answer after which missing answers are no
        longer awaited.
    stop
        Event that ends the sending once it is set.
    progress
        Function that is called about once a second with the counts so far.

    Raises
    ------
    UsageError
        If an address or a dialect cannot be used.
    InputError
        If a file cannot be used.
    """
    speaks, stop, done = DIALECTS[dialect], stop or threading.Event(), Replayed()
    answers = beside("--to", to)[0] if answers is None else answers
    names = list(_named(inputs))
    for source in expand_inputs(names):
        check_is_there(source.path)
    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    socket.setsockopt(zmq.LINGER, int(1e3 * patience))
    # Without this, frames for a server that is not there would be taken as sent.
    socket.setsockopt(zmq.IMMEDIATE, 1)
    listener = None
    try:
        if keys:
            use_client_keys(socket, keys)
        socket.connect(to)
        if not _is_there(socket, patience, stop):
            why = " with these keys" if keys else ", unless it is one that asks for keys: --keys DIR"
            raise UsageError(f"--to {to}: no server takes spot lists there{why}")
        if answers:
            listener = Answers(context, answers, keys, done, patience, stop)
        # Each message is sent before the next one is read, so memory holds only one.
        messages = _frames(names * repeat, geometry, speaks, run)
        _send(socket, speaks, itertools.islice(messages, max_frames), rate, done, stop, progress)
        if listener is not None:
            _wait(listener, done, patience, stop)
        if not stop.is_set() and _is_there(socket, patience, stop):
            socket.send(speaks.encode(End(run)))
    except zmq.ZMQError as error:
        raise UsageError(f"--to {to}: {error}") from None
    finally:
        if listener is not None:
            listener.close()
        socket.close()
        context.term()
    return done


def _is_there(socket: Any, patience: float, stop: threading.Event) -> bool:
    """Whether the server accepts messages within `patience` seconds; true once `stop` is set."""
    end = time.monotonic() + patience
    while not socket.poll(100, zmq.POLLOUT):
        if stop.is_set():
            break
        if time.monotonic() > end:
            return False
    return True


def _send(
    socket: Any,
    speaks: Dialect,
    messages: Iterator[Frame],
    rate: float,
    done: Replayed,
    stop: threading.Event,
    progress: Callable[[Replayed], object],
) -> None:
    begun = shown = time.perf_counter()
    due = begun
    for frame in messages:
        if stop.is_set():
            return
        now = time.perf_counter()
        if rate:
            if due > now:
                time.sleep(due - now)
            # A sender that is far behind continues from now, instead of sending a burst.
            due = max(due + 1 / rate, now - BEHIND)
        sent = Frame(**(vars(frame) | {"sent": time.time()}))
        while not socket.poll(100, zmq.POLLOUT):
            if stop.is_set():
                return
        socket.send(speaks.encode(sent), zmq.NOBLOCK)
        done.sent += 1
        done.seconds = time.perf_counter() - begun
        if now - shown >= 1:
            shown = now
            progress(done)


def _wait(listener: Answers, done: Replayed, patience: float, stop: threading.Event) -> None:
    """Wait until all frames are accounted for, or no answer came for `patience` seconds."""
    before, since = -1, time.monotonic()
    while listener.there + done.missed < done.sent and not stop.is_set():
        if listener.there != before:
            before, since = listener.there, time.monotonic()
        elif time.monotonic() - since > patience:
            return
        stop.wait(0.01)


def _named(inputs: Sequence[str]) -> Iterator[str]:
    """Yield the names of spot files; a results file is replaced by its inputs."""
    for name in inputs:
        try:
            _, record = read_record(name)
        except InputError:
            yield name
            continue
        yield from (known.path if known.frame < 0 else f"{known.path}//{known.frame}" for known in record.inputs)


def _frames(names: Sequence[str], geometry: GivenGeometry | None, speaks: Dialect, run: str) -> Iterator[Frame]:
    """Yield the frames of files as messages of a dialect, numbered from 0."""
    number = 0
    for name in names:
        for raw in read_frames(expand_inputs([name]), geometry=geometry):
            yield from _of_raw(raw, speaks, run, number)
            number += len(raw.indices)


def _of_raw(raw: RawFrames, speaks: Dialect, run: str, number: int) -> Iterator[Frame]:
    if not raw.readable:
        return
    peaks = raw.peaks
    if peaks is None and speaks.name == "stream2":
        raise UsageError(f"--dialect stream2: {raw.source} has no pixels; give peaks, and a geometry with -g FILE")
    strong = raw.intensity if peaks is None else peaks.intensity
    for f, name in enumerate(raw.ids):
        rows = slice(raw.offsets[f], raw.offsets[f + 1])
        intensity = None if strong is None else strong[rows].astype(np.float32)
        fields: dict[str, Any] = {"intensity": intensity}
        if speaks.name == "cbor" or peaks is None:
            fields["spots"] = raw.spots[rows].astype(np.float32)
        else:
            fields |= {"pixels": peaks.pixels[rows, :2].astype(np.float32), "wavelength": float(peaks.wavelength[f])}
            fields["distance"] = float(peaks.distance[f])
        yield Frame(run, number + f, name, **fields)
