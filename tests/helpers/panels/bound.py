"""The smallest error that a fit of simulated panels can have on average."""

import numpy as np

from ffbidx_core.model.cell import Array
from ffbidx_core.model.detector.tree import PanelTree
from ffbidx_core.model.strain import MULTIPLICITY, components, strains_and_rotations, symmetric_basis
from ffbidx_core.panels.equations import CrystalState, Pairs, Shared, normal_equations, residuals
from ffbidx_core.panels.fit import FARTHEST, SHARED_STRAIN, WHOLE
from ffbidx_core.panels.gather import Gathered
from ffbidx_core.simulate import SimulatedFrames
from ffbidx_core.simulate.many_panels import MOTION

_DRAWS = 20
"""Number of disturbances by which the sizes of motions are scaled to the requested pixels."""
_LEAST = 1e-4
"""Size, in pixels or milliradian, of motions that a disturbance does not have."""


def least_error(
    frames: SimulatedFrames,
    data: Gathered,
    off: float,
    counts: Array,
    fewest: float,
    alone: bool,
    motion: Array = MOTION,
) -> float:
    """The rms error in pixels along x and y of the centres of panels, by the Bayesian Cramer-Rao bound.

    The bound is the root of the posterior variance (inverse of the information of spots and priors) of a fit that is
    given everything but the positions: the true spots, their indices, initial orientations, the noise of spots,
    and how far the parts of the detector are off on average.

    Parameters
    ----------
    frames
        Simulated frames with one lattice each.
    data
        The frames with their true crystals.
    off
        Size of the disturbance of the detector, pixels.
    counts : (P,)
        Number of peaks of each panel, which are the weights for removing the common rotation about the beam.
    fewest
        Number of peaks below which panels are not compared.
    alone
        Whether each panel was moved by itself.
    motion : (6,)
        Relative sizes of the motions of a node in the disturbance.
    """
    detector = frames.scenario.panels
    assert detector is not None
    true, tree = detector.true, PanelTree.of(detector.true, data.geometry.groups)
    peaks = data.peaks
    rows, crystal = peaks.as_crystals(true).pairs()
    is_true = frames.lattice[rows] == crystal
    rows, crystal = rows[is_true], crystal[is_true]
    frame = peaks.frame_of_peak[rows]
    pairs = Pairs(peaks.pixels[rows], peaks.wavelength[frame], peaks.farther[frame], rows, crystal)
    reference = peaks.references[peaks.input_cell]
    strain, turn = strains_and_rotations(peaks.cells, reference)
    state = CrystalState(components(strain), turn, reference)
    found = residuals(true, state, pairs, np.full(len(reference), FARTHEST))
    noise, along = frames.scenario.position_noise, float(np.std(found.values[:, 2]))
    basis = symmetric_basis(peaks.references[0], peaks.operators[0])
    scatter = np.sqrt((MULTIPLICITY * state.strain.var(axis=0)).sum() / MULTIPLICITY.sum())
    shared = Shared(basis, np.zeros(len(basis), np.int64), peaks.input_cell)
    equations = normal_equations(
        found, np.ones(len(found.values)), np.array([noise, noise, along]), shared, state.strain,
        float(scatter), true.n_panels,
    )  # fmt: skip
    m, k = 6 * tree.n_nodes, len(basis)
    join = np.zeros((len(equations.right), m + k))
    join[:-k, :m], join[-k:, m:] = tree.joined, np.eye(k)
    sizes = motion * detector.shares(alone=alone)[:, None]
    drawn = [tree.of_panels(np.random.default_rng(i).standard_normal(sizes.shape) * sizes) for i in range(_DRAWS)]
    seen = np.sqrt(np.mean([detector.given.shifts_seen(detector.given.moved(motion)) ** 2 for motion in drawn]))
    prior = np.maximum(sizes * off / seen, _LEAST)
    prior[0] = WHOLE
    stiffness = np.concatenate([prior.ravel() ** -2.0, np.full(k, SHARED_STRAIN**-2.0)])
    covariance = np.linalg.inv(join.T @ equations.normal @ join + np.diag(stiffness))[:m, :m]
    across = tree.joined.reshape(-1, 6, m)[:, :2].reshape(-1, m)
    unit = (true.centre[:, [1, 0]] * (-1, 1)).ravel()
    weight = np.repeat(counts, 2) * unit
    projected = across - np.outer(unit, weight @ across) / (weight @ unit)
    variance = np.einsum("im,mn,in->i", projected, covariance, projected).reshape(-1, 2)
    return float(np.sqrt(variance[counts >= fewest].mean()))
