"""A lattice search of DIALS by `import ffbidx`, for releases of DIALS that have none; its interpreter imports this."""

import libtbx.phil
import numpy as np
from cctbx.sgtbx import space_group
from dials.algorithms.indexing import DialsIndexError
from dials.algorithms.indexing.lattice_search import strategy
from dxtbx import flumpy
from dxtbx.model import Crystal

try:
    import ffbidx
except ModuleNotFoundError:
    ffbidx = None

NUMBERS = {
    "dist1": 0.3, "dist3": 0.15, "num_halfsphere_points": 32768, "max_dist": 0.00075, "min_spots": 8,
    "triml": 0.001, "trimh": 0.3, "delta": 0.1,
}  # fmt: skip
"""The options of `run` that DIALS has among its own, with its defaults."""


class Strategy(strategy.Strategy):
    """An indexer is made once for each still, and its crystals are the candidates."""

    phil_help = "Known cells, by ffbidx"
    phil_scope = libtbx.phil.parse(
        "".join(f"{name} = {value}\n.type = {type(value).__name__}\n" for name, value in NUMBERS.items())
    )

    def __init__(self, target_symmetry_primitive, max_lattices, params=None, *args, **kwargs):
        super().__init__(params, *args, **kwargs)
        if ffbidx is None:
            raise DialsIndexError("no package ffbidx")
        if target_symmetry_primitive is None or target_symmetry_primitive.unit_cell() is None:
            raise DialsIndexError("ffbidx needs a unit cell")
        orthogonal = target_symmetry_primitive.unit_cell().orthogonalization_matrix()
        self.cell = np.reshape(np.array(orthogonal, dtype="float32"), (3, 3))
        self.indexer = ffbidx.Indexer(
            max_output_cells=32, max_spots=300, num_candidate_vectors=32, redundant_computations=True
        )

    def find_crystal_models(self, reflections, experiments):
        """Candidates, in P1, for the spots of one still."""
        spots = np.array(flumpy.to_numpy(reflections["rlp"]), dtype="float32").transpose().copy()
        named = {name: getattr(self._params, name) for name in NUMBERS}
        cells, scores = self.indexer.run(spots, self.cell, n_output_cells=32, method="ifssr", **named)
        chosen = self.indexer.crystals(
            cells, spots, scores, threshold=named["max_dist"], min_spots=named["min_spots"], method="ifssr"
        )
        found = [] if chosen is None else chosen
        return [
            Crystal(*(cells[:, 3 * i + k].tolist() for k in range(3)), space_group=space_group("P1")) for i in found
        ]
