"""The parameters of the published program, with their defaults, ranges, help and preset values."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .ranges import LARGEST, POSITIVE, at_least, at_most, between, one_of, param, zero_or

METHODS = ("raw", "ifss", "ifse", "ifssr")


@dataclass(frozen=True)
class PublishedParameters:
    """The parameters of the published program, with the published defaults.

    Lengths in real space are in angstrom, distances in reciprocal space in 1/angstrom, unless the help says otherwise.
    """

    # The published Indexer
    max_output_cells: int = param(32, "largest number of cells that a frame can have", **at_least(1), group="indexer")
    max_input_cells: int = param(
        1, "largest number of input cells that compete on a frame", **at_least(1), group="indexer"
    )
    max_spots: int = param(
        300,
        "largest number of spots that the sampling uses, lowest resolution first",
        **at_least(4),
        group="indexer",
        best=100,
    )
    num_candidate_vectors: int = param(
        32, "number of candidate vectors kept for each vector length", **at_least(1), group="indexer", fast=16
    )
    redundant_calculations: bool = param(True, "sample every vector of a cell, not only the longest", group="indexer")

    # The published run
    method: str = param("ifssr", "method by which the cells found are refined", **one_of(*METHODS))
    length_threshold: float = param(
        1e-9, "vectors whose lengths differ by less than this (A) share a group", **at_least(0)
    )
    triml: float = param(
        0.001, "smallest distance that the score distinguishes; a smaller one counts as this", **at_least(0)
    )
    trimh: float = param(
        0.3, "largest distance that the score distinguishes; a larger one counts as this", **between(0, 0.5)
    )
    delta: float = param(0.1, "offset in the score's logarithm; lower is more selective", **at_most(LARGEST))
    dist1: float = param(
        0.0, "a spot this close to a lattice plane counts (0 or less: trimh)", **at_most(LARGEST), best=0.12
    )
    dist3: float = param(
        0.15, "a spot this close to a lattice point counts (0 or less: trimh)", **at_most(LARGEST), best=0.2
    )
    num_halfsphere_points: int = param(
        32 * 1024, "number of directions sampled on the half sphere", **at_least(2), fast=16 * 1024
    )
    num_angle_points: int = param(
        0,
        "number of angles sampled about each candidate vector (0: chosen by the spacing of directions)",
        **at_least(0, 100_000),
        best=464,
    )
    n_output_cells: int = param(32, "number of cells kept per frame", **at_least(1, 10_000), fast=24)
    contraction: float = param(
        0.8, "factor by which the refinement's threshold shrinks at each step", **between(0, 1, open=True)
    )
    max_dist: float = param(0.00075, "threshold at which the refinement stops (1/A)", **POSITIVE)
    min_spots: int = param(8, "smallest number of spots against which a cell is refined", **at_least(4))
    n_iter: int = param(32, "largest number of iterations of the refinement", **at_least(0))
    vr_min_spots: int = param(
        6, "smallest number of spots against which a candidate vector is refined (0: off)", **zero_or(4)
    )

    # The published crystals
    crystals_threshold: float = param(
        0.0,
        "a spot this close to a predicted reflection is indexed (1/A; 0: 0.00075, but under --accept count in "
        "fractional indices 0.15 for raw, 0.05 for ifss and ifse)",
        **at_least(0),
        group="crystals",
        best=0.002,
    )
    crystals_min_spots: int = param(
        8,
        "with --accept count: smallest number of spots of a crystal that no better crystal indexes",
        **at_least(4),
        group="crystals",
    )

    @property
    def distance1(self) -> float:
        """Distance from a lattice plane below which a spot counts: `dist1`, or `trimh` if `dist1` is 0 or less."""
        return self.dist1 if self.dist1 > 0 else self.trimh

    @property
    def distance3(self) -> float:
        """Distance from a lattice point below which a spot counts: `dist3`, or `trimh` if `dist3` is 0 or less."""
        return self.dist3 if self.dist3 > 0 else self.trimh

    @property
    def angles(self) -> int:
        """Number of angles sampled: `num_angle_points`, or for 0 as many as give the spacing of the directions."""
        return self.num_angle_points or max(1, round(2.5 * math.sqrt(self.num_halfsphere_points)))
