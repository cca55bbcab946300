"""The collection of the results of batches in saved parts, and at the end in the output."""

from __future__ import annotations

import time

from ..model.records.doubt import Contest
from ..model.records.results import Results, ResultsHeader
from ..model.records.run import InputIdentity, Mark
from ..write.stores import Store
from .outcome import BatchFound
from .part import Part
from .sample import EvenSample

PART_FRAMES = 65536
"""Largest number of frames in a saved part, however short the time since the previous one."""


class Collector:
    """Gathers the results of batches and saves them in parts; it alone holds results that are not yet saved.

    It is used by one thread at a time: by the writer's thread while there is one, and then by the caller's thread.

    Parameters
    ----------
    store
        The store that receives the parts.
    header
        The record of how the results are made.
    sample
        Sample of the frames of the run, which takes those of this collector.
    save_seconds
        Seconds between saved parts; a part is also saved when `PART_FRAMES` frames are gathered.
    checksums
        Whether the checksum of the last frame's spots is kept, by which a growing file is recognised.
    """

    def __init__(
        self, store: Store, header: ResultsHeader, sample: EvenSample, *, save_seconds: float, checksums: bool = False
    ) -> None:
        self.store, self._sample = store, sample
        self._save_seconds, self._checksums = save_seconds, checksums
        self._has_saved = False
        self.begin(header)

    def begin(self, header: ResultsHeader) -> None:
        """Begin the first part, with the header as it is after learning."""
        self.header = header
        self._begin_part()

    def _begin_part(self) -> None:
        self._part = Part(self.header, checksums=self._checksums)
        self._since, self._is_in_sample = time.monotonic(), False

    def use(self, header: ResultsHeader) -> None:
        """Use another header from the part on that is being gathered."""
        self.header = header
        self._part.use(header)

    def take(self, found: BatchFound) -> None:
        """Gather the results of a batch, and save a part if it is due."""
        self._note_inputs(found.inputs)
        self._part.add(found)
        late = time.monotonic() - self._since >= self._save_seconds
        if not self.store.keeps_all and (late or self._part.n_frames >= PART_FRAMES):
            self.save_rest()

    def adopt(self, path: str, mark: Mark, crc32: int) -> None:
        """Take over the next part, which a worker has saved, and whose frames are in the sample; see `Store.adopt`."""
        self.store.adopt(path, mark, crc32)
        self._has_saved = True

    def _note_inputs(self, inputs: tuple[InputIdentity, ...] | None) -> None:
        if inputs is not None:
            self.store.note_inputs(inputs)

    def _results(self) -> Results:
        """The gathered results, which are taken into the sample the first time."""
        results = self._part.results()
        if not self._is_in_sample:
            self._sample.add(results)
            self._is_in_sample = True
        return results

    def _save(self, complete: bool | None = None) -> None:
        self.store.save(self._results(), self._part.mark, complete)
        self._has_saved = True
        self._begin_part()

    def save_rest(self) -> None:
        """Save the gathered results."""
        if self._part.n_frames:
            self._save()

    def end(self) -> None:
        """Declare that no further results come: those that are left follow the saved parts, if there are any."""
        if self._has_saved:
            self.save_rest()
            self.store.end()

    @property
    def sample(self) -> EvenSample:
        """The sample of the frames of the run so far, including those that are not yet saved."""
        if self._part.n_frames:
            self._results()
        return self._sample

    def finish(
        self,
        header: ResultsHeader,
        complete: bool,
        n_frames: int,
        inputs: tuple[InputIdentity, ...] | None,
        contest: Contest,
    ) -> None:
        """Save the gathered results, and make the output from all parts.

        Parameters
        ----------
        header
            The record of how the results were made, as known at the end of the run.
        complete
            Whether the run reached its end.
        n_frames
            Number of frames of the run so far, including those that were saved before it was resumed.
        inputs
            For a run that follows its inputs, the inputs at its end; None for any other run.
        contest
            Result of comparing the crystals with decoy lattices.
        """
        self._note_inputs(inputs)
        # A share of the frames may be empty.
        is_empty_share = complete and n_frames == 0
        if self._part.n_frames or is_empty_share:
            self._save(complete)
        if n_frames or is_empty_share:
            self.store.publish(header, complete, contest)
