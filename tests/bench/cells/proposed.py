"""What single frames propose of unknown cells, and what they could: python -m tests.bench.cells.proposed.

The search of `ffbidx cell` judges a lattice that two frames propose. A frame proposes the lattices with the highest
scores. The true lattice can be among these only if it scores as high when it is fitted, without a search.
"""

from __future__ import annotations

import argparse

import numpy as np

from ffbidx_core.backends import get_backend
from ffbidx_core.backends.reference.lattices import joint_fit
from ffbidx_core.cell_search.bravais import TYPES
from ffbidx_core.cell_search.pool import TOLERANCE
from ffbidx_core.cell_search.search import REACHES, SUPPORT
from ffbidx_core.model.cell import Array
from ffbidx_core.model.unknown.scan import VectorScan
from ffbidx_core.model.unknown.selling import selling_bases, voronoi_lengths
from tests.bench import record
from tests.bench.cells.cases import ROWS, crystals_of, frames_of

MARGIN = 1.02
"""Smallest ratio of the longest vector of the search to the longest of the true reduced cell."""


def proposed(row: int, code: str, seed: int, n: int) -> tuple[Array, Array]:
    """Whether n frames of a case propose the true lattice, and its score minus that of their last proposal, (n,)."""
    frames, ((_, truth),) = frames_of(ROWS[row], code, seed)
    chosen = frames.order()[:n]
    crystals, low = crystals_of(ROWS[row], code, seed)[chosen], frames.take(chosen).low()
    longest = MARGIN * float(np.linalg.norm(truth, axis=1).max())
    lengths = np.split(np.linalg.norm(low.spots.astype(np.float64), axis=1), low.offsets[1:-1])
    scan = VectorScan.make(next((reach for reach in REACHES if reach > longest), longest), lengths)
    if scan is None:
        return np.zeros(len(chosen), bool), np.full(len(chosen), -np.inf)
    backend = get_backend("cpu", threads=1)
    spots = backend.load(low.spots, low.offsets)
    vectors = backend.refine_scanned(spots, backend.scan_vectors(spots, scan), scan)
    cells, scores = backend.join_vectors(spots, vectors)
    there, ahead, wanted = np.zeros(len(chosen), bool), np.empty(len(chosen)), voronoi_lengths(truth[None])
    for f, crystal in enumerate(crystals):
        real = np.isfinite(scores[f])
        apart = np.abs(voronoi_lengths(cells[f][real]) / wanted - 1).max(axis=1, initial=0)
        there[f] = bool(np.any(apart < TOLERANCE))
        xyz = low.spots[low.offsets[f] : low.offsets[f + 1]].astype(np.float64)
        _, score = joint_fit(xyz, selling_bases(crystal[None])[0, :3])
        ahead[f] = score - np.min(scores[f][real], initial=np.inf)
    return there, ahead


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cells.proposed", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="TEXT", required=True, help="rows whose name has this text")
    parser.add_argument("--cases", type=int, default=14, help="lattices a row, of the types in turn [14]")
    parser.add_argument("--frames", type=int, default=100, help="frames of each lattice [100]")
    record.add_option(parser)
    args = parser.parse_args()
    rows = []
    for k, row in enumerate(ROWS):
        if row.blank or row.second or not any(text in row.name for text in args.only):
            continue
        cases = [proposed(k, TYPES[(i + k) % len(TYPES)], i, args.frames) for i in range(args.cases)]
        there, ahead = (np.array(values) for values in zip(*cases, strict=True))
        rows.append(
            {
                "what": row.name,
                "cases": args.cases,
                "frames": args.frames,
                "agreed": float((there.sum(axis=1) >= SUPPORT).mean()),
                "there": float(there.mean()),
                "likely": float((ahead > 0).mean()),
                "likely_cases": float(((ahead > 0).sum(axis=1) >= SUPPORT).mean()),
                "ahead": float(np.median(ahead)),
            }
        )
        print(rows[-1], flush=True)
    if args.json:
        record.write(args.json, rows)


if __name__ == "__main__":
    main()
