"""The CUDA C sources of the GPU backend: files without headers that are concatenated in a fixed order.

CuPy's cache of compiled kernels hashes the source text, so that an edited file is always compiled anew.
"""

from __future__ import annotations

import functools
import math
from importlib.resources import files

from ...model import fits
from ...model.chance import false_hits
from ...model.chance import level as chance
from ...model.detector.pixels import SPHERE_ERROR
from ...model.misfit.equations import BIWEIGHT
from ...model.records.batch import FLATTEST_WAVELENGTH
from ...model.records.reason import FrameReason
from ...model.unknown import scan as unknown
from ...model.unknown import selling, threes
from ..generic.judge import MOST_RADII, NO_LATTICE

FILES = (
    "common.cu",
    "sort.cu",
    "select.cu",
    "directions.cu",
    "vectors.cu",
    "cells.cu",
    "circle.cu",
    "choose.cu",
    "fits.cu",
    "refine.cu",
    "constrained.cu",
    "whitened.cu",
    "chance.cu",
    "judge.cu",
    "crystals.cu",
    "scan.cu",
    "triples.cu",
    "threes.cu",
)
KERNELS = (
    "sort_spots",
    "count_directions",
    "choose_candidates",
    "refine_vectors",
    "frame_candidates",
    "turn_cells",
    "choose_minima",
    "count_angles",
    "choose_counted",
    "count_within",
    "distances",
    "fit_rigid",
    "refine_cells",
    "fit_constrained",
    "fit_whitened",
    "judge_cells",
    "lowest_false",
    "pass_cells",
    "accept_by_count",
    "count_without",
    "add_up",
    "copy_without",
    "coverage",
    "drifted",
    "better_cells",
    "flat_frames",
    "check_cells",
    "set_canonically",
    "scan_maxima",
    "refine_hits",
    "keep_vectors",
    "vector_densities",
    "score_pairs",
    "score_thirds",
    "cell_lengths",
    "mark_new",
    "fit_triples",
    "keep_lattices",
    "whole_vectors",
    "fit_whole_vectors",
    "best_triples",
    "distinct_triples",
    "fit_lattices",
)
SCAN_BINS = 4096
"""Number of bins in which the local maxima of a scan are counted by their value."""
WHOLE_ROOM = 1024
"""Number of vectors of a three, a power of two, among which the best so far are selected at once."""
N_TRIPLES = math.comb(threes.VECTORS, 3)
"""Number of triples of a three, and of the numbers that a three needs as scratch memory."""
TRIED_ROOM = 1 << (threes.TRIED - 1).bit_length()
"""Room for the numbers of the triples of a three that are compared: the power of two that sorting needs."""
OPTIONS = ("--std=c++17",)


def constants() -> str:
    """Macro definitions of the constants in `model` that kernels need."""
    values = {
        "VECTOR_THRESHOLDS": ", ".join(repr(t) for t in fits.VECTOR_THRESHOLDS),
        "RIGID_START": repr(fits.RIGID_START),
        "RIGID_LARGEST": repr(fits.RIGID_LARGEST),
        "RIGID_END": repr(fits.RIGID_END),
        "UNDETERMINED": repr(fits.UNDETERMINED),
        "CONSTRAINED_ROUNDS": str(fits.CONSTRAINED_ROUNDS),
        "CONSTRAINED_STEPS": str(fits.CONSTRAINED_STEPS),
        "CONSTRAINED_SMALLEST_START": repr(fits.CONSTRAINED_SMALLEST_START),
        "CONSTRAINED_CUTOFF": repr(fits.CONSTRAINED_CUTOFF),
        "CONSTRAINED_LOWEST": repr(fits.CONSTRAINED_LIMITS[0]),
        "CONSTRAINED_HIGHEST": repr(fits.CONSTRAINED_LIMITS[1]),
        "TYPICAL_SIGMA": repr(fits.TYPICAL_SIGMA),
        "TYPICAL_WEIGHT": repr(fits.TYPICAL_WEIGHT),
        "WEIGHED_STEPS": str(fits.WEIGHED_STEPS),
        "WEIGHED_FEWEST": repr(fits.WEIGHED_FEWEST),
        "BIWEIGHT": repr(BIWEIGHT),
        "SPHERE_ERROR": repr(SPHERE_ERROR),
        "FLATTEST_WAVELENGTH": repr(FLATTEST_WAVELENGTH),
        "LN10": repr(math.log(10)),
        "TWO_PI": repr(2 * math.pi),
        "FOUR_THIRDS_PI": repr(4 / 3 * math.pi),
        "EIGHT_PI_SQUARED": repr(8 * math.pi**2),
        "INFINITE": "(1.0 / 0.0)",
        "NO_LATTICE": repr(NO_LATTICE),
        "FATE_NONE": str(FrameReason.NONE.value),
        "FATE_LOST": str(FrameReason.LOST_IN_REFINEMENT.value),
        "FATE_DRIFTED": str(FrameReason.DRIFTED.value),
        "MOST_TRIED": str(MOST_RADII),
        "SMALLEST_RADIUS": repr(chance.RADII[0]),
        "LEFT_OUT": str(fits.LEFT_OUT),
        "FEWEST_LEFT_OUT": str(fits.FEWEST_LEFT_OUT),
        "TAIL_TERMS": str(chance.TERMS),
        "LARGEST_PROBABILITY": repr(chance.LARGEST_PROBABILITY),
        "RESOLUTION_RANK": repr(false_hits.RESOLUTION_RANK),
        "FEWEST_OVER": repr(false_hits.FEWEST_OVER),
        "FALSE_DENSITY": repr(false_hits.DENSITY),
        "FALSE_SLOPE": repr(false_hits.SLOPE),
        "FINEST": repr(false_hits.FINEST),
        "SHARPNESS": repr(false_hits.SHARPNESS),
        "EVIDENCE_NEEDED": repr(false_hits.NEEDED),
        "EVIDENCE_GROWTH": repr(false_hits.NEEDED_GROWTH),
        "SCAN_BINS": str(SCAN_BINS),
        "SCAN_FLOOR": repr(unknown.FLOOR),
        "NORMAL_DENSITY": repr(1 / math.sqrt(2 * math.pi)),
        "WIDTH_FLOOR": repr(unknown.WIDTH_FLOOR),
        "WIDTH_ACROSS": repr(unknown.WIDTH_ACROSS),
        "WIDTH_ALONG": repr(unknown.WIDTH_ALONG),
        "WIDEST": repr(unknown.WIDEST),
        "VECTOR_TRUE": repr(unknown.TRUE),
        "VECTOR_SCALES": ", ".join(map(repr, unknown.SCALES)),
        "VECTOR_WIDTHS": ", ".join(map(repr, unknown.WIDTHS)),
        "SCALED_WIDTHS": ", ".join(map(repr, unknown.SCALED_WIDTHS)),
        "JOINT_WIDTHS": ", ".join(map(repr, unknown.JOINT_WIDTHS)),
        "N_JOINT_WIDTHS": str(len(unknown.JOINT_WIDTHS)),
        "VECTOR_RIDGE": repr(unknown.RIDGE),
        "JOINT_RIDGE": repr(unknown.JOINT_RIDGE),
        "LONGEST_STEP": repr(unknown.LONGEST_STEP),
        "FLATTEST": repr(unknown.FLATTEST),
        "LATTICES_TRIED": str(unknown.TRIED),
        "SELLING_STEPS": str(selling.MOST_STEPS),
        "SELLING_OBTUSE": repr(selling.OBTUSE),
        "WHOLE_ROOM": str(WHOLE_ROOM),
        "TRIED_ROOM": str(TRIED_ROOM),
        "THREES_TRIPLES": str(N_TRIPLES),
        "THREES_ACROSS": repr(threes.ACROSS),
        "THREES_ALONG": repr(threes.ALONG),
        "THREES_VECTORS": str(threes.VECTORS),
        "THREES_FIT_WIDTHS": ", ".join(map(repr, threes.FIT_WIDTHS)),
        "THREES_FITTED_WIDTH": repr(threes.FITTED_WIDTH),
        "THREES_FLATTEST": repr(threes.FLATTEST),
        "THREES_TRIED": str(threes.TRIED),
        "THREES_FITTED": str(threes.FITTED),
        "THREES_JOINT_WIDTHS": ", ".join(map(repr, threes.JOINT_WIDTHS)),
        "THREES_RIDGE": repr(threes.RIDGE),
        "THREES_SMALLEST": repr(threes.SMALLEST),
    }
    return "".join(f"#define {name} {value}\n" for name, value in values.items())


@functools.cache
def source() -> str:
    """The text of all kernels; `#line` directives make the compiler's messages name the file and line."""
    parts = [f'#line 1 "{name}"\n{(files(__package__) / name).read_text()}' for name in FILES]
    return constants() + "\n".join(parts)
