"""The frames that a follower of growing input yields, and those of an ordinary run."""

from pathlib import Path

import numpy as np

from ffbidx_core.read import Source, read_blocks
from ffbidx_core.read.blocks import START
from ffbidx_core.read.growing.follow import Follower
from tests.helpers.spot_files import frames


def spots(seed, n=6):
    return np.random.default_rng(seed).uniform(0.05, 0.4, (n, 3)).astype(np.float32)


def rows(blocks):
    """The file, index and spots of every frame."""
    return [(Path(source).name, index, found.tobytes()) for source, index, found in frames(blocks)]


def followed(names, *, start=START, follower=None, **options):
    """All rows that a follower yields for some names, and the blocks in which they came."""
    ends = {key: options.pop(key) for key in ("stop_file", "stop_after", "leave_out") if key in options}
    follower = follower or Follower(list(map(str, names)), **({"stop_after": 20} | ends))
    blocks = list(read_blocks(follower.sources, follow=follower, start=start, **options))
    return rows(blocks), blocks


def ordinary(*paths):
    """The rows of an ordinary run over finished files."""
    return rows(list(read_blocks([Source(str(path)) for path in paths])))


def names_and_indices(found):
    return [row[:2] for row in found]


def problems(blocks):
    return [problem for block in blocks for problem in block.problems]
