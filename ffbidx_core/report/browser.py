"""A page for browsing the frames of a run, with observed and predicted spots, and the detector image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from importlib.resources import files
from math import log10
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..diagnose.columns import RunColumns, read_columns
from ..model.cell import cell_parameters
from ..model.detector.panels import Geometry
from ..model.detector.pixels import is_real
from ..model.records.results import Results
from ..nouns import counted
from ..read.indexed_frames import IndexedFrame, geometry_of, indexed_frames
from ..read.results import read_run, results_in_pieces
from ..read.run_inputs import RunInputs
from .frame_picture import fate, predict, wavelength_of
from .images import small_image

MOST_FRAMES = 300
"""Default number of frames in a page."""
MOST_IMAGES = 40
"""Largest number of detector images in a page; the first frames have images."""
DOUBTFUL = 2.0
"""Difference of log10 of the expected false crystals from the limit below which a crystal is doubtful."""
UNIT = 1e-4
"""Step in 1/angstrom to which the positions in a page are rounded."""


def frames_page(path: str, most: int = MOST_FRAMES) -> bytes:
    """Make the page, which is one HTML file that needs no network.

    Parameters
    ----------
    path
        Name of the results file.
    most
        Largest number of frames. Of a longer run the page has the doubtful frames, those without a crystal that have
        most spots, and evenly spread ones, a third each.

    Raises
    ------
    InputError
        If the file is not a results file, or the spots of the run cannot be read.
    """
    found = read_columns(path)
    chosen = chosen_frames(found, most)
    limit = found.parameters.get("max_false_rate")
    doubtful = log10(limit) - DOUBTFUL if limit else float("nan")
    frames = [json.dumps(frame, separators=(",", ":")) for frame in _frames(path, chosen, doubtful)]
    title = f"{PurePath(path).name}: {len(frames)} of {counted(found.n_frames, 'frame', ',')}"
    text = files(__package__).joinpath("browser.html").read_text(encoding="utf-8")
    safe = "[" + ",\n".join(frames).replace("</", "<\\/") + "]"
    return text.replace("TITLE", escape(title)).replace("/*FRAMES*/[]", safe).encode()


def chosen_frames(found: RunColumns, most: int) -> NDArray[np.int64]:
    """The numbers of the frames of a page, ascending."""
    if found.n_frames <= most:
        return np.arange(found.n_frames)
    frame = np.repeat(np.arange(found.n_frames), found.n_crystals)
    doubt = np.full(found.n_frames, -np.inf)
    np.maximum.at(doubt, frame, np.nan_to_num(found.log10_false, nan=-np.inf))
    failed = np.where(found.failed, found.n_spots, -1)
    third = most // 3
    strange = [np.argsort(-values, kind="stable")[:third] for values in (doubt, failed)]
    even = np.linspace(0, found.n_frames - 1, most - 2 * third).round().astype(np.int64)
    return np.unique(np.concatenate([*strange, even]))


def _frames(path: str, chosen: NDArray[np.int64], doubtful: float) -> Iterator[dict[str, Any]]:
    header, _, record, _, _ = read_run(path)
    inputs = RunInputs.of_header(header, None, record, path)
    before, n_images = 0, 0
    geometry: Geometry | None = None
    for piece in results_in_pieces(path):
        rows = chosen[(chosen >= before) & (chosen < before + piece.n_frames)] - before
        for f in rows.tolist():
            results = piece[f : f + 1]
            for frame in indexed_frames([results], inputs):
                if frame.peaks is not None and geometry is None:
                    geometry = geometry_of(results, inputs)
                image = small_image(frame, geometry) if n_images < MOST_IMAGES else None
                n_images += image is not None
                shown = _frame(frame, results, before + f, doubtful)
                yield shown if image is None else shown | _with_image(frame, image.data, image.shape)
        before += piece.n_frames


def _frame(frame: IndexedFrame, results: Results, number: int, doubtful: float) -> dict[str, Any]:
    real = is_real(frame.spots)
    wavelength = wavelength_of(frame)
    crystals = [
        {
            "cell": [round(float(value), 2) for value in cell_parameters(cell)],
            "spots": int(results.n_indexed[k]),
            "false": None if np.isnan(results.log10_false[k]) else round(float(results.log10_false[k]), 1),
            "predicted": _rounded(predict(frame, k, wavelength).spots),
        }
        for k, cell in enumerate(frame.cells)
    ]
    return {
        "n": number,
        "name": f"{frame.source}//{frame.index}" + (f" {frame.name}" if frame.name else ""),
        "status": fate(frame, results),
        "spots": _rounded(frame.spots[real]),
        "of": frame.crystal[real].tolist(),
        "crystals": crystals,
        "doubtful": any(value > doubtful for value in results.log10_false.tolist()),
    }


def _with_image(frame: IndexedFrame, data: str, shape: tuple[int, int]) -> dict[str, Any]:
    assert frame.peaks is not None
    real = is_real(frame.spots)
    pixels = frame.peaks.pixels[real, :2].round(1)
    return {"image": data, "shape": shape, "pixels": pixels.ravel().tolist()}


def _rounded(spots: NDArray[np.float64]) -> list[int]:
    """The x and y of spots in steps of `UNIT`, one after the other."""
    return [int(value) for value in np.rint(spots[:, :2] / UNIT).ravel()]
