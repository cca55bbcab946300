"""The detector image of a frame, if its file holds one, reduced to the size of a page."""

from __future__ import annotations

import base64
import contextlib
import io
import re
from dataclasses import dataclass

import h5py
import matplotlib.image
import numpy as np
from numpy.typing import NDArray

from ..model.detector.panels import Geometry
from ..read.indexed_frames import IndexedFrame

USUAL = ("/entry_1/data_1/data", "/entry_1/instrument_1/detector_1/data", "/entry/data/data")
"""Usual datasets of images in CXI and NXmx files, for geometries that do not name one."""
LARGEST = 900
"""Largest number of pixels along an edge of a picture; of larger images the brightest of several pixels is shown."""
MOST_PIXELS = 64_000_000
BRIGHT = 99.8
"""Percentile of the values of an image that is shown in black."""


@dataclass(frozen=True)
class SmallImage:
    """An image in the form in which a page holds it.

    Attributes
    ----------
    data : str
        PNG image as a data URL for an element `img`.
    shape : (int, int)
        Number of pixels along ss and fs of the image in the file.
    """

    data: str
    shape: tuple[int, int]


def small_image(frame: IndexedFrame, geometry: Geometry | None) -> SmallImage | None:
    """The image of a frame whose spots have pixels; None if its file holds no image that fits."""
    if frame.peaks is None:
        return None
    paths = [panel.data for panel in geometry.detector.panels if panel.data] if geometry is not None else []
    file, event = frame.image
    numbers = re.findall(r"\d+", event.rpartition("//")[2])
    with contextlib.suppress(OSError, KeyError, ValueError, RuntimeError), h5py.File(file, "r") as opened:
        for path in (*dict.fromkeys(paths), *USUAL):
            values = _read(opened.get(path), int(numbers[0]) if numbers else frame.index)
            if values is not None and _holds(values, frame.peaks.pixels):
                return SmallImage(_png(values), (values.shape[0], values.shape[1]))
    return None


def _read(data: object, number: int) -> NDArray[np.float64] | None:
    if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "iuf" or np.prod(data.shape[-2:]) > MOST_PIXELS:
        return None
    if data.ndim == 3 and number < len(data):
        return np.asarray(data[number], np.float64)
    return np.asarray(data[()], np.float64) if data.ndim == 2 else None


def _holds(values: NDArray[np.float64], pixels: NDArray[np.float64]) -> bool:
    """Whether all spots lie inside an image."""
    return bool((pixels[:, 0] <= values.shape[1]).all() and (pixels[:, 1] <= values.shape[0]).all())


def _png(values: NDArray[np.float64]) -> str:
    step = -(-max(values.shape) // LARGEST)
    rows, columns = (n // step * step for n in values.shape)
    small = values[:rows, :columns].reshape(rows // step, step, columns // step, step).max(axis=(1, 3))
    small = np.nan_to_num(small, nan=0.0, posinf=0.0, neginf=0.0)
    # Masked pixels have the largest value of their type, or negative values.
    high = float(np.percentile(small[small < 2**31 - 1], BRIGHT)) if (small < 2**31 - 1).any() else 1.0
    image = io.BytesIO()
    matplotlib.image.imsave(image, small, cmap="gray_r", vmin=0.0, vmax=max(high, 1e-6), format="png")
    return f"data:image/png;base64,{base64.b64encode(image.getvalue()).decode()}"
