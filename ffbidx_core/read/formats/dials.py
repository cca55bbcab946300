"""Reading of DIALS reflection tables (strong.refl), in MessagePack or HDF5, with their experiment list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...model.basis import ConventionalCells
from ...model.detector.panels import Geometry
from ...model.records.ragged import offsets_of
from ..frames import MOST_SPOTS, RawFrames
from ..geometry.dials import experiments_beside, is_experiments, parse_experiments
from .dials_table import IMAGE_SET, INTENSITY, Table, read_table
from .peaks import HALF_PIXEL, PeakLists, PeakPlacer
from .per_frame import DISTANCE, WAVELENGTH, Listed, PerFrame, Same

MOST_WRONG_ROWS = 0.1
"""Fraction of rows with a panel that the detector lacks, above which the experiment list belongs to another table."""
_NEEDS_EXPERIMENTS = (
    "is a DIALS reflection table: give its experiment list with -g FILE.expt, or put it beside the table under its name"
)
_OTHER_GEOMETRY = (
    "is a DIALS reflection table, and the geometry of this run is no experiment list: index the table in another run, "
    "with -g FILE.expt or with its experiment list beside it"
)


class DialsFile:
    """A reflection table that is open for reading; a frame is an image of the table's experiments.

    Parameters
    ----------
    path
        The reflection table.
    geometry
        Geometry of the experiment list; None for the list beside the table.

    Raises
    ------
    InputError
        If the table cannot be used, or the experiment list is missing or does not fit the table.
    """

    format = "DIALS reflections"
    units_assumed = False
    cells: ConventionalCells | None = None

    def __init__(self, path: str, geometry: Geometry | None) -> None:
        self.path = path
        table = read_table(path)
        identifiers = set(table.identifiers.values())
        if geometry is None:
            geometry = experiments_beside(path, identifiers)
        if geometry is None:
            raise InputError(path, _NEEDS_EXPERIMENTS)
        # The list beside the table would have none of the changes to the run's geometry, such as a learned beam shift.
        if not is_experiments(geometry.text):
            raise InputError(path, _OTHER_GEOMETRY)
        self.geometry: Geometry | None = geometry
        # Pixels of dxtbx are measured from the outer corner of the first pixel.
        self.half_pixel_shift: bool | None = bool(geometry.half_pixel_shift)
        self._experiments = parse_experiments("the experiment list", geometry.text)
        # An experiment on the images of an earlier experiment has no frames of its own.
        own = self._experiments.same_images == np.arange(len(self._experiments.wavelength))
        self._bases = offsets_of(np.where(own, self._experiments.n_frames, 0))
        self.n_frames = int(self._bases[-1])
        given = WAVELENGTH.given(geometry)
        of_images = np.repeat(self._experiments.wavelength, np.diff(self._bases))
        self._wavelength: PerFrame = Listed(of_images) if given is None else Same(given)
        self._distance = Same(DISTANCE.number(DISTANCE.reading(path, geometry)))
        self._notes: list[str] = []
        self._sort(table)
        self._placer = PeakPlacer(path, geometry)

    def _sort(self, table: Table) -> None:
        """Assign the rows of the table to frames."""
        columns = table.columns
        experiment, panel = (columns[name].astype(np.int64) for name in ("id", "panel"))
        places = columns["xyzobs.px.value"]
        known = self._experiments
        experiment = self._by_identifier(experiment, table.identifiers)
        if len(experiment) and not (experiment.min() >= -1 and experiment.max() < len(known.wavelength)):
            problem = f"has the experiment {experiment.max()}; the list has {len(known.wavelength)}"
            raise InputError(self.path, problem, "id")
        experiment = self._on_images(experiment, columns.get(IMAGE_SET))
        has_images = experiment >= 0
        first, n_panels = (
            np.array([getattr(model, name) for model in known.models])[known.model[np.maximum(experiment, 0)]]
            for name in ("first", "n_panels")
        )
        wrong = (panel < 0) | (panel >= n_panels)
        if wrong.sum() > MOST_WRONG_ROWS * len(wrong):
            problem = f"has the panel {panel[wrong][0]}; the detector has {n_panels[wrong][0]}"
            raise InputError(self.path, problem, "panel")
        panel = panel + first
        if wrong.any():
            # A position of nan makes the frame a bad one.
            places, panel = np.where(wrong[:, None], (np.nan, np.nan, 1.0) * places, places), np.where(wrong, 0, panel)
            row = int(wrong.argmax())
            what = f"{int(wrong.sum())} rows, the first of them {row}, are on panels that the detector does not have"
            self._notes.append(f"{self.path}, panel: {what}: their frames are bad")
        experiment = known.same_images[experiment]
        with np.errstate(invalid="ignore"):
            z = np.where(np.isfinite(places[:, 2]), np.floor(places[:, 2]), 0).astype(np.int64)
        number = np.where(known.n_frames[experiment] == 1, 0, z - known.first[experiment])
        inside = has_images & (number >= 0) & (number < known.n_frames[experiment])
        self._n_outside = int((~inside).sum())
        frame = (self._bases[experiment] + number)[inside]
        order = np.argsort(frame, kind="stable")
        rows = np.flatnonzero(inside)[order]
        self._offsets = np.searchsorted(frame[order], np.arange(self.n_frames + 1))
        self._places, self._panel = places[rows, :2], panel[rows]
        self._intensity = columns[INTENSITY][rows] if INTENSITY in columns else None

    def _by_identifier(self, experiment: NDArray[np.int64], identifiers: dict[int, str]) -> NDArray[np.int64]:
        """Number in the list of each spot's experiment, by identifier if table and list have them, else by number.

        The number is -1 for a spot whose experiment is not in the list.

        Raises
        ------
        InputError
            If experiments of the list have the same identifier, or the list has none of the table's identifiers.
        """
        in_list = {name: number for number, name in enumerate(self._experiments.identifiers) if name}
        if not (in_list and identifiers):
            return experiment
        name, times = Counter(filter(None, self._experiments.identifiers)).most_common(1)[0]
        if times > 1:
            problem = f"has an experiment list in which {times} experiments have the identifier {name[:40]}"
            raise InputError(self.path, f"{problem}: write both files again", "identifiers")
        if not any(name in in_list for name in identifiers.values()):
            problem = f"belongs to another experiment list: that has none of its {len(identifiers)} identifiers"
            raise InputError(self.path, f"{problem}, such as {next(iter(identifiers.values()))[:40]}", "identifiers")
        numbers, where = np.unique(experiment, return_inverse=True)
        known = [in_list.get(identifiers.get(number, ""), -1) for number in numbers.tolist()]
        return np.array(known, dtype=np.int64)[where]

    def _on_images(self, experiment: NDArray[np.int64], image_set: NDArray[Any] | None) -> NDArray[np.int64]:
        """The experiment of each spot; for an unindexed spot (-1) it is the first experiment of its image set."""
        if image_set is None:
            return experiment
        of_set = np.full(max(int(self._experiments.image_set.max()), -1) + 1, -1)
        # The loop runs backwards, so that the first experiment of each image set remains.
        for number in np.flatnonzero(self._experiments.image_set >= 0)[::-1]:
            of_set[self._experiments.image_set[number]] = number
        is_known = (experiment < 0) & (image_set >= 0) & (image_set < len(of_set))
        found = experiment.copy()
        found[is_known] = of_set[image_set[is_known]]
        return found

    def read(self, frames: NDArray[np.int64]) -> Iterator[RawFrames]:
        """Read the frames with the given ascending numbers."""
        at_once = max(1, MOST_SPOTS // max(1, int(np.diff(self._offsets).max(initial=0))))
        for begin in range(0, len(frames), at_once):
            yield self._read(frames[begin : begin + at_once])

    def _read(self, frames: NDArray[np.int64]) -> RawFrames:
        """The frames with the given numbers."""
        known = self._experiments
        experiment = np.searchsorted(self._bases, frames, side="right") - 1
        counts = np.diff(self._offsets)[frames]
        rows = np.concatenate(
            [np.zeros(0, np.int64), *(np.arange(self._offsets[f], self._offsets[f + 1]) for f in frames)]
        ).astype(np.int64)
        names = [known.image(e, int(f - self._bases[e])) for e, f in zip(experiment.tolist(), frames, strict=True)]
        fs, ss = (self._places[rows] + (HALF_PIXEL if self.half_pixel_shift else 0.0)).T
        raw = self._placer.frames(
            PeakLists(
                frames,
                names,
                fs,
                ss,
                offsets_of(counts),
                self._wavelength.of(frames),
                self._distance.of(frames),
                None if self._intensity is None else self._intensity[rows],
                self._panel[rows],
            )
        )
        if self._n_outside:
            self._notes.append(f"{self.path}: {self._n_outside} reflections are on no image of its experiments")
            self._n_outside = 0
        raw.problems[:0], self._notes = self._notes, []
        return raw

    def close(self) -> None:
        """Do nothing, since no file is open."""
