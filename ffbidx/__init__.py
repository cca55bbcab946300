"""Fast feedback indexing of serial crystallography stills: the published Python interface.

>>> indexer = ffbidx.Indexer()
>>> cells, scores = indexer.run(spots, input_cells)
>>> crystals = indexer.crystals(cells, spots, scores)
"""

from ffbidx_core.published.indexer import Indexer
from ffbidx_core.version import VERSION as __version__  # noqa: N811

__all__ = ["Indexer", "__version__"]
