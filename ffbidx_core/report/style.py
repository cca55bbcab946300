"""The style of the pictures, and their conversion to files."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INDEXED, FAILED, LEARNED, GREY = "#0072b2", "#d55e00", "#009e73", "#6b7280"
CRYSTALS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colours that colour-blind readers can distinguish (Okabe and Ito), which crystals use in turn."""
DOTS_PER_INCH = 150

_STYLE: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "axes.edgecolor": GREY,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.constrained_layout.use": True,
    "axes.formatter.useoffset": False,
    # Glyphs as paths look the same in every browser; the salt makes the files of equal pictures equal.
    "svg.fonttype": "path",
    "svg.hashsalt": "ffbidx",
}


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """A context with the style of the report, whatever the user's settings of matplotlib."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: Any = matplotlib.rcParams
        settings.update(_STYLE)
        yield


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure with one plot, of the given size in inches."""
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots()


@styled()
def image_bytes(figure: Figure, kind: str, dots_per_inch: int = DOTS_PER_INCH) -> bytes:
    """A figure as the bytes of a `png` or `svg` file; equal figures give equal bytes."""
    image = io.BytesIO()
    metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
    figure.savefig(image, format=kind, dpi=dots_per_inch, metadata=metadata)
    return image.getvalue()
