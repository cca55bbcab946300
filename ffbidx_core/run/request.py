"""The request of a run: all that can be asked of it, and the rules between what is asked.

`sections.py` declares the fields; `preparation.py` makes the job of a request.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from ..errors import ParameterError, UsageError
from ..parameters import Parameters
from ..ranges import check_ranges
from .sections import Experiment, Following, Inputs, Machine, Method, Outputs

FOLLOWED_BY_SIZE = ("max_input_cells", "max_output_cells")
"""Parameters that follow the work unless they are given."""

AUTO = "auto"
"""The input cell that stands for those that are found on the first frames."""

_PIXELS = "spots in arrays have no pixels; beam_shift is for them, too"
ONLY_OF_FILES = {
    "geometry": _PIXELS,
    "half_pixel_shift": _PIXELS,
    "beam_centre": _PIXELS,
    "distance": _PIXELS,
    "wavelength": _PIXELS,
    "shard": "arrays are not shared out, give each run its own",
    "follow": "arrays do not grow",
    "dask": "the workers of a cluster read files, write the spots to one",
    "keep_spots": "spots are kept from files, write them to one",
}
"""What does not go with spots in arrays, and why."""


# The fields of the last base come first: the order of the options and of what outputs record.
@dataclass(frozen=True, eq=False)
class RunRequest(Method, Machine, Outputs, Experiment, Following, Inputs):
    """All that can be asked of a run.

    Each field is an option of `ffbidx index` of the same name, with dashes; `ffbidx index --help` describes them.

    Parameters
    ----------
    inputs : str, path or sequence of them
        Spot files, directories, patterns, lists (`@frames.lst`) and single frames (`FILE//INDEX`).
    cells : str, path, array, or sequence of them
        The input cells, which compete on every frame: files, numbers with commas between them, or arrays (3, 3) with
        rows a, b, c in angstrom; an array (M, 3, 3) is M cells. Without any each input's own cells serve.
    spots : (n, 3) array, or sequence of (n, 3) arrays, optional
        Frames in memory instead of `inputs`: spots in 1/angstrom, of all frames one after the other, or an array for
        each frame.
    offsets : (n_frames + 1,) array of integers, optional
        With `spots` in one array: frame f owns rows offsets[f]:offsets[f + 1].
    d_min, d_max : float, optional
        Resolution limits in angstrom; spots outside them are not used.
    max_frames, every : int
        Stop after so many frames; take every Nth frame only.
    shard : str or (int, int), optional
        The share K/N of the frames, K from 1.
    open_timeout : float, optional
        Seconds in which each of several inputs must open.
    follow : bool, optional
        Whether files are indexed while they grow, until `stop_file` exists or for `stop_after` seconds nothing came.
    geometry : str or path, optional
        Geometry file for peaks in detector pixels; `half_pixel_shift`, `beam_centre` (pixels), `beam_shift` (mrad),
        `distance` (mm) and `wavelength` (angstrom) change what it says.
    outputs : str, path or sequence of them
        Files for the results; `output_format` is the format of the first one where its suffix does not say it.
    overwrite, resume : bool
        Whether outputs that are there are replaced, and whether a run that was stopped is taken up.
    save_every : float, optional
        Seconds between saves of finished frames.
    keep_spots : bool
        Whether the results file keeps all spots.
    keep : {"crystals", "all"}
        Which cells the results hold.
    backend, device, threads, batch_size, dask
        Where to compute, and how many frames together.
    preset : {"best", "fast", "published"}
        Values of the parameters.
    parameters : mapping
        Values of parameters that win over the preset, by their names: `{"searches": 2}`.
    """

    def __post_init__(self) -> None:
        for name in ("inputs", "cells", "outputs"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if _is_one(value) else tuple(value))

    @property
    def input_names(self) -> list[str]:
        """The inputs by their names."""
        return [os.fspath(name) for name in _listed(self.inputs)]

    @property
    def output_names(self) -> list[str]:
        """The outputs by their names."""
        return [os.fspath(name) for name in _listed(self.outputs)]

    @property
    def finds_cell(self) -> bool:
        """Whether input cells are to be found."""
        return any(is_auto(cell) for cell in self.cells)

    @property
    def share(self) -> tuple[int, int] | None:
        """The share of the frames, its number from 1 and the number of shares; None: all frames."""
        from ..read.spans import parse_share

        return parse_share(self.shard) if isinstance(self.shard, str) else self.shard

    @property
    def parameters_in_force(self) -> Parameters:
        """The parameters in force; the number of cells kept follows `n_output_cells` unless it is given."""
        p = Parameters.preset(self.preset, **self.parameters)
        return p if "max_output_cells" in self.parameters else p.replace(max_output_cells=p.n_output_cells)

    def check(self, *, dry_run: bool = False, as_json: bool = False, in_memory: bool = False) -> None:
        """Refuse what cannot be used, alone or together.

        Parameters
        ----------
        dry_run
            The frames are to be listed only.
        as_json
            The summary is to go to standard output.
        in_memory
            The results are to stay in memory where no output is named.

        Raises
        ------
        UsageError
            For options that do not go together.
        ParameterError
            For a value outside its range.
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
                raise UsageError("offsets say which of spots belong to a frame: give spots with them")
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
        from ..write.outputs import RESULTS_FILE, TABLE, TO_STDOUT, formats_of

        to_stdout = TO_STDOUT in self.output_names
        if as_json and to_stdout:
            raise UsageError("--json and -o - both write to standard output: leave one of them out")
        if as_json and dry_run:
            raise UsageError("--json prints the summary of a run, and --dry-run has none: leave one of them out")
        if self.resume and (self.overwrite or to_stdout):
            other = "--overwrite starts again" if self.overwrite else "-o - leaves nothing to take up"
            raise UsageError(f"--resume goes on with a run, and {other}: leave one of them out")
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
        if self.follow:
            raise UsageError(
                "--cell auto and --follow: the first frames are not there yet; find the cell with `ffbidx cell`"
            )
        if dry_run:
            raise UsageError("--cell auto and --dry-run: the cell would have to be computed, leave one of them out")

    def _check_following(self, dry_run: bool) -> None:
        if not self.follow:
            # Where it is said that files are not followed, what a file of options says of the end does not matter.
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
            raise UsageError("--follow and --dask: an input that grows is not shared out, leave one of them out")
        if dry_run:
            raise UsageError("--follow and --dry-run: frames that are still to come cannot be listed")

    def options(self, inputs: Sequence[str]) -> dict[str, Any]:
        """The options by which the command asks for such a run, as a file of options holds them.

        Parameters
        ----------
        inputs
            The inputs by their names.
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
    """The names of a field's option, the long one last."""
    given: str = field.metadata["option"]
    return given.split() or ["--" + field.name.replace("_", "-")]


def is_auto(cell: Any) -> bool:
    """Whether an input cell of a request is to be found; a file of that name is a file."""
    return isinstance(cell, str) and cell == AUTO and not os.path.lexists(cell)


def _is_one(value: Any) -> bool:
    """Whether a value is one name or one cell, not several."""
    if isinstance(value, (str, os.PathLike)) or getattr(value, "ndim", 0) == 2:
        return True
    return len(value) > 0 and isinstance(value[0], Real)


def _plain(value: Any) -> Any:
    """A value as a file of options holds it; a cell is written out."""
    if hasattr(value, "ravel"):
        return ",".join(map(repr, value.ravel().tolist()))
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _listed(values: Any) -> Sequence[Any]:
    assert isinstance(values, tuple)
    return values
