"""The request for a live server, with ranges and help; it imports nothing heavy because the help needs it."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..ranges import SHORTEST, asked, at_least, check_ranges
from ..run.request import RunRequest, is_auto
from ..run.sections import Experiment, Method, Where
from ..write.formats.names import PARTS_SUFFIX, is_hdf5

if TYPE_CHECKING:
    from ..model.detector.panels import GivenGeometry
    from ..parameters import Parameters

DELAY, QUEUE, SAVE_SECONDS = 1.0, 4096, 10.0
BATCH_SIZE = {"cuda": 4096}
"""Largest number of frames in a batch, keyed by the backend."""
FEW = 64
"""Largest number of frames in a batch for all other backends; a larger batch would delay its first frame."""
RUN = "{run}"
"""Placeholder for the name of the run in the name of the output."""


@dataclass(frozen=True, eq=False)
class Live:
    """The sources of spot lists, the destinations of answers, and the waiting times of frames."""

    cells: tuple[str, ...] = asked(
        (),
        "Unit cell, as for `ffbidx index`: a file, or a,b,c,alpha,beta,gamma in A and degrees. Repeat it for cells "
        "that compete on every frame.",
        option="--cell",
        metavar="CELL",
        kind=str,
        numbers=0,
    )
    bind: str | None = asked(
        None,
        "Take spot lists that are pushed to this address, tcp://127.0.0.1:PORT; answers are published at PORT + 1, and "
        "requests are answered at PORT + 2.",
        metavar="ADDRESS",
        kind=str,
    )
    connect: tuple[str, ...] = asked(
        (), "Pull spot lists from a PUSH socket of another program.", metavar="ADDRESS", kind=str, numbers=0
    )
    subscribe: tuple[str, ...] = asked(
        (), "Subscribe to spot lists of a PUB socket of another program.", metavar="ADDRESS", kind=str, numbers=0
    )
    request: tuple[str, ...] = asked(
        (),
        "Ask another program for spot lists: each request, the word next, gets a message, as OM answers it.",
        metavar="ADDRESS",
        kind=str,
        numbers=0,
    )
    topic: str = asked("", "Topic of the subscriptions, such as ondaframedata.", metavar="WORD", kind=str)
    stdin: bool = asked(False, "Take JSON lines from standard input, and write answers to standard output.", kind=bool)
    publish: str | None = asked(None, "Publish answers at this address.", metavar="ADDRESS", kind=str)
    reply: str | None = asked(None, "Answer requests (REQ) at this address.", metavar="ADDRESS", kind=str)
    dialect: str = asked(
        "auto",
        "Dialect of the messages: cbor, om, stream2, json; auto: recognised by their content.",
        metavar="WORD",
        kind=str,
    )
    delay: float = asked(
        DELAY, "Longest time in ms that a frame waits for others of its batch.", **at_least(0), metavar="MS", kind=float
    )
    queue: int = asked(
        QUEUE,
        "Largest number of waiting frames; beyond it the oldest is dropped, counted and answered.",
        **at_least(1),
        metavar="N",
        kind=int,
    )
    keys: str | None = asked(
        None, "Folder of CURVE keys that clients need; required if other machines can connect.", metavar="DIR",
        kind=str,
    )  # fmt: skip
    http: str | None = asked(
        None, "Serve a page about the run here, and counters for Prometheus under /metrics.", metavar="HOST:PORT",
        kind=str,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Kept:
    """The outputs of a live run, and the frames and spots that it uses."""

    output: str | None = asked(
        None,
        "Results file, .h5; {run} in its name stands for the name of the run. Spots are stored beside it, in "
        "RESULTS.h5.spots. Without -o nothing is stored.",
        option="-o --output",
        metavar="FILE",
        kind=str,
    )
    overwrite: bool = asked(False, "Replace the output if it exists, unless this server wrote it.", kind=bool)
    resume: bool = asked(False, "Continue the run that was stopped or died; start it if there is none.", kind=bool)
    save_every: float = asked(
        SAVE_SECONDS, "Save finished frames every S seconds.", **at_least(0), metavar="S", kind=float
    )
    d_min: float | None = asked(
        None, "Use spots up to this resolution only.", **at_least(SHORTEST), metavar="A", kind=float
    )
    d_max: float | None = asked(
        None, "Use spots from this resolution on only.", **at_least(SHORTEST), metavar="A", kind=float
    )
    batch_size: int | None = asked(
        None, "Largest number of frames that are computed together.", **at_least(1), metavar="N", kind=int
    )


@dataclass(frozen=True, eq=False)
class ServeRequest(Method, Where, Kept, Experiment, Live):
    """The request for a live server; see `ffbidx serve --help`."""

    def check(self) -> None:
        """Raise an error if values or combinations of options cannot be used.

        Raises
        ------
        UsageError, ParameterError
            If an option cannot be used; the error names it.
        """
        check_ranges(self)
        if not self.cells:
            raise UsageError("frames in messages have no input cell of their own: give one with --cell CELL")
        if any(map(is_auto, self.cells)):
            raise UsageError("--cell auto looks at frames that are there: find the cell with `ffbidx cell` first")
        if not (self.bind or self.reply or self.connect or self.subscribe or self.request or self.stdin):
            raise UsageError("no frame can come: give --bind, --reply, --connect, --subscribe, --request or --stdin")
        if self.overwrite and self.resume:
            raise UsageError("--resume goes on with a run, and --overwrite starts again: leave one of them out")
        if self.output is None and (self.overwrite or self.resume):
            raise UsageError("--overwrite and --resume go with a results file: name one with -o FILE.h5")
        if self.output is not None and not is_hdf5(self.output):
            raise UsageError(
                f"-o {self.output}: results of a live run are written as .h5; `ffbidx convert` makes others"
            )
        if self.beam_centre is not None and self.geometry is None:
            raise UsageError("--beam-centre changes a geometry, and there is none: give it with -g FILE")
        p = self.run_request.parameters_in_force
        p.check_retry()
        check_learning(p)

    @property
    def run_request(self) -> RunRequest:
        """The request of a run of files with the fields that both kinds of request have."""
        names = {field.name for field in dataclasses.fields(RunRequest)}
        same = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name in names}
        return RunRequest(**same, outputs=() if self.output is None else (self.output,))

    @property
    def has_output_for_each_run(self) -> bool:
        """Whether the name of the output has a place for the name of the run."""
        return RUN in (self.output or "")

    @property
    def folder_of_runs(self) -> str:
        """The folder in which all runs have their outputs."""
        return os.path.dirname((self.output or "").partition(RUN)[0]) or "."

    def output_of(self, run: str, written: Set[str]) -> str:
        """The name of the output of a run; empty if results are not stored.

        If each run has an output of its own, the name gets a number rather than replace an output that the server has
        written, or, without `overwrite` and `resume`, any that exists.

        Parameters
        ----------
        run
            Name of the run.
        written
            The outputs of the runs that the server has had so far.
        """
        path = (self.output or "").replace(RUN, _file_name(run))
        if not self.has_output_for_each_run or ((self.overwrite or self.resume) and path not in written):
            return path
        return _free(path, written)

    @property
    def geometry_for_pixels(self) -> GivenGeometry | None:
        """The geometry that converts pixels to spots, without the beam shift, which is applied to all spots."""
        if self.geometry is None:
            return None
        return dataclasses.replace(self.run_request, beam_shift=None).chosen([])[0]


def check_learning(p: Parameters) -> None:
    """Raise a `UsageError` if the parameters ask for something that a live run cannot learn."""
    if p.learn_geometry:
        raise UsageError("--learn-geometry reads frames again: it goes with `ffbidx index`, not with a live run")


def _file_name(name: str) -> str:
    """The name of a run as part of a file name; characters unfit for a file system or a shell become `_`."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[:64] or "run"


def _free(path: str, written: Set[str]) -> str:
    """The path, with a number if such an output exists already or is one of those written."""
    stem, suffix = os.path.splitext(path)
    numbered = (f"{stem}-{k}{suffix}" for k in itertools.count(2))
    return next(
        p
        for p in itertools.chain([path], numbered)
        if p not in written and not os.path.lexists(p) and not os.path.lexists(p + PARTS_SUFFIX)
    )
