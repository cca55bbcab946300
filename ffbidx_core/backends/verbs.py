"""The verbs of a backend, which are the steps of the method, defined by formulas.

A verb takes a whole batch. Arrays that pass between verbs belong to the backend (NumPy, or CuPy on the device); the
package `method`, which calls the verbs, works on them only through `backend.xp`. `model.records.batch` explains the
letters of the shapes. Spots s are in 1/angstrom, cells B have rows a, b, c in angstrom.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any, Protocol

from ..model.misfit.equations import Spread
from ..model.plan import SearchPlan
from ..model.records.batch import SpotBatch
from ..model.unknown.scan import VectorScan
from ..model.xp import XpArray
from ..parameters import Parameters
from .cells import OrientedCells
from .judging import Judging
from .memory import Memory


class Backend(Memory, Judging, Protocol):
    """The protocol of a backend. A verb treats each frame by itself: no result depends on the rest of the batch."""

    name: str
    """Name of the backend, as `get_backend` takes it."""
    most_frames: int
    """Number of frames above which a batch has been found not to fit in memory."""

    @property
    def lanes(self) -> int:
        """Number of batches to compute at the same time, each in a thread of its own, for the best speed."""

    @property
    def memory_errors(self) -> tuple[type[Exception], ...]:
        """Exceptions that a verb raises when there is not enough memory for a batch."""

    @property
    def xp(self) -> ModuleType:
        """The module of the backend's arrays, NumPy or CuPy."""

    @property
    def device(self) -> str:
        """Description of the device that computes."""

    def lane(self) -> AbstractContextManager[Any]:
        """A context in which the thread uses the backend's device concurrently with other threads."""

    def close(self) -> None:
        """Release the memory that was kept for further batches; no verb is called afterwards."""

    def find_candidate_vectors(self, spots: SpotBatch, plan: SearchPlan, p: Parameters, n_points: int) -> XpArray:
        """Step 1: find the best directions for each length group; a candidate vector is direction times length.

        Score over the first min(n, p.max_spots) spots of a frame: gmean - count - 1 with x_j = L u . s_j,
        d_j = |x_j - round(x_j)|, count = #{d_j < p.distance1},
        gmean = (prod_j (trim(d_j) + delta))^(1/n) - delta. Lower is better; ties go to the lower direction index.
        Directions are `half_sphere(n_points)`.

        Racing (if p.race_spots = r > 0 and the frame has at least 2 r sampled spots): only the p.race_directions
        directions with the best scores on the first r spots are scored on all spots.

        Separation (if p.candidate_separation = k > 0): the best p.candidate_pool directions are visited, best first. A
        direction is kept if its |cosine| to every kept one is at most cos(k sqrt(2 pi / n_points)), until
        p.num_candidate_vectors are kept. Without separation the best p.num_candidate_vectors are kept.

        Returns
        -------
        (F, G, C, 3) float64
            Candidate vectors, angstrom, the best of each group first; C is p.num_candidate_vectors. Empty slots are
            zero vectors; a frame without spots has only empty slots.
        """

    def refine_vectors(self, spots: SpotBatch, vectors: XpArray, plan: SearchPlan, p: Parameters) -> XpArray:
        """Step 2: fit each candidate to the spots close to its lattice planes.

        m_j = round(v0 . s_j) is taken from the unrefined v0 and kept, for the sampled spots. For t in 0.1, 0.05, 0.025,
        0.01: select the spots with |v . s_j - m_j| < t for the current v; stop if they are fewer than p.vr_min_spots or
        if their 3 x 3 normal matrix N, divided by its trace, has a determinant below 1e-9; else v becomes the
        least-squares solution of v . s_j = m_j over the selection. With p.vr_min_spots = 0 the vectors are neither
        refined nor merged.

        With p.vector_tolerance = e > 0, and L the length of the group: a fit whose length differs from L by more than
        e L is replaced by the unrefined vector; then, in order, a vector within 0.1 e L of an earlier one or of its
        negative is dropped, and the vectors after it move up.

        Returns
        -------
        (F, G, C, 3) float64
            Refined vectors, angstrom; empty slots are zero vectors.
        """

    def find_oriented_cells(self, spots: SpotBatch, vectors: XpArray, plan: SearchPlan, p: Parameters) -> OrientedCells:
        """Step 3: lay the input cells on each candidate vector, at all angles, and keep the best oriented cells.

        For each seed s of the plan and each non-zero candidate v of its group: z = v / |v|; u = (0, z2, -z1) if
        |z0| < 0.6 else (-z2, 0, z0), normalised; w = z x u; the cell at angle t_k = turn k / n_angles is
        base[s] Rz(t_k) [u; w; z], where Rz takes (x, y) to (x cos t - y sin t, x sin t + y cos t). Its score is
        the formula of step 1 with d_j the Euclidean norm of the three distances and p.distance3.

        With p.angle_peaks = k > 0, only the best k local minima of a candidate's score over the circle of angles
        compete (not above the score at the angle before, and below the score at the angle after; a single angle is a
        minimum). Otherwise all angles compete. The best Q = p.n_output_cells of all competitors are kept; ties go to
        the earlier (seed, candidate, angle). The returned scores have float64 accuracy for the returned cells.
        """

    def refine_cells(self, spots: SpotBatch, cells: XpArray, scores: XpArray, p: Parameters) -> tuple[XpArray, XpArray]:
        """Step 4: refine cells (F, Q, 3, 3) by p.method against all spots.

        Slots with an infinite score, and all slots under `raw`, are unchanged. On a frame with fewer than p.min_spots
        spots the cells are unchanged and their scores become 1. Otherwise, for a cell B, with X = B^T and the n spots
        as the rows of S: M = round(S X), and d_j is the norm of row j of S X - M (`ifss`, `ifse`) or of
        S - M X^-1 (`ifssr`). t starts as score - floor(score), which is the gmean of the raw score, for `ifssr` divided
        by the length of the shortest vector of B. Then at most p.n_iter times, while t > p.max_dist: select the spots
        with d_j < t, and stop if they are fewer than p.min_spots; t *= p.contraction; X -= N^+ S^T (S X - M) over the
        selection, where N = S^T S; round M anew (`ifss` always keeps its first M) and compute d anew. The final score
        is the p.min_spots-th smallest d.

        N^+ is the pseudo-inverse, so that B is unchanged along directions that the selection does not determine.
        With D = N / tr(N), its adjugate A, c = tr(A) and the limit model.fits.UNDETERMINED: tr(N) N^+ is
        A / det(D) if det(D) > limit, else (I - A / c - D) / c if c > limit (spots in a plane), else D (on a line).
        Sums are in float64.

        Returns
        -------
        cells : (F, Q, 3, 3) float64
            Refined cells, rows a, b, c, angstrom.
        scores : (F, Q) float64
            Final scores: a deviation in fractional indices, or for `ifssr` a distance in 1/angstrom.
        """

    def fit_rigid(self, spots: SpotBatch, cells: XpArray, p: Parameters) -> XpArray:
        """Rotate each cell (F, Q, 3, 3) as a rigid body onto all spots, by p.rigid_steps Gauss-Newton steps.

        Each step takes the residuals e_j = s_j - q_j from the predicted spot q_j = K^T round(B s_j), K the reciprocal
        cell, and the biweight w_j = (1 - |e_j|^2 / t^2)^2 inside t, else 0. It solves
        (N + 1e-4 tr(N) I) x = sum w_j q_j x e_j with N = sum w_j (|q_j|^2 I - q_j q_j^T), cuts |x| to 0.03, and rotates
        the cell by the rotation vector x (radian). The steps stop if the weights sum to less than 1.5 or N is zero. t
        falls geometrically from min(0.48 / longest vector, 0.010) to 0.002 (model.fits.rigid_cutoffs). Zero cells are
        unchanged. The result is (F, Q, 3, 3) float64.
        """

    def count_within(self, spots: SpotBatch, cells: XpArray, radii: XpArray) -> XpArray:
        """Number of spots closer to their predicted spot than each of radii (F, Q, T), for cells (F, Q, 3, 3).

        Returns
        -------
        (F, Q, T) int32
        """

    def fit_constrained(
        self, spots: SpotBatch, cells: XpArray, reference: XpArray, radius: XpArray, prior: float
    ) -> tuple[XpArray, XpArray]:
        """Last fit of one cell a frame: rotation and a small strain with a prior. Constants are in `model.fits`.

        Residuals are e_j = s_j - q_j from the predicted spot q_j = K^T round(B s_j), K the reciprocal cell. The cut-off
        starts as t = 1.3 max(radius, CONSTRAINED_SMALLEST_START). Each of CONSTRAINED_ROUNDS rounds takes
        CONSTRAINED_STEPS steps with t. Then, for the k spots with |e_j| < t (if k < 5 the rounds end and t is kept),
        w = TYPICAL_WEIGHT / (k + TYPICAL_WEIGHT), sigma^2 = (1 - w) mean(|e_j|^2) / 3 + w TYPICAL_SIGMA^2, and
        t = CONSTRAINED_CUTOFF sigma, clipped to CONSTRAINED_LIMITS. Finally CONSTRAINED_STEPS steps are taken with t.

        A step determines x = (omega, 3 components; e00, e11, e22, e01, e02, e12) in q' = q + omega x q + E q, whose
        derivative is J_j (3, 9). The biweight is w_j = (1 - |e_j|^2 / t^2)^2 inside t, else 0; if the weights sum to
        less than 3, no step is taken. With a = 9 / t^2, N = sum w_j a J_j^T J_j and v = sum w_j a J_j^T e_j. The
        diagonal of N is multiplied by 1.00001 and increased by 1e-9. For the prior, with l = 1 / prior^2 and the
        present strain E, N_pp += l and v_p -= l E_ii for the three diagonal components, N_pp += 2 l and
        v_p -= 2 l E_ij for the others. N x = v is solved; K becomes K (I + [omega]_x + E_x)^T, and B the inverse
        transpose of K.

        The present strain is that of F in K = K_ref F^T, K_ref the reciprocal of `reference`. X = F F^T - I is free of
        the rotation, and E = X / 2 - X^2 / 8 + X^3 / 16.

        Parameters
        ----------
        cells, reference : (F, 3, 3)
            Initial cells, and the cells without strain (in any orientation). Zero cells are unchanged.
        radius : (F,)
            Distance within which the initial cell explains its spots, 1/angstrom.
        prior
            Standard deviation of each component of the strain.

        Returns
        -------
        cells : (F, 3, 3) float64
            Fitted cells, rows a, b, c, angstrom.
        cutoff : (F,) float64
            Last cut-off t, about three sigma of the residuals, 1/angstrom; the initial one for a zero cell.
        """

    def fit_whitened(
        self,
        spots: SpotBatch,
        cells: XpArray,
        reference: XpArray,
        cutoff: XpArray,
        spread: Spread,
        prior: float,
        symmetry: XpArray | None = None,
    ) -> XpArray:
        """Last fit of one cell a frame with weighted residuals; see `generic.fit_whitened.fit_whitened`."""

    def distances(self, spots: SpotBatch, cells: XpArray, *, fractional: bool = False) -> XpArray:
        """Distances (Q, N) float32 of every spot from its predicted spot, for cells (F, Q, 3, 3).

        They are in 1/angstrom, or with `fractional` norms of deviations in fractional indices; +inf for zero cells.
        """

    def scan_vectors(self, spots: SpotBatch, scan: VectorScan) -> XpArray:
        """Unknown cells, step 1: find the highest local maxima of C(v) = sum_j cos(2 pi s_j . v) in length.

        The sum is over the spots of low resolution on a frame, see `scan.low_counts`. An octave has the vectors v = L u
        with its directions u and its lengths L. C is a local maximum at a length other than the first and the last if
        it is not below C at the length before, above C at the length after, and above FLOOR times the number of spots
        in the sum. The `most` highest maxima of each octave are kept. Frames have at most MOST_SPOTS spots, ascending
        in |s|. Constants are in `model.unknown.scan`.

        Returns
        -------
        (F, H, 3) float32
            Vectors, angstrom, octave by octave, the highest maximum first; H is the sum of `most`. Empty slots are 0.
        """

    def refine_scanned(self, spots: SpotBatch, hits: XpArray, scan: VectorScan) -> XpArray:
        """Unknown cells, step 2: refine and score the scanned vectors, and keep the best distinct ones.

        A vector v has the phases p_j = s_j . v - round(s_j . v) and the width sigma, where sigma^2 = WIDTH_FLOOR^2 +
        (WIDTH_ACROSS |v|)^2 + (WIDTH_ALONG v_z)^2. N_j is the normal density of p_j, and d_j its sum over p_j - 1, p_j
        and p_j + 1. The log-likelihood is sum_j ln(1 - TRUE + TRUE d_j). The vector's scale is the factor of SCALES on
        sigma with which this is highest.

        A step with a factor f uses sigma' = min(WIDEST, f sigma) and w_j = e_j / (e_j + 1 - TRUE), where e_j = TRUE N_j
        for sigma'. It moves v by x, cut to LONGEST_STEP, with
        (sum w_j s_j s_j^T + RIDGE sigma'^2 I) x = -sum w_j p_j s_j. One step is taken for each f of WIDTHS over the
        spots of low resolution, unless these are all spots, then one for each over all spots, then one over all spots
        for each f of SCALED_WIDTHS times the scale that the vector then has.

        Vectors shorter than `scan.shortest` or longer than `scan.reach` are dropped. The score is the log-likelihood at
        the vector's scale minus 3 ln |v|, because the number of chance vectors grows as L^2 dL, unlike that of lattice
        vectors of an unknown scale. In the order of scores, a vector is dropped if it is within
        |m| DISTINCT / `scan.resolution` of m times an earlier one for an integer m other than 0; the first VECTORS
        vectors are kept.

        Returns
        -------
        (F, VECTORS, 3) float64
            Vectors, angstrom, the best first; empty slots are zero vectors.
        """

    def join_vectors(self, spots: SpotBatch, vectors: XpArray) -> tuple[XpArray, XpArray]:
        """Unknown cells, step 3: find the lattices that explain the spots, spanned by three vectors of (F, K, 3).

        d_j is now the density at the scale of each vector. Pairs (a, b) of the first PAIRED vectors with an area of at
        least FLATTEST |a| |b| have the score sum_j ln(1 - TRUE + TRUE d_j(a) d_j(b)) - 3 ln(|a| |b|). The best PAIRS
        pairs are joined with each vector to triples (a, b, c) with a volume of at least FLATTEST |a| |b| |c|, of the
        score sum_j ln(1 - TRUE + TRUE d_j(a) d_j(b) d_j(c)) - 3 ln(|a| |b| |c|).

        The best TRIED triples are visited in the order of scores, and left out if their seven Voronoi lengths agree
        within SAME_TRIPLE with those of an earlier one. The vectors of the others are fitted: for each factor of
        JOINT_WIDTHS each vector takes one step with w_j = e_j / (e_j + 1 - TRUE), e_j = TRUE d_j(a) d_j(b) d_j(c) for
        sigma times the factor and the scale, and the ridge JOINT_RIDGE. A fitted lattice that agrees within
        SAME_LATTICE with a kept one replaces it if its score is higher; another lattice is kept, until there are
        LATTICES.

        Returns
        -------
        cells : (F, LATTICES, 3, 3) float64
            Rows are three Selling-reduced vectors, angstrom; the best lattice is first. Empty slots are zero.
        scores : (F, LATTICES) float64
            Scores of the lattices, higher is better; -inf for empty slots.
        """

    def join_threes(self, spots: SpotBatch, reach: float) -> tuple[XpArray, XpArray]:
        """Unknown cells, frames with few spots: find the lattices in which three spots have whole indices.

        The frames have few spots; formulas and constants are in `model.unknown.threes`.

        Returns
        -------
        cells : (F, threes.LATTICES, 3, 3) float32
            Rows are three Selling-reduced vectors, angstrom; the best lattice is first. Empty slots are zero.
        scores : (F, threes.LATTICES) float32
            Scores of the lattices, higher is better; -inf for empty slots.
        """
