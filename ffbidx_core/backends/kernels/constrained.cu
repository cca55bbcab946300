// The last fit: rotation and a small strain with a prior, in float64, one warp a frame.

__device__ __forceinline__ void load_spot(const float* xyz, i64 n_spots, i64 j, double* s) {
#pragma unroll
  for (int r = 0; r < 3; r++) s[r] = xyz[r * n_spots + j];
}

// Computes the spot minus its predicted spot (e), and the predicted spot (q).
__device__ __forceinline__ void exact_residual(const double* cell, const double* recip, const double* s, double* e,
                                               double* q) {
  double h[3];
#pragma unroll
  for (int r = 0; r < 3; r++) {
    h[r] = cell[3 * r] * s[0] + cell[3 * r + 1] * s[1] + cell[3 * r + 2] * s[2];
    h[r] -= rint(h[r]);
  }
#pragma unroll
  for (int r = 0; r < 3; r++) {
    e[r] = recip[r] * h[0] + recip[3 + r] * h[1] + recip[6 + r] * h[2];
    q[r] = s[r] - e[r];
  }
}

__device__ __forceinline__ void product3(const double* a, const double* b, double* out) {
#pragma unroll
  for (int r = 0; r < 3; r++)
#pragma unroll
    for (int q = 0; q < 3; q++) out[3 * r + q] = a[3 * r] * b[q] + a[3 * r + 1] * b[3 + q] + a[3 * r + 2] * b[6 + q];
}

// The present strain E = X/2 - X^2/8 + X^3/16 with X = F F^T - I, where recip = (reciprocal of reference) F^T.
__device__ __forceinline__ void strain_of(const double* recip, const double* reference, double* strain) {
  double transposed[9], f[9], x[9], squared[9], cubed[9];
#pragma unroll
  for (int i = 0; i < 9; i++) transposed[i] = reference[3 * (i % 3) + i / 3];
  product3(transposed, recip, f);
#pragma unroll
  for (int r = 0; r < 3; r++)
#pragma unroll
    for (int q = 0; q < 3; q++)
      x[3 * r + q] = f[r] * f[q] + f[3 + r] * f[3 + q] + f[6 + r] * f[6 + q] - (r == q ? 1.0 : 0.0);
  product3(x, x, squared);
  product3(squared, x, cubed);
#pragma unroll
  for (int i = 0; i < 9; i++) strain[i] = x[i] / 2.0 - squared[i] / 8.0 + cubed[i] / 16.0;
}

#define LOWER(p, s) ((p) * ((p) + 1) / 2 + (s))

// Solves nine equations with a positive definite matrix, whose lower triangle is packed, by Cholesky decomposition. The
// solution replaces `right`; the result is false if the matrix is not positive definite.
__device__ __forceinline__ bool solve9(double* m, double* right) {
#pragma unroll
  for (int i = 0; i < 9; i++) {
#pragma unroll
    for (int j = 0; j <= i; j++) {
      double total = m[LOWER(i, j)];
#pragma unroll
      for (int k = 0; k < j; k++) total -= m[LOWER(i, k)] * m[LOWER(j, k)];
      if (i == j) {
        if (!(total > 0.0)) return false;
        m[LOWER(i, i)] = sqrt(total);
      } else {
        m[LOWER(i, j)] = total / m[LOWER(j, j)];
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 9; i++) {
#pragma unroll
    for (int k = 0; k < i; k++) right[i] -= m[LOWER(i, k)] * right[k];
    right[i] /= m[LOWER(i, i)];
  }
#pragma unroll
  for (int i = 8; i >= 0; i--) {
#pragma unroll
    for (int k = i + 1; k < 9; k++) right[i] -= m[LOWER(k, i)] * right[k];
    right[i] /= m[LOWER(i, i)];
  }
  return true;
}

// Adds to the normal equations the prior on the strain, which has the mean 0 and the standard deviation 1 /
// sqrt(weight).
__device__ __forceinline__ void add_prior(double* m, double* right, const double* recip, const double* reference,
                                          double weight) {
  double strain[9];
  strain_of(recip, reference, strain);
#pragma unroll
  for (int p = 0; p < 3; p++) {
    m[LOWER(3 + p, 3 + p)] += weight;
    right[3 + p] -= weight * strain[4 * p];
    m[LOWER(6 + p, 6 + p)] += 2.0 * weight;
  }
  right[6] -= 2.0 * weight * strain[1];
  right[7] -= 2.0 * weight * strain[2];
  right[8] -= 2.0 * weight * strain[5];
}

// Rotates and strains the reciprocal cell by the nine parameters x.
__device__ __forceinline__ void move_by(const double* x, double* recip) {
  const double move[9] = {1.0 + x[3],  x[6] - x[2], x[7] + x[1], x[6] + x[2], 1.0 + x[4],
                          x[8] - x[0], x[7] - x[1], x[8] + x[0], 1.0 + x[5]};
  double moved[9];
#pragma unroll
  for (int r = 0; r < 3; r++)
#pragma unroll
    for (int q = 0; q < 3; q++)
      moved[3 * r + q] = recip[3 * r] * move[3 * q] + recip[3 * r + 1] * move[3 * q + 1] + recip[3 * r + 2] * move[3 * q + 2];
#pragma unroll
  for (int i = 0; i < 9; i++) recip[i] = moved[i];
}

// Takes one Gauss-Newton step, which changes `recip`; returns false if too few spots are within the cut-off.
__device__ __forceinline__ bool constrained_step(const float* xyz, i64 n_spots, i64 begin, int n, const double* cell,
                                                 double* recip, const double* reference, double t, double prior) {
  double m[45] = {}, right[9] = {}, total = 0.0, a = 9.0 / (t * t);
  for (int j = threadIdx.x & 31; j < n; j += 32) {
    double s[3], e[3], q[3];
    load_spot(xyz, n_spots, begin + j, s);
    exact_residual(cell, recip, s, e, q);
    double w = 1.0 - (e[0] * e[0] + e[1] * e[1] + e[2] * e[2]) / (t * t);
    if (w <= 0.0) continue;
    w *= w;
    total += w;
    // Derivatives of the predicted spot with respect to three rotations and the strains xx, yy, zz, xy, xz, yz.
    const double jacobian[9][3] = {{0.0, -q[2], q[1]}, {q[2], 0.0, -q[0]}, {-q[1], q[0], 0.0},
                                   {q[0], 0.0, 0.0},   {0.0, q[1], 0.0},   {0.0, 0.0, q[2]},
                                   {q[1], q[0], 0.0},  {q[2], 0.0, q[0]},  {0.0, q[2], q[1]}};
#pragma unroll
    for (int p = 0; p < 9; p++) {
      double j0 = w * a * jacobian[p][0], j1 = w * a * jacobian[p][1], j2 = w * a * jacobian[p][2];
      right[p] += j0 * e[0] + j1 * e[1] + j2 * e[2];
#pragma unroll
      for (int k = 0; k <= p; k++)
        m[LOWER(p, k)] += j0 * jacobian[k][0] + j1 * jacobian[k][1] + j2 * jacobian[k][2];
    }
  }
  total = warp_sum(total);
  if (total < 3.0) return false;
#pragma unroll
  for (int i = 0; i < 45; i++) m[i] = warp_sum(m[i]);
#pragma unroll
  for (int i = 0; i < 9; i++) right[i] = warp_sum(right[i]);
#pragma unroll
  for (int p = 0; p < 9; p++) m[LOWER(p, p)] = m[LOWER(p, p)] * 1.00001 + 1e-9;
  add_prior(m, right, recip, reference, 1.0 / (prior * prior));
  if (!solve9(m, right)) return false;
  move_by(right, recip);
  return true;
}

// Fits start[F] to cells[F] and stores the last cut-offs in cutoff[F]; one warp a frame.
extern "C" __global__ __launch_bounds__(64) void fit_constrained(const float* xyz, i64 n_spots, const i64* offsets,
                                                                 int n_frames, const double* reference,
                                                                 const double* radius, double prior,
                                                                 const double* start, double* cells, double* cutoff) {
  int frame = (blockIdx.x * blockDim.x + threadIdx.x) >> 5, lane = threadIdx.x & 31;
  if (frame >= n_frames) return;
  i64 begin = offsets[frame];
  int n = offsets[frame + 1] - begin;
  double cell[9], recip[9], unstrained[9], t = 1.3 * fmax(radius[frame], CONSTRAINED_SMALLEST_START);
  for (int i = 0; i < 9; i++) {
    cell[i] = start[9 * (i64)frame + i];
    unstrained[i] = reference[9 * (i64)frame + i];
  }
  if (reciprocal(cell, recip)) {
    bool settled = false;
    for (int round = 0; round <= CONSTRAINED_ROUNDS; round++) {
      for (int step = 0; step < CONSTRAINED_STEPS; step++) {
        if (!constrained_step(xyz, n_spots, begin, n, cell, recip, unstrained, t, prior)) break;
        reciprocal(recip, cell);
      }
      if (settled) break;
      int count = 0;
      double total = 0.0;
      for (int j = lane; j < n; j += 32) {
        double s[3], e[3], q[3];
        load_spot(xyz, n_spots, begin + j, s);
        exact_residual(cell, recip, s, e, q);
        double squared = e[0] * e[0] + e[1] * e[1] + e[2] * e[2];
        if (squared < t * t) {
          count++;
          total += squared;
        }
      }
      count = warp_sum(count);
      total = warp_sum(total);
      settled = count < 5 || round == CONSTRAINED_ROUNDS - 1;
      if (count < 5) continue;
      double w = TYPICAL_WEIGHT / (count + TYPICAL_WEIGHT);
      double sigma = sqrt((1.0 - w) * total / count / 3.0 + w * TYPICAL_SIGMA * TYPICAL_SIGMA);
      t = fmin(fmax(CONSTRAINED_CUTOFF * sigma, CONSTRAINED_LOWEST), CONSTRAINED_HIGHEST);
    }
  }
  if (lane == 0) {
    for (int i = 0; i < 9; i++) cells[9 * (i64)frame + i] = cell[i];
    cutoff[frame] = t;
  }
}
