"""The fit: motions of panels and their groups that the residuals of many crystals ask for.

Each node of the tree (detector, groups, panels) has a motion that is drawn to nothing by a prior, whose size is the
likeliest one for its level (MacKay's fixed point). So a panel without spots moves with its group, and one that is right
stays. The turn of everything about the beam, which no still shows, is taken out at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..model.cell import Array, shortest_reciprocal
from ..model.detector.placed import MRAD, PlacedPanels, rotations
from ..model.detector.tree import PanelTree
from ..model.strain import MULTIPLICITY, components, strains_and_rotations, symmetric_basis
from .equations import OWN, CrystalState, Pairs, Residuals, Shared, normal_equations, residuals, summed, weights
from .peaks import IndexedPeaks
from .votes import jumps

ROUNDS = 12
CONSISTENT = 1.074
"""Scatter of normal numbers over that of their weighted ones."""
CAPTURE = 0.3
"""Share of the shortest reciprocal vector within which a peak belongs to a lattice point."""
FARTHEST = 0.004
"""The same for large reciprocal vectors, 1/angstrom."""
NARROWER = 0.6
"""Factor by which the scatter that weights go by may fall in a round: a quick cut would give up a panel far off."""
SETTLED = 0.01
"""Pixels: a round that moves no node farther is the last one."""
KINDS = np.array([0, 0, 1, 3, 3, 2])
"""Kind of each of the six numbers of a motion: across the beam, along it, turn about the beam (2), tilts (3)."""
FIRST = np.array([1.5, 1.0, 5.0, 2.0])
"""Sizes of the motions of each kind in the first round: pixels, pixels, milliradian, milliradian."""
USUAL = np.array([0.5, 0.5, 1.5, 1.5])
AS_MANY = 0.5
"""Sizes are drawn to the usual ones as if so many motions more had these."""
WHOLE = np.array([20.0, 20.0, 20.0, 5.0, 5.0, 1e-6])
"""Sizes of the motions of the whole detector, which does not turn about the beam."""
SHARED_STRAIN = 0.01
LEAST_SCATTER, MOST_SCATTER = 2e-5, 0.02
"""Scatter of strains."""
VOTE_ERROR = 0.5
"""Pixels."""


@dataclass(frozen=True)
class PanelFit:
    """Where P panels are.

    Attributes
    ----------
    panels : PlacedPanels
        The panels at their places.
    motion : (P, 6) float64
        Motion of each panel about its middle: pixels along x, y, z, milliradian about them.
    covariance : (6 P, 6 P) float64
        Of these numbers.
    counts : (P,) float64
        Weights of the peaks that each panel was fitted by.
    noise, noise_before : float
        Scatter of a coordinate, pixels, by the fit and before it.
    noise_along : float
        Scatter of lattice points about the Ewald sphere, 1/angstrom.
    lost : float
        Share of the peaks near predictions that the robust weights gave up.
    n_crystals : int
        Crystals that took part.
    misfit : (C,) float64
        Rms residual of a coordinate of each crystal's peaks, pixels; nan for crystals that took no part.
    nodes : (n, 6) float64
        Motions of the nodes of the tree, which the next fit may start from.
    cells : (C, 3, 3) float64
        The crystals, refitted.
    rows : (m, 3) int64
        Peak, crystal and panel of the peaks near predictions.
    left : (m, 2) float64
        Their residuals, pixels.
    weight : (m,) float64
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
    cells: Array
    rows: NDArray[np.int64]
    left: Array
    weight: Array

    @property
    def errors(self) -> Array:
        """Standard errors of the motions, (P, 6)."""
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
        self.sizes = np.tile(FIRST, (int(tree.level.max()) + 1, 1))
        self.gamma = np.zeros(len(owner))
        self.scale, self.scatter, self.wide = np.zeros(3), 3e-3, 0.0

    @property
    def now(self) -> PlacedPanels:
        return self.panels.moved(self.tree.of_panels(self.motion))

    @property
    def prior(self) -> Array:
        """Size of the prior of each number of the nodes' motions."""
        sizes = self.sizes[self.level, self.kind]
        return np.asarray(np.where(self.level == 0, np.tile(WHOLE, self.tree.n_nodes), sizes))

    def jump(self) -> None:
        """Move panels that are off by pixels, by the likeliest motions of the nodes."""
        jump, prior = jumps(self.now, self.crystals, self.pairs), self.prior
        across = self.tree.joined.reshape(-1, 6, len(prior))[:, :2].reshape(-1, len(prior))
        expected = (across * prior**2) @ across.T + VOTE_ERROR**2 * np.eye(len(across))
        self.motion += prior**2 * (across.T @ np.linalg.solve(expected, jump.ravel()))

    def found(self) -> Residuals:
        """The residuals of the panels and crystals as they are."""
        return residuals(self.now, self.crystals, self.pairs, self.capture)

    def widen(self, found: Residuals, step: int) -> Array:
        """The scatters (3,) that weights go by in a round."""
        if step == 0:
            scale = 1.48 * np.median(np.abs(found.values), axis=0) if len(found.values) else np.ones(3)
            self.scale = np.maximum([scale[:2].mean(), scale[:2].mean(), scale[2]], 1e-9)
            self.wide = float(self.scale[0])
        widest = np.array([self.wide * NARROWER**step] * 2 + [0.0])
        return np.asarray(np.maximum(self.scale, widest))

    def learn_sizes(self, covariance: Array) -> None:
        """The likeliest sizes of the motions of each level and kind."""
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
    """Where panels are, by the residuals of the crystals found with them.

    Parameters
    ----------
    panels
        Where they are taken to be.
    tree
        Their groups; its motions are what is fitted.
    start : (n, 6)
        Motions of the tree's nodes to start from, those that a fit before this found.
    rounds
        Most rounds, in each of which peaks are assigned anew.
    vote
        Whether panels may jump by many pixels where votes say so.
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
        # The shared strains count from the references, motions from where panels are now.
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
        if is_narrow and step > rounds // 2 and np.abs(change[:m]).max() < SETTLED:
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
    """Residuals of the peaks of crystals with panels at a place, as a fit begins with them."""
    return _Fit(peaks, panels, PanelTree.of(panels, ()), None).found()


def _scatters(left: Array, weight: Array, taken: Array, panels_taken: float) -> Array:
    """Scatter of the residuals that are left, (3,): both coordinates alike, and the distance from the sphere."""
    n = float(weight.sum())
    place = float((weight[:, None] * left[:, :2] ** 2).sum()) / max(2 * n - taken[0] - panels_taken, 1.0)
    sphere = float((weight * left[:, 2] ** 2).sum()) / max(n - taken[1], 1.0)
    return np.maximum(CONSISTENT * np.sqrt([place, place, sphere]), 1e-9)


def _without_turn(fit: PanelFit, before: PlacedPanels) -> PanelFit:
    """The fit without the common turn about the beam, by the peaks: no still shows it."""
    n = fit.panels.n_panels
    centre = before.centre
    # A turn by 1 mrad about the beam as a motion of each panel, and the turn that fits motions best.
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
        cells=fit.cells @ turn.T,
    )
