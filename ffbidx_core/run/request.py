"""The request of a run: everything that can be asked of it, and the rules between the fields.

`sections.py` declares the fields; `preparation.py` makes the job of a request.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

from ..errors import ParameterError, UsageError
from ..parameters import Parameters
from ..ranges import check_ranges
from .sections import Experiment, Following, Inputs, Machine, Method, Outputs

if TYPE_CHECKING:
    from ..model.lattice import InputCell

FOLLOWED_BY_SIZE = ("max_input_cells", "max_output_cells")
"""Parameters that are set to the number of cells unless they are given."""

AUTO = "auto"
"""The name that stands for the input cells that are found on the first frames."""

_PIXELS = "spots in arrays have no pixels; beam_shift can be used instead"
ONLY_OF_FILES = {
    "geometry": _PIXELS,
    "half_pixel_shift": _PIXELS,
    "beam_centre": _PIXELS,
    "distance": _PIXELS,
    "wavelength": _PIXELS,
    "shard": "arrays are not divided into shares, give each run its own",
    "follow": "arrays do not grow",
    "dask": "the workers of a cluster read files, write the spots to a file",
    "keep_spots": "spots are kept from files, write them to a file",
}
"""Fields that cannot be combined with spots in arrays, and why."""


# The fields of the last base class come first; this is the order of the options and of the records in outputs.
@dataclass(frozen=True, eq=False)
class RunRequest(Method, Machine, Outputs, Experiment, Following, Inputs):
    """Everything that can be asked of a run.

    Each field is an option of `ffbidx index` of the same name, with dashes; `ffbidx index --help` describes them.

    Parameters
    ----------
    inputs : str, path or sequence of them
        Spot files, directories, patterns, lists (`@frames.lst`) and single frames (`FILE//INDEX`).
    cells : str, path, array, or sequence of them
        The input cells, which compete on every frame: files, numbers with commas between them, or arrays (3, 3) with
        rows a, b, c in angstrom; an array (M, 3, 3) is M cells. Without cells, those in the inputs are used.
    spots : (n, 3) array, or sequence of (n, 3) arrays, optional
        Frames in memory instead of `inputs`: spots in 1/angstrom, as one array with the spots of all frames one after
        the other, or as an array for each frame.
    offsets : (n_frames + 1,) array of integers, optional
        With `spots` in one array: frame f owns rows offsets[f]:offsets[f + 1].
    d_min, d_max : float, optional
        Resolution limits in angstrom; spots outside these are not used.
    max_frames, every : int
        Number of frames after which the run ends; every how many frames one is taken.
    shard : str or (int, int), optional
        The share K/N of the frames, with K from 1.
    open_timeout : float, optional
        Time in seconds within which each of several inputs must open.
    follow : bool, optional
        Whether files are indexed while they grow, until `stop_file` exists or nothing came for `stop_after` seconds.
    geometry : str or path, optional
        Geometry file for peaks in detector pixels; `half_pixel_shift`, `beam_centre` (pixels), `beam_shift` (mrad),
        `distance` (mm) and `wavelength` (angstrom) replace its values.
    outputs : str, path or sequence of them
        Files for the results; `output_format` is the format of the first one if its suffix does not say it.
    overwrite, resume : bool
        Whether existing outputs are replaced, and whether a run that was stopped is resumed.
    save_every : float, optional
        Time in seconds between saves of finished frames.
    keep_spots : bool
        Whether the results file keeps all spots.
    keep : {"crystals", "all"}
        The cells that the results hold.
    backend, device, threads, batch_size, dask
        The backend, device and number of threads, the number of frames in a batch, and the dask workers.
    preset : {"best", "fast", "published"}
        Preset values of the parameters.
    parameters : mapping
        Values of parameters that take precedence over the preset, keyed by their names: `{"searches": 2}`.
    """

    def __post_init__(self) -> None:
        for name in ("inputs", "cells", "outputs"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if _is_one(value) else tuple(value))

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs."""
        return [os.fspath(name) for name in _listed(self.inputs)]

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs."""
        return [os.fspath(name) for name in _listed(self.outputs)]

    @property
    def finds_cell(self) -> bool:
        """Whether an unknown input cell is to be found."""
        return any(is_auto(cell) for cell in self.cells)

    @property
    def share(self) -> tuple[int, int] | None:
        """The number of the share, counted from 1, and the number of shares; None: all frames."""
        from ..read.spans import parse_share

        return parse_share(self.shard) if isinstance(self.shard, str) else self.shard

    @property
    def parameters_in_force(self) -> Parameters:
        """The parameters in force; the number of cells that are kept is `n_output_cells` unless it is given."""
        p = Parameters.preset(self.preset, **self.parameters)
        return p if "max_output_cells" in self.parameters else p.replace(max_output_cells=p.n_output_cells)

    def check(self, *, dry_run: bool = False, as_json: bool = False, in_memory: bool = False) -> None:
        """Raise an error if values or combinations of fields cannot be used.

        Parameters
        ----------
        dry_run
            Whether the frames are only to be listed.
        as_json
            Whether the summary goes to standard output.
        in_memory
            Whether the results stay in memory if no output is named.

        Raises
        ------
        UsageError
            If options cannot be combined.
        ParameterError
            If a value is outside its range.
        """
        self._check_source()
        if in_memory and not self.output_names:
            for name in ("resume", "shard", "dask", "keep_spots"):
                if getattr(self, name):
                    raise UsageError(f"{name} goes with a results file: name one with outputs")
        self._check_outputs(dry_run, as_json)
        self._check_following(dry_run)
        self._check_cells(dry_run)
        check_ranges(self)
        if self.d_min is not None and self.d_max is not None and self.d_min >= self.d_max:
            raise ParameterError("d_min", self.d_min, f"below d_max = {self.d_max:g}")
        self.parameters_in_force.check_retry()

    def _check_source(self) -> None:
        if self.spots is None:
            if self.offsets is not None:
                raise UsageError("offsets divide spots into frames: give spots with them")
            if not self.input_names:
                raise UsageError("there is nothing to index: give inputs, which are files, or spots, which are arrays")
            return
        if self.input_names:
            raise UsageError("inputs and spots: the frames are in files or in arrays, leave one of them out")
        if not self.cells:
            raise UsageError("spots in arrays have no input cell of their own: give cells")
        for name, why in ONLY_OF_FILES.items():
            if getattr(self, name) not in (None, False):
                raise UsageError(f"{name} and spots: {why}")

    def _check_outputs(self, dry_run: bool, as_json: bool) -> None:
        from ..write.formats.names import RESULTS_FILE, TABLE, TO_STDOUT, formats_of

        to_stdout = TO_STDOUT in self.output_names
        if as_json and to_stdout:
            raise UsageError("--json and -o - both write to standard output: leave one of them out")
        if as_json and dry_run:
            raise UsageError("--json prints the summary of a run, and --dry-run has none: leave one of them out")
        if self.resume and (self.overwrite or to_stdout):
            other = "--overwrite starts again" if self.overwrite else "-o - leaves nothing to resume"
            raise UsageError(f"--resume continues a run, and {other}: leave one of them out")
        if self.share is not None and to_stdout:
            raise UsageError("--shard and -o -: shares are joined from files with `ffbidx merge`, name one with -o")
        chosen = formats_of(self.output_names, self.output_format)
        if chosen.get(TO_STDOUT, TABLE) != TABLE:
            raise UsageError(
                f"--format {chosen[TO_STDOUT]} and -o -: a run writes the text table to standard output; write a "
                f"results file and convert it: ffbidx convert run.h5 -o - --format {chosen[TO_STDOUT]}"
            )
        if self.keep_spots and chosen and RESULTS_FILE not in chosen.values():
            raise UsageError("--keep-spots keeps them in a results file: name one with -o FILE.h5")

    def _check_cells(self, dry_run: bool) -> None:
        if not self.finds_cell:
            return
        if sum(map(is_auto, self.cells)) > 1:
            raise UsageError("--cell auto is given more than once: one search finds one cell, give it once")
        if self.follow:
            raise UsageError(
                "--cell auto and --follow: the first frames are not there yet; find the cell with `ffbidx cell`"
            )
        if dry_run:
            raise UsageError("--cell auto and --dry-run: the cell would have to be computed, leave one of them out")

    def _check_following(self, dry_run: bool) -> None:
        if not self.follow:
            # With an explicit --no-follow, the end condition in a file of options does not matter.
            for option, value in (("--stop-file", self.stop_file), ("--stop-after", self.stop_after)):
                if self.follow is None and value is not None:
                    raise UsageError(f"{option} ends a run that follows its input: it goes with --follow")
            return
        if self.shard is not None:
            raise UsageError(
                "--follow and --shard: an input that grows has no shares; follow other files in each run, and merge "
                "those"
            )
        if self.dask is not None:
            raise UsageError("--follow and --dask: an input that grows cannot be distributed, leave one of them out")
        if dry_run:
            raise UsageError("--follow and --dry-run: frames that are still to come cannot be listed")

    def options(self, inputs: Sequence[str]) -> dict[str, Any]:
        """The options with which the command makes the same run, in the form of a file of options.

        Parameters
        ----------
        inputs
            The names of the inputs.
        """
        values: dict[str, Any] = {"inputs": list(inputs)}
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if each.name == "inputs" or each.metadata.get("kind") is None or not each.metadata["is_setting"]:
                continue
            if value is not None and value != ():
                values[names_of(each)[-1].removeprefix("--")] = _plain(value)
        for name, value in dataclasses.asdict(self.parameters_in_force).items():
            if name in self.parameters or name not in FOLLOWED_BY_SIZE:
                text = ",".join(map(repr, value)) if isinstance(value, tuple) else value
                values[name.replace("_", "-")] = text
        return values


def names_of(field: dataclasses.Field[Any]) -> list[str]:
    """The names of the option of a field, the long name last."""
    given: str = field.metadata["option"]
    return given.split() or ["--" + field.name.replace("_", "-")]


def is_auto(cell: Any) -> bool:
    """Whether an input cell of a request is to be found (`auto`); if a file of this name exists, it is read instead."""
    return isinstance(cell, str) and cell == AUTO and not os.path.lexists(cell)


def input_cells_of(request: RunRequest) -> list[InputCell]:
    """The input cells for all frames that are known."""
    from ..read.cells.input_cell import input_cell_of, read_input_cell

    return [
        read_input_cell(os.fspath(cell)) if is_cell_file(cell) else input_cell_of(cell, f"cells[{number}]")
        for number, cell in enumerate(request.cells)
        if not is_auto(cell)
    ]


def is_cell_file(cell: Any) -> bool:
    """Whether an input cell of a request is given as a text: the name of a file, or numbers with commas."""
    return isinstance(cell, (str, os.PathLike)) and not is_auto(cell)


def _is_one(value: Any) -> bool:
    """Whether a value is a single name or cell, and not a sequence."""
    if isinstance(value, (str, os.PathLike)) or getattr(value, "ndim", 0) == 2:
        return True
    return len(value) > 0 and isinstance(value[0], Real)


def _plain(value: Any) -> Any:
    """A value in the form of a file of options; a cell is written as numbers."""
    if hasattr(value, "ravel"):
        return ",".join(map(repr, value.ravel().tolist()))
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _listed(values: Any) -> Sequence[Any]:
    assert isinstance(values, tuple)
    return values
