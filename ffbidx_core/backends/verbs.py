"""The few verbs that every backend has, written out as formulas.

A verb takes a whole batch. Arrays between verbs belong to the backend (NumPy, or CuPy on the device); the code that
calls the verbs, the room `method`, works on them through `backend.xp` only. `model.records.batch` explains the letters
of the shapes.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any, NamedTuple, Protocol

from ..model.misfit.equations import Spread
from ..model.plan import SearchPlan
from ..model.records.batch import SpotBatch
from ..model.unknown.scan import VectorScan
from ..model.xp import XpArray
from ..parameters import Parameters


class OrientedCells(NamedTuple):
    """Cells of each frame, best first. Empty slots: zero cell, score +inf, input cell -1.

    Attributes
    ----------
    cells : (F, Q, 3, 3) float64
    scores : (F, Q) float64
    input_cell : (F, Q) int32
        Index of the input cell that a cell is a copy of.
    """

    cells: XpArray
    scores: XpArray
    input_cell: XpArray


class Backend(Protocol):
    """What a backend does. Every verb treats each frame by itself: no result depends on the batch around it."""

    name: str
    most_frames: int
    """Batches of more frames have been found not to fit in memory."""

    @property
    def lanes(self) -> int:
        """Batches that are best under way at the same time, each in a thread of its own."""

    @property
    def memory_errors(self) -> tuple[type[Exception], ...]:
        """What a verb raises when there is no memory for a batch."""

    @property
    def xp(self) -> ModuleType:
        """The module of its arrays, NumPy or CuPy."""

    @property
    def device(self) -> str:
        """What it runs on, in words."""

    def lane(self) -> AbstractContextManager[Any]:
        """Inside, a thread works on the backend's device and beside the work of other threads."""

    def close(self) -> None:
        """Give back the memory that is kept for further batches, of which there are none."""

    def load(self, spots: XpArray, offsets: XpArray) -> SpotBatch:
        """Pack spots (N, 3) and offsets (F + 1,), sort each frame by (|s|^2, x, y, z), |s|^2 in float64."""

    def find_candidate_vectors(self, spots: SpotBatch, plan: SearchPlan, p: Parameters, n_points: int) -> XpArray:
        """Step 1: the best directions for each length group, times the group's length.

        Score over the first min(n, p.max_spots) spots of a frame: gmean - count - 1 with x_j = L u . s_j,
        d_j = |x_j - round(x_j)|, count = #{d_j < p.distance1},
        gmean = (prod_j (trim(d_j) + delta))^(1/n) - delta. Lower is better; ties go to the lower direction index.
        Directions are `half_sphere(n_points)`.

        Racing (p.race_spots = r > 0, and the frame has at least 2 r sampled spots): the best p.race_directions
        directions by their score on the first r spots alone go on, the others are out.

        Separation (p.candidate_separation = k > 0): of the best p.candidate_pool directions, best first, one is kept
        when |cosine| to every kept one is at most cos(k sqrt(2 pi / n_points)), until p.num_candidate_vectors are.
        Without it the best p.num_candidate_vectors are kept.

        Returns
        -------
        (F, G, C, 3) float64
            C = p.num_candidate_vectors, best first; empty slots are zero vectors. Frames of no spots have none.
        """

    def refine_vectors(self, spots: SpotBatch, vectors: XpArray, plan: SearchPlan, p: Parameters) -> XpArray:
        """Step 2: each candidate fitted to the spots that lie near its lattice planes.

        m_j = round(v0 . s_j) from the unrefined v0, fixed, over the sampled spots. For t in 0.1, 0.05, 0.025, 0.01:
        select |v . s_j - m_j| < t with the current v; fewer than p.vr_min_spots: stop; else v is the least-squares
        solution of v . s_j = m_j over the selection (stop too when the 3 x 3 normal matrix N, divided by its trace,
        has a determinant below 1e-9). p.vr_min_spots = 0 leaves the vectors alone, unmerged.

        With p.vector_tolerance = e > 0: a fit whose length differs from the group's by more than e of it is dropped
        for the unrefined vector; then, in order, a vector within 0.1 e of the group's length of an earlier one or of
        its negative is dropped, and the others move up.

        Returns
        -------
        (F, G, C, 3) float64
        """

    def find_oriented_cells(self, spots: SpotBatch, vectors: XpArray, plan: SearchPlan, p: Parameters) -> OrientedCells:
        """Step 3: the input cells turned about each candidate vector.

        For each seed s of the plan and each non-zero candidate v of its group: z = v / |v|; u = (0, z2, -z1) if
        |z0| < 0.6 else (-z2, 0, z0), normalised; w = z x u; the cell at angle t_k = turn k / n_angles is
        base[s] Rz(t_k) [u; w; z], where Rz takes (x, y) to (x cos t - y sin t, x sin t + y cos t). Its score is
        the formula of step 1 with d_j the Euclidean norm of the three distances and p.distance3.

        p.angle_peaks = k > 0: of a candidate's angles only local minima of the score over the circle (not above the
        angle before, below the angle after; a single angle is one) go on, the best k of them. Otherwise all do.
        The best Q = p.n_output_cells of all are kept, ties to the earlier (seed, candidate, angle).
        Scores returned are of float64 accuracy for the cell returned.
        """

    def refine_cells(self, spots: SpotBatch, cells: XpArray, scores: XpArray, p: Parameters) -> tuple[XpArray, XpArray]:
        """Step 4: p.method applied to cells (F, Q, 3, 3), over all spots.

        Slots with an infinite score, and every slot under `raw`, are left as they are. In a frame of fewer than
        p.min_spots spots cells stay and their scores become 1. Otherwise, for a cell B, with X = B^T and the n spots
        as the rows of S: M = round(S X), and d_j is the norm of row j of S X - M (`ifss`, `ifse`) or of
        S - M X^-1 (`ifssr`). t starts as score - floor(score), which is the raw score's gmean, for `ifssr` divided by
        the shortest vector of B. At most p.n_iter times, while t > p.max_dist: select d_j < t; fewer than
        p.min_spots: stop; t *= p.contraction; X -= N^+ S^T (S X - M) over the selection, where N = S^T S; round M
        anew (`ifss` keeps its first M for good) and take d anew. The final score is the p.min_spots-th smallest d.

        N^+ is the pseudo-inverse: along directions that the selection does not determine B stays as it is.
        With D = N / tr(N), its adjugate A, c = tr(A) and the limit model.fits.UNDETERMINED: tr(N) N^+ is
        A / det(D) if det(D) > limit, else (I - A / c - D) / c if c > limit (spots in a plane), else D (on a line).
        Sums are in float64.

        Returns
        -------
        cells : (F, Q, 3, 3) float64
        scores : (F, Q) float64
        """

    def fit_rigid(self, spots: SpotBatch, cells: XpArray, p: Parameters) -> XpArray:
        """Turn each cell (F, Q, 3, 3), its shape fixed, onto all spots: Gauss-Newton for 3 angles, p.rigid_steps steps.

        In each step: residuals e_j = s_j - q_j to the predicted spot q_j = K^T round(B s_j) (K the reciprocal cell),
        biweight w_j = (1 - |e_j|^2 / t^2)^2 inside t, else 0; solve (N + 1e-4 tr(N) I) x = sum w_j q_j x e_j with
        N = sum w_j (|q_j|^2 I - q_j q_j^T); |x| is cut to 0.03; the cell turns by the rotation vector x. Stop when
        the weights sum to less than 1.5, or N is zero. t falls geometrically from min(0.48 / longest vector, 0.010) to
        0.002 (model.fits.rigid_cutoffs). Zero cells stay.
        """

    def count_within(self, spots: SpotBatch, cells: XpArray, radii: XpArray) -> XpArray:
        """Number of spots nearer to their predicted spot than each of radii (F, Q, T), for cells (F, Q, 3, 3).

        Returns
        -------
        (F, Q, T) int32
        """

    def fit_constrained(
        self, spots: SpotBatch, cells: XpArray, reference: XpArray, radius: XpArray, prior: float
    ) -> tuple[XpArray, XpArray]:
        """The last fit: rotation and a small strain with a prior, one cell a frame. Constants are in model.fits.

        Residuals e_j = s_j - q_j to the predicted spot q_j = K^T round(B s_j), K the reciprocal cell. The cut-off
        starts as t = 1.3 max(radius, CONSTRAINED_SMALLEST_START). In each of CONSTRAINED_ROUNDS rounds:
        CONSTRAINED_STEPS steps with t; then, of the k spots with |e_j| < t (fewer than 5: leave the rounds, t stays),
        w = TYPICAL_WEIGHT / (k + TYPICAL_WEIGHT), sigma^2 = (1 - w) mean(|e_j|^2) / 3 + w TYPICAL_SIGMA^2, and
        t = CONSTRAINED_CUTOFF sigma, clipped to CONSTRAINED_LIMITS. Last, CONSTRAINED_STEPS steps with this t.

        A step: parameters x = (omega, three; e00, e11, e22, e01, e02, e12) with q' = q + omega x q + E q, J_j (3, 9)
        its derivative; biweight w_j = (1 - |e_j|^2 / t^2)^2 inside t, else 0; weights that sum to less than 3: no
        step. With a = 9 / t^2, N = sum w_j a J_j^T J_j and v = sum w_j a J_j^T e_j. The diagonal of N is multiplied by
        1.00001 and 1e-9 is added to it. The prior: with l = 1 / prior^2 and the strain so far E, N_pp += l and
        v_p -= l E_ii for the three diagonal components, N_pp += 2 l and v_p -= 2 l E_ij for the others. N x = v;
        K becomes K (I + [omega]_x + E_x)^T and B its inverse transpose.

        The strain so far is that of F in K = K_ref F^T, K_ref the reciprocal of `reference`. F holds the rotation too,
        X = F F^T - I does not: E = X / 2 - X^2 / 8 + X^3 / 16.

        Parameters
        ----------
        cells, reference : (F, 3, 3)
            Where to start, and the cell of no strain (any orientation). Zero cells stay.
        radius : (F,)
            Distance within which the start explains its spots, 1/angstrom.
        prior
            Standard deviation of each component of strain.

        Returns
        -------
        cells : (F, 3, 3) float64
        cutoff : (F,) float64
            Radius of the last biweight, about three sigma of the residuals; 1.3 times the start for a zero cell.
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
        """Rotation and strain of one cell a frame, with residuals weighed; see `whitened.fit_whitened`."""

    def expected_false(
        self,
        spots: SpotBatch,
        counts: XpArray,
        radii: XpArray,
        input_cell: XpArray,
        volumes: XpArray,
        orders: XpArray,
        p: Parameters,
    ) -> XpArray:
        """How many false crystals as good as cells are expected, log10; see `expected_false.expected_false`."""

    def distances(self, spots: SpotBatch, cells: XpArray, *, fractional: bool = False) -> XpArray:
        """Distance of every spot to its predicted one for cells (F, Q, 3, 3), (Q, N) float32.

        In 1/angstrom, or the Euclidean norm in fractional indices. +inf for zero cells.
        """

    def scan_vectors(self, spots: SpotBatch, scan: VectorScan) -> XpArray:
        """Unknown cells, step 1: where C(v) = sum_j cos(2 pi s_j . v) has its highest local maxima in length.

        The sum is over the low spots of a frame, `scan.low_counts`. An octave has v = L u for its directions u and its
        lengths L; C at a length other than the first and the last is a local maximum where it is not below C at the
        length before, above C at the length after, and above FLOOR times the number of low spots. Of each octave the
        `most` highest go on. Constants of these verbs are in `model.unknown.scan`.

        Returns
        -------
        (F, H, 3) float32
            octave by octave, highest first; H is the sum of `most`. Empty slots are zero vectors.
        """

    def refine_scanned(self, spots: SpotBatch, hits: XpArray, scan: VectorScan) -> XpArray:
        """Unknown cells, step 2: scanned vectors refined, scored, and the best distinct ones kept.

        Of a vector v: phases p_j = s_j . v - round(s_j . v); width sigma^2 = WIDTH_FLOOR^2 + (WIDTH_ACROSS |v|)^2 +
        (WIDTH_ALONG v_z)^2; N_j the normal density of p_j, and d_j its sum over p_j - 1, p_j, p_j + 1.

        A step with a factor f: sigma' = min(WIDEST, f sigma), w_j = e_j / (e_j + 1 - TRUE) with e_j = TRUE N_j for
        sigma'; v moves by x, (sum w_j s_j s_j^T + RIDGE sigma'^2 I) x = -sum w_j p_j s_j, cut to LONGEST_STEP. One
        step for each f of WIDTHS over the low spots, where these are not all, then one for each over all spots.

        Vectors not between `scan.shortest` and `scan.reach` long are out. The score is sum_j log(1 - TRUE + TRUE d_j) -
        3 ln |v|: chance vectors grow in number as L^2 dL, lattice vectors of an unknown scale do not. Best first, a
        vector is out where it is within m DISTINCT / `scan.resolution` of m times an earlier one, m another integer
        than 0; the first VECTORS are kept.

        Returns
        -------
        (F, VECTORS, 3) float64
            Best first; empty slots are zero vectors.
        """

    def join_vectors(self, spots: SpotBatch, vectors: XpArray) -> tuple[XpArray, XpArray]:
        """Unknown cells, step 3: the lattices of three vectors (F, K, 3) of a frame that explain spots jointly.

        Triples (a, b, c) of a volume of at least FLATTEST |a| |b| |c| are scored by sum_j log(1 - TRUE + TRUE d_j(a)
        d_j(b) d_j(c)) - 3 ln(|a| |b| |c|). The best TRIED, best first, are left out where their seven Voronoi lengths
        agree to SAME_TRIPLE with an earlier one's. Of the others the three vectors are fitted: for each factor of
        JOINT_WIDTHS, one step of each vector with w_j = e_j / (e_j + 1 - TRUE), e_j = TRUE d_j(a) d_j(b) d_j(c) for
        sigma times the factor, and the ridge JOINT_RIDGE. A fitted lattice that agrees to SAME_LATTICE with a kept one
        takes its place where it scores higher; else it is kept, until LATTICES are.

        Returns
        -------
        cells : (F, LATTICES, 3, 3) float64
            Rows are three vectors of the lattice's Selling-reduced base, best lattice first; empty slots are zero.
        scores : (F, LATTICES) float64
            -inf for empty slots.
        """
