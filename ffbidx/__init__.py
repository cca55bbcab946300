"""Fast feedback indexing of serial crystallography stills: the published Python interface.

>>> indexer = ffbidx.Indexer()
>>> cells, scores = indexer.run(spots, input_cells)
>>> crystals = indexer.crystals(cells, spots, scores)
"""

from ffbidx_core.published.check import runtime_check
from ffbidx_core.published.handles import index, indexer, release
from ffbidx_core.published.indexer import Indexer
from ffbidx_core.version import VERSION as __version__  # noqa: N811

__all__ = ["Indexer", "__version__", "index", "indexer", "release", "runtime_check"]
