"""The storage of the results and spots of a live run while it goes on."""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from ...devices import Devices
from ...model.records.frame import FrameBlock
from ...model.records.run import Learned
from ...run.account import Account
from ...run.collector import Collector
from ...run.job import Job
from ...run.outcome import BatchFound
from ...write.behind import WriteBehind
from ...write.stores import Store
from ..frames import SOURCE
from .spool import Spool

MOST_UNSAVED = 8192
"""Number of frames after which a part is saved, however short the time since the previous one."""
DEPTH = 4
"""Largest number of batches that wait to be stored."""

Item = BatchFound | list[Learned] | str
"""Results of a batch, learned cells, or the codes of the lattices of all input cells that the run has had so far."""


class Keeper:
    """Stores the results and the spots of a run, in a thread of its own."""

    def __init__(self, store: Store, job: Job, devices: Devices, account: Account) -> None:
        self._store, self._seconds = store, job.save_seconds
        header = job.header(devices.name, devices.device)
        # This class decides when a part is saved, which is after the spots of its frames.
        self._collector = Collector(store, header, account.sample, save_seconds=float("inf"))
        self._spool = Spool(job.output, account.saved.begun)
        self._position = account.saved.mark.end.position
        self._since, self._unsaved = time.monotonic(), 0
        self._writer = WriteBehind(self._keep, DEPTH)
        self._writer.__enter__()

    def put(self, item: Item | None) -> None:
        """Hand over an item; None only makes the thread check whether a save is due."""
        self._writer.put(item)

    def _keep(self, item: Item | None) -> None:
        if isinstance(item, list):
            self._store.learned(item)
        elif isinstance(item, str):
            self._collector.use(dataclasses.replace(self._collector.header, lattices=item))
        elif item is not None:
            self._place(item.batch)
            self._spool.add(item.batch)
            self._collector.take(item)
            self._unsaved += item.batch.n_frames
        if self._unsaved >= MOST_UNSAVED or (self._unsaved and time.monotonic() - self._since >= self._seconds):
            self._save_spots()
            self._collector.save_rest()
            self._since, self._unsaved = time.monotonic(), 0

    def _place(self, block: FrameBlock) -> None:
        """Record the place of each frame in the spool."""
        number, first = self._spool.place
        steps = np.arange(block.n_frames)
        block.sources = [self._spool.path] * block.n_frames
        block.indices = first + steps
        block.problems = [line.replace(f"{SOURCE}, frame", f"{self._spool.path}, frame") for line in block.problems]
        position = self._position + 1 + steps
        block.places = np.column_stack([np.full(len(steps), number), block.indices + 1, position, position])
        self._position += block.n_frames

    def _save_spots(self) -> None:
        self._spool.write()
        self._store.note_inputs(self._spool.inputs)

    def finish(self) -> Collector:
        """Wait until everything is stored; returns the collector with the results."""
        self._writer.finish()
        self._save_spots()
        return self._collector
