"""The fit of the motions of panels and their groups to the residuals of many crystals.

Each node of the tree (detector, groups, panels) has a motion that a prior draws towards zero; the width of the prior is
the most likely one for its level (MacKay's fixed point). A panel without spots therefore moves with its group, and a
correct panel stays. The common rotation about the beam, which no still shows, is removed at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..model.basis import PrimitiveCells, as_primitive
from ..model.cell import Array, shortest_reciprocal
from ..model.detector.placed import MRAD, PlacedPanels
from ..model.detector.tree import PanelTree
from ..model.misfit.scatter import CONSISTENT
from ..model.strain import MULTIPLICITY, components, strains_and_rotations, symmetric_basis
from ..model.vectors import rotations
from .equations import OWN, CrystalState, Pairs, Residuals, Shared, normal_equations, residuals, summed, weights
from .peaks import IndexedPeaks
from .votes import jumps

ROUNDS = 12
CAPTURE = 0.3
"""Share of the shortest reciprocal vector within which a peak belongs to a lattice point."""
FARTHEST = 0.004
"""Largest distance, 1/angstrom, within which a peak belongs to a lattice point."""
NARROWER = 0.6
"""Factor by which the scatter for weights may fall in a round; a quick cut would reject a panel that is far off."""
SETTLED = 0.01
"""Motion in pixels of all nodes below which a round is the last one."""
KINDS = np.array([0, 0, 1, 3, 3, 2])
"""Kind of each of the six numbers of a motion: across the beam (0), along it (1), rotation about it (2), tilt (3)."""
FIRST = np.array([1.5, 1.0, 5.0, 2.0])
"""Sizes of the motions of each kind in the first round, in pixels, pixels, milliradian and milliradian."""
USUAL = np.array([0.5, 0.5, 1.5, 1.5])
AS_MANY = 0.5
"""Weight of the usual sizes, as a number of further motions that have these sizes."""
WHOLE = np.array([20.0, 20.0, 20.0, 5.0, 5.0, 1e-6])
"""Sizes of the motions of the whole detector (pixels, milliradian), which does not rotate about the beam."""
SHARED_STRAIN = 0.01
LEAST_SCATTER, MOST_SCATTER = 2e-5, 0.02
"""Limits of the scatter of strains."""
VOTE_ERROR = 0.5
"""Error of an offset found by votes, pixels."""


@dataclass(frozen=True)
class PanelFit:
    """The fitted positions of P panels.

    Attributes
    ----------
    panels : PlacedPanels
        The panels at their fitted positions.
    motion : (P, 6) float64
        Motion of each panel about its centre: shift along x, y, z in pixels, rotation about them in milliradian.
    covariance : (6 P, 6 P) float64
        Covariance of the motions.
    counts : (P,) float64
        Sum of the weights of the peaks with which each panel was fitted.
    noise, noise_before : float
        Scatter of a coordinate after the fit and before it, pixels.
    noise_along : float
        Scatter of lattice points about the Ewald sphere, 1/angstrom.
    lost : float
        Share of the peaks near predictions that the robust weights rejected.
    n_crystals : int
        Number of crystals used.
    misfit : (C,) float64
        Rms residual of a coordinate of the peaks of each crystal, pixels; nan for crystals that were not used.
    nodes : (n, 6) float64
        Motions of the nodes of the tree, from which the next fit may start.
    cells : (C, 3, 3) float64
        The refitted crystals, rows a, b, c, angstrom.
    rows : (m, 3) int64
        Numbers of peak, crystal and panel for the peaks near predictions.
    left : (m, 2) float64
        Residuals of these peaks, pixels.
    weight : (m,) float64
        Robust weights of these peaks.
    """

    panels: PlacedPanels
    motion: Array
    covariance: Array
    counts: Array
    noise: float
    noise_before: float
    noise_along: float
    lost: float
    n_crystals: int
    misfit: Array
    nodes: Array
    cells: PrimitiveCells
    rows: NDArray[np.int64]
    left: Array
    weight: Array

    @property
    def errors(self) -> Array:
        """The standard errors of the motions, (P, 6)."""
        return np.asarray(np.sqrt(np.diag(self.covariance)).reshape(-1, 6))


class _Fit:
    """The state of a fit between its rounds."""

    def __init__(self, peaks: IndexedPeaks, panels: PlacedPanels, tree: PanelTree, start: Array | None) -> None:
        self.panels, self.tree = panels, tree
        rows, crystal = peaks.as_crystals(panels).pairs()
        frame = peaks.frame_of_peak[rows]
        self.pairs = Pairs(peaks.pixels[rows], peaks.wavelength[frame], peaks.farther[frame], rows, crystal)
        reference = peaks.references[peaks.input_cell]
        strain, turn = strains_and_rotations(peaks.cells, reference)
        self.crystals = CrystalState(components(strain), turn, reference)
        bases = [symmetric_basis(*each) for each in zip(peaks.references, peaks.operators, strict=True)]
        owner = np.repeat(np.arange(len(bases)), [len(basis) for basis in bases])
        self.shared = Shared(np.concatenate(bases), owner, peaks.input_cell)
        shortest = np.array([shortest_reciprocal(cell) for cell in peaks.references])
        self.capture = np.minimum(CAPTURE * shortest, FARTHEST)[peaks.input_cell]
        self.kind, self.level = np.tile(KINDS, tree.n_nodes), np.repeat(tree.level, 6)
        self.motion = np.zeros(6 * tree.n_nodes) if start is None else start.ravel().copy()
        self.sizes = np.tile(FIRST, (int(tree.level.max(initial=0)) + 1, 1))
        self.gamma = np.zeros(len(owner))
        self.scale, self.scatter, self.wide = np.zeros(3), 3e-3, 0.0

    @property
    def now(self) -> PlacedPanels:
        return self.panels.moved(self.tree.of_panels(self.motion))

    @property
    def prior(self) -> Array:
        """The width of the prior of each number of the motions of nodes."""
        sizes = self.sizes[self.level, self.kind]
        return np.asarray(np.where(self.level == 0, np.tile(WHOLE, self.tree.n_nodes), sizes))

    def jump(self) -> None:
        """Move panels that are off by many pixels, by the most likely motions of the nodes."""
        jump, prior = jumps(self.now, self.crystals, self.pairs), self.prior
        across = self.tree.joined.reshape(-1, 6, len(prior))[:, :2].reshape(-1, len(prior))
        expected = (across * prior**2) @ across.T + VOTE_ERROR**2 * np.eye(len(across))
        self.motion += prior**2 * (across.T @ np.linalg.solve(expected, jump.ravel()))

    def found(self) -> Residuals:
        """The residuals with the present panels and crystals."""
        return residuals(self.now, self.crystals, self.pairs, self.capture)

    def widen(self, found: Residuals, step: int) -> Array:
        """The scatters (3,) for the weights of a round."""
        if step == 0:
            scale = 1.48 * np.median(np.abs(found.values), axis=0) if len(found.values) else np.ones(3)
            self.scale = np.maximum([scale[:2].mean(), scale[:2].mean(), scale[2]], 1e-9)
            self.wide = float(self.scale[0])
        widest = np.array([self.wide * NARROWER**step] * 2 + [0.0])
        return np.asarray(np.maximum(self.scale, widest))

    def learn_sizes(self, covariance: Array) -> None:
        """Learn the most likely sizes of the motions of each level and kind."""
        prior = self.prior
        known = 1 - np.diag(covariance)[: len(prior)] / prior**2
        for level in range(1, len(self.sizes)):
            for kind in range(len(FIRST)):
                these = (self.level == level) & (self.kind == kind)
                squares = (self.motion[these] ** 2).sum() + AS_MANY * USUAL[kind] ** 2
                self.sizes[level, kind] = np.sqrt(squares / (known[these].sum() + AS_MANY))


def fit_panels(
    peaks: IndexedPeaks,
    panels: PlacedPanels,
    tree: PanelTree,
    *,
    start: Array | None = None,
    rounds: int = ROUNDS,
    vote: bool = True,
) -> PanelFit:
    """Fit the positions of panels to the residuals of the crystals found with them.

    Parameters
    ----------
    panels
        The panels at their assumed positions.
    tree
        The tree of their groups, whose motions are fitted.
    start : (n, 6)
        Motions of the nodes of the tree from an earlier fit, from which the fit starts.
    rounds
        Largest number of rounds, in each of which peaks are assigned anew.
    vote
        Whether panels may jump by many pixels according to votes.
    """
    fit = _Fit(peaks, panels, tree, start)
    m, n_panels = len(fit.motion), panels.n_panels
    for step in range(rounds):
        if vote and step in (0, rounds // 2):
            fit.jump()
        found = fit.found()
        scale = fit.widen(found, step)
        weight = weights(found.values, scale)
        equations = normal_equations(found, weight, scale, fit.shared, fit.crystals.strain, fit.scatter, n_panels)
        join = np.zeros((len(equations.right), m + len(fit.gamma)))
        join[: 6 * n_panels, :m], join[6 * n_panels :, m:] = tree.joined, np.eye(len(fit.gamma))
        stiffness = np.concatenate([fit.prior**-2.0, np.full(len(fit.gamma), SHARED_STRAIN**-2.0)])
        covariance = np.asarray(np.linalg.inv(join.T @ equations.normal @ join + np.diag(stiffness)), np.float64)
        # Shared strains are measured from the references, motions from the present panels.
        pull = np.concatenate([fit.motion * stiffness[:m], np.zeros(len(fit.gamma))])
        change = covariance @ (join.T @ equations.right - pull)
        moved = join @ change
        own = np.einsum(
            "cpq,cq->cp", equations.inverse, equations.own_right - np.einsum("cpg,g->cp", equations.mixed, moved)
        )
        own[~equations.active] = 0
        fit.motion, fit.gamma = fit.motion + change[:m], change[m:]
        crystal, panel = found.pairs.crystal, found.pairs.panel
        left = found.values - np.einsum("nip,np->ni", found.by_crystal, own[crystal])
        left[:, :2] -= np.einsum("nip,np->ni", found.by_panel, moved[: 6 * n_panels].reshape(-1, 6)[panel])
        fit.scale = _scatters(left, weight, equations.taken, m - float(np.diag(covariance)[:m] @ stiffness[:m]))
        strain = fit.crystals.strain + own[:, 3:]
        turn = fit.crystals.turn @ rotations(own[:, :3]).transpose(0, 2, 1)
        fit.crystals = replace(fit.crystals, strain=strain, turn=turn)
        off = (strain - fit.shared.strains(fit.gamma))[equations.active]
        inverse = np.diagonal(equations.inverse, axis1=1, axis2=2)[equations.active, OWN - 6 :]
        known = (1 - inverse * MULTIPLICITY / fit.scatter**2).clip(1e-9)
        scatter = np.sqrt((MULTIPLICITY * off**2).sum() / known.sum()) if len(off) else fit.scatter
        fit.scatter = float(np.clip(scatter, LEAST_SCATTER, MOST_SCATTER))
        if step >= 2:
            fit.learn_sizes(covariance)
        is_narrow = fit.wide * NARROWER**step < fit.scale[0]
        if is_narrow and step > rounds // 2 and np.abs(change[:m]).max(initial=0.0) < SETTLED:
            break
    squares = summed(weight * (left[:, :2] ** 2).sum(axis=1) / 2, crystal, peaks.n_crystals)
    counts = summed(weight, crystal, peaks.n_crystals)
    counts[~equations.active] = 0
    with np.errstate(invalid="ignore", divide="ignore"):
        misfit = np.sqrt(squares / np.where(counts > 0, counts, np.nan))
    result = PanelFit(
        fit.now,
        tree.of_panels(fit.motion),
        tree.joined @ covariance[:m, :m] @ tree.joined.T,
        summed(weight, panel, n_panels),
        float(fit.scale[0]),
        fit.wide,
        float(fit.scale[2]),
        1 - float((weight > 0).mean()) if len(weight) else 1.0,
        int(equations.active.sum()),
        misfit,
        fit.motion.reshape(-1, 6),
        fit.crystals.cells,
        np.column_stack([found.pairs.peak, crystal, panel]),
        left[:, :2],
        weight,
    )
    return _without_turn(result, panels)


def residuals_of(peaks: IndexedPeaks, panels: PlacedPanels) -> Residuals:
    """The residuals of the peaks of crystals at the beginning of a fit with the given panels."""
    return _Fit(peaks, panels, PanelTree.of(panels, ()), None).found()


def _scatters(left: Array, weight: Array, taken: Array, panels_taken: float) -> Array:
    """The scatter (3,) of the remaining residuals: the same for both coordinates, and the distance from the sphere."""
    n = float(weight.sum())
    place = float((weight[:, None] * left[:, :2] ** 2).sum()) / max(2 * n - taken[0] - panels_taken, 1.0)
    sphere = float((weight * left[:, 2] ** 2).sum()) / max(n - taken[1], 1.0)
    return np.maximum(CONSISTENT * np.sqrt([place, place, sphere]), 1e-9)


def _without_turn(fit: PanelFit, before: PlacedPanels) -> PanelFit:
    """The fit without the common rotation about the beam (weighted by peaks), which no still shows."""
    n, centre = fit.panels.n_panels, before.centre
    # The motion of each panel in a rotation by 1 mrad about the beam, and the rotation that fits the motions best.
    unit = np.zeros((n, 6))
    unit[:, 0], unit[:, 1], unit[:, 5] = (*(np.array([-1, 1]) * centre[:, [1, 0]]).T * MRAD / before.pixel, 1.0)
    weight = np.zeros((n, 6))
    weight[:, :2] = unit[:, :2] * fit.counts[:, None]
    total = float((weight * unit).sum())
    if total <= 0:
        return fit
    weight /= total
    angle = float((weight * fit.motion).sum())
    projection = np.eye(6 * n) - np.outer(unit.ravel(), weight.ravel())
    turn = rotations(np.array([0.0, 0.0, -angle * MRAD]))
    panels = replace(
        fit.panels,
        corner=fit.panels.corner @ turn.T,
        fast=fit.panels.fast @ turn.T,
        slow=fit.panels.slow @ turn.T,
    )
    return replace(
        fit,
        panels=panels,
        motion=fit.motion - angle * unit,
        covariance=projection @ fit.covariance @ projection.T,
        cells=as_primitive(fit.cells @ turn.T),
    )
