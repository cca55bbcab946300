"""The three programs of DIALS that index stills, with the strategy `ffbidx`; run by the interpreter of DIALS.

    python dials_programs.py CELL imported.expt strong.refl

The last line is JSON: the crystals, rows a, b, c, that each program leaves.
"""

import copy
import json
import os
import sys
import types

from dials.algorithms.indexing.ssx import processing
from dials.array_family import flex
from dials.command_line import index, ssx_index, stills_process
from dials.util.options import ArgumentParser, reflections_and_experiments_from_files
from dxtbx.model import ExperimentList

CELL, *FILES = sys.argv[1:]
SETTINGS = [
    "indexing.method=ffbidx", f"indexing.known_symmetry.unit_cell={CELL}", "indexing.known_symmetry.space_group=P2",
    "indexing.stills.refine_all_candidates=False", "indexing.stills.ewald_proximal_volume_max=0.1",
    "refinement.parameterisation.beam.fix=all", "refinement.parameterisation.detector.fix=all",
    "refinement.parameterisation.crystal.fix=cell",
]  # fmt: skip


class Unfitted:
    """The mosaicity from which DIALS' fit starts, `x` being 2 / domain size and an angle."""

    def __init__(self, d_i, psi_i, eta_rad, Deff):
        self.x = (2 / Deff, eta_rad)


try:
    import xfel_mono_sim_ext  # noqa: F401
except ImportError:
    # Debian leaves out what the fit is made with, and DIALS refines no still without it.
    sys.modules["xfel.mono_simulation.max_like"] = types.SimpleNamespace(minimizer=Unfitted)
    sys.modules["xfel.mono_simulation.util"] = types.SimpleNamespace(green_curve_area=lambda two_theta, width: 0.0)


def read(scope, *more):
    """Parameters, spots and experiments as a program gets them."""
    parser = ArgumentParser(phil=scope, read_experiments=True, read_reflections=True, check_format=False)
    params, _ = parser.parse_args(args=[*FILES, *SETTINGS, *more], show_diff_phil=False)
    tables, experiments = reflections_and_experiments_from_files(params.input.reflections, params.input.experiments)
    return params, tables[0], experiments


def by_index():
    """`dials.index`."""
    params, spots, experiments = read(index.phil_scope, "joint_indexing=False")
    return index.index(experiments, [spots], params)[0]


def by_ssx_index():
    """`dials.ssx_index`, whose option `method` does not have every strategy in DIALS 3.12."""
    params, spots, experiments = read(ssx_index.phil_scope, "indexing.nproc=1", "nproc=1")
    params.method, params.individual_log_verbosity = ["ffbidx"], 1
    return processing.index(experiments, spots, params)[0]


def by_stills_process():
    """`dials.stills_process`, after its search for spots."""
    params, spots, experiments = read(stills_process.phil_scope)
    found = ExperimentList()
    for number, experiment in enumerate(experiments):
        table = spots.select(spots["id"] == number)
        table["id"] = flex.int(len(table), 0)
        processor = stills_process.Processor(copy.deepcopy(params), composite_tag="0")
        found.extend(processor.index(ExperimentList([experiment]), table)[0])
    return found


def cells(experiments):
    """Vectors a, b, c of the crystals."""
    return [[list(vector) for vector in crystal.get_real_space_vectors()] for crystal in experiments.crystals()]


if __name__ == "__main__":
    answers = {}
    for preset in ("published", "best"):
        os.environ["FFBIDX_PRESET"] = preset
        answers[f"dials.index, {preset}"] = cells(by_index())
    answers["dials.ssx_index, best"] = cells(by_ssx_index())
    answers["dials.stills_process, best"] = cells(by_stills_process())
    print(json.dumps(answers))
