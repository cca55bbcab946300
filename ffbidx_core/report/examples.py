"""Pictures of example frames: the surest, a typical and the most doubtful crystal, and a frame without a crystal."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import numpy as np

from ..diagnose.columns import RunColumns
from ..errors import FfbidxError
from .figures import Picture
from .frame_picture import draw_frame, find_frame, read_spots


def examples(path: str, found: RunColumns, shown_as: str) -> Iterator[Picture]:
    """Yield pictures of the example frames whose spots can be read; none if the inputs of the run are missing.

    Parameters
    ----------
    path, shown_as
        Name of the results file, and its name in captions.
    """
    for name, (frame, caption) in chosen(found).items():
        try:
            number, results = find_frame(path, str(frame))
            figure = draw_frame(read_spots(path, results), results, number)
        except FfbidxError:
            continue
        text = f"Frame {frame}, {caption}. `ffbidx show {shlex.quote(shown_as)} {frame}` draws it alone."
        yield Picture(f"example_{name}", "examples", figure, text, wide=True)


def chosen(found: RunColumns) -> dict[str, tuple[int, str]]:
    """The frames to show and the reason for each, keyed by the name of its picture."""
    frames: dict[str, tuple[int, str]] = {}
    if len(found.cells):
        frame = np.repeat(np.arange(found.n_frames), found.n_crystals)
        sure = np.argsort(np.nan_to_num(found.log10_false, nan=0.0), kind="stable")
        for name, k, caption in (
            ("best", sure[0], "the surest crystal of the run"),
            ("typical", sure[len(sure) // 2], "a typical crystal: half of them are surer"),
            ("worst", sure[-1], "the most doubtful crystal of the run"),
        ):
            frames[name] = (int(frame[k]), caption)
    failed = np.flatnonzero(found.failed)
    if len(failed):
        most = failed[np.argmax(found.n_spots[failed])]
        frames["unindexed"] = (int(most), "without a crystal though no such frame has more spots")
    # In a short run several examples may be the same frame.
    return {name: each for name, each in frames.items() if each[0] not in _before(frames, name)}


def _before(frames: dict[str, tuple[int, str]], name: str) -> set[int]:
    """The frames that precede a name."""
    names = list(frames)
    return {frames[other][0] for other in names[: names.index(name)]}
