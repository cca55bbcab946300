"""The parameters of the published program: their defaults, ranges and help, and their values in the presets."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .ranges import POSITIVE, at_least, between, one_of, param, zero_or

METHODS = ("raw", "ifss", "ifse", "ifssr")


@dataclass(frozen=True)
class PublishedParameters:
    """The parameters of the published program; the defaults are the published ones.

    Lengths are in angstrom, distances between spots in 1/angstrom unless the help says otherwise.
    """

    # The published Indexer
    max_output_cells: int = param(32, "most cells a frame can have", **at_least(1), group="indexer")
    max_input_cells: int = param(1, "most input cells that compete", **at_least(1), group="indexer")
    max_spots: int = param(
        300, "spots of lowest resolution that the sampling uses", **at_least(4), group="indexer", best=100
    )
    num_candidate_vectors: int = param(
        32, "candidate vectors kept per vector length", **at_least(1), group="indexer", fast=16
    )
    redundant_calculations: bool = param(
        True, "sample every vector of a cell, not its longest one only", group="indexer"
    )

    # The published run
    method: str = param("ifssr", "refinement of the cells found", **one_of(*METHODS))
    length_threshold: float = param(1e-9, "vectors closer in length than this (A) share a group", **at_least(0))
    triml: float = param(0.001, "distances below this count as this", **at_least(0))
    trimh: float = param(0.3, "distances above this count as this", **between(0, 0.5))
    delta: float = param(0.1, "position on the logarithm's curve; lower is more selective")
    dist1: float = param(0.0, "a spot this close to a lattice plane counts (0 or less: trimh)", best=0.12)
    dist3: float = param(0.15, "a spot this close to a lattice point counts (0 or less: trimh)", best=0.2)
    num_halfsphere_points: int = param(
        32 * 1024, "directions sampled on the half sphere", **at_least(2), fast=16 * 1024
    )
    num_angle_points: int = param(0, "angles sampled about each candidate (0: heuristic)", **at_least(0), best=464)
    n_output_cells: int = param(32, "cells kept per frame", **at_least(1), fast=24)
    contraction: float = param(0.8, "the refinement's threshold shrinks by this", **between(0, 1, open=True))
    max_dist: float = param(0.00075, "the refinement stops at this threshold", **POSITIVE)
    min_spots: int = param(8, "fewest spots that a cell is refined against", **at_least(4))
    n_iter: int = param(32, "most iterations of the refinement", **at_least(0))
    vr_min_spots: int = param(6, "fewest spots that a candidate vector is refined against (0: off)", **zero_or(4))

    # The published crystals
    crystals_threshold: float = param(
        0.0,
        "a spot this close to a predicted one is indexed (1/A; 0: 0.00075, and under --accept count in fractional "
        "indices 0.15 for raw, 0.05 for ifss and ifse)",
        **at_least(0),
        group="crystals",
        best=0.002,
    )
    crystals_min_spots: int = param(8, "fewest further spots that make a crystal", **at_least(4), group="crystals")

    @property
    def distance1(self) -> float:
        """`dist1`, with its rule for 0 and less."""
        return self.dist1 if self.dist1 > 0 else self.trimh

    @property
    def distance3(self) -> float:
        """`dist3`, with its rule for 0 and less."""
        return self.dist3 if self.dist3 > 0 else self.trimh

    @property
    def angles(self) -> int:
        """`num_angle_points`, with its heuristic for 0: steps of about the directions' spacing."""
        return self.num_angle_points or max(1, round(2.5 * math.sqrt(self.num_halfsphere_points)))
