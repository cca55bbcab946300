// The last fit with residuals weighted across and along the diffracted ray, in float64, one warp a frame; see
// backends/generic/fit_whitened.py.

// The wavelength, and 1 / sigma of the residuals across and along the ray.
struct Sight {
  double wavelength, across, along;
};

// Fits the Ewald sphere to a frame's spots; if none fits, the residuals have the same sigma in all directions.
__device__ __forceinline__ Sight sight_of(const float* xyz, i64 n_spots, i64 begin, int n, double across, double along) {
  double mixed = 0.0, depths = 0.0, squares = 0.0;
  for (int j = threadIdx.x & 31; j < n; j += 32) {
    double s[3];
    load_spot(xyz, n_spots, begin + j, s);
    double square = s[0] * s[0] + s[1] * s[1] + s[2] * s[2];
    mixed -= square * s[2];
    depths += s[2] * s[2];
    squares += square * square;
  }
  mixed = warp_sum(mixed);
  depths = warp_sum(depths);
  squares = warp_sum(squares);
  double radius = depths > 0.0 ? mixed / (2.0 * depths) : 0.0;
  double off = squares - 4.0 * radius * mixed + 4.0 * radius * radius * depths;
  bool on_sphere = radius > 0.0 && off < SPHERE_ERROR * SPHERE_ERROR * squares;
  return {on_sphere ? 1.0 / radius : 1.0, 1.0 / (on_sphere ? across : along), 1.0 / along};
}

// Two unit vectors across the ray of a predicted spot q, and one along the ray, each divided by sigma.
__device__ __forceinline__ void whitening_axes(const double* q, const Sight& sight, double axes[3][3]) {
  double x = q[0] * sight.wavelength, y = q[1] * sight.wavelength, z = q[2] * sight.wavelength + 1.0;
  double scale = 1.0 / sqrt(x * x + y * y + z * z);
  x *= scale;
  y *= scale;
  z *= scale;
  // The first is the vector product of the ray with x, or with y if the ray is close to x.
  bool flat = fabs(x) < 0.6;
  double a = flat ? 0.0 : -z, b = flat ? z : 0.0, c = flat ? -y : x;
  scale = 1.0 / sqrt(a * a + b * b + c * c);
  a *= scale;
  b *= scale;
  c *= scale;
  const double units[3][3] = {{a, b, c}, {y * c - z * b, z * a - x * c, x * b - y * a}, {x, y, z}};
#pragma unroll
  for (int k = 0; k < 3; k++)
#pragma unroll
    for (int r = 0; r < 3; r++) axes[k][r] = units[k][r] * (k == 2 ? sight.along : sight.across);
}

__device__ __forceinline__ double dot3(const double* a, const double* b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

// Variance of the residuals in units of the run's, with a prior weight on the value 1, from sums over the lanes.
__device__ __forceinline__ double noise_of(double weights, double squares) {
  return (warp_sum(squares) / 3.0 + TYPICAL_WEIGHT) / (warp_sum(weights) + TYPICAL_WEIGHT);
}

// Takes one Gauss-Newton step, which changes `recip`, and estimates the frame's noise from the residuals before the
// step.
__device__ __forceinline__ bool weighed_step(const float* xyz, i64 n_spots, i64 begin, int n, const Sight& sight,
                                             const double* cell, double* recip, const double* reference,
                                             double stiffness, double* noise) {
  double m[45] = {}, right[9] = {}, weights = 0.0, squares = 0.0;
  for (int j = threadIdx.x & 31; j < n; j += 32) {
    double s[3], e[3], q[3], axes[3][3];
    load_spot(xyz, n_spots, begin + j, s);
    exact_residual(cell, recip, s, e, q);
    whitening_axes(q, sight, axes);
    double r[3] = {dot3(axes[0], e), dot3(axes[1], e), dot3(axes[2], e)}, square = dot3(r, r);
    double w = 1.0 - square / (BIWEIGHT * BIWEIGHT * *noise);
    if (w <= 0.0) continue;
    w *= w;
    weights += w;
    squares += w * square;
    double u = w / *noise;
#pragma unroll
    for (int k = 0; k < 3; k++) {
      // Derivatives of the predicted spot along the axis with respect to three rotations and the strains xx, yy, zz,
      // xy, xz, yz.
      const double* axis = axes[k];
      const double row[9] = {q[1] * axis[2] - q[2] * axis[1], q[2] * axis[0] - q[0] * axis[2],
                             q[0] * axis[1] - q[1] * axis[0], axis[0] * q[0], axis[1] * q[1], axis[2] * q[2],
                             axis[0] * q[1] + axis[1] * q[0], axis[0] * q[2] + axis[2] * q[0],
                             axis[1] * q[2] + axis[2] * q[1]};
#pragma unroll
      for (int p = 0; p < 9; p++) {
        double weighed = u * row[p];
        right[p] += weighed * r[k];
#pragma unroll
        for (int l = 0; l <= p; l++) m[LOWER(p, l)] += weighed * row[l];
      }
    }
  }
  *noise = noise_of(weights, squares);
  if (!(warp_sum(weights) > WEIGHED_FEWEST)) return false;
#pragma unroll
  for (int i = 0; i < 45; i++) m[i] = warp_sum(m[i]);
#pragma unroll
  for (int i = 0; i < 9; i++) right[i] = warp_sum(right[i]);
  add_prior(m, right, recip, reference, stiffness);
#pragma unroll
  for (int p = 0; p < 9; p++) m[LOWER(p, p)] = m[LOWER(p, p)] * (1.0 + 1e-9) + 1e-6;
  if (!solve9(m, right)) return false;
  move_by(right, recip);
  return true;
}

// Fits start[F] to cells[F]; one warp a frame.
extern "C" __global__ __launch_bounds__(64) void fit_whitened(const float* xyz, i64 n_spots, const i64* offsets,
                                                              int n_frames, const double* reference,
                                                              const double* cutoff, double across, double along,
                                                              double stiffness, const double* start, double* cells) {
  int frame = (blockIdx.x * blockDim.x + threadIdx.x) >> 5, lane = threadIdx.x & 31;
  if (frame >= n_frames) return;
  i64 begin = offsets[frame];
  int n = offsets[frame + 1] - begin;
  double cell[9], recip[9], unstrained[9];
  for (int i = 0; i < 9; i++) {
    cell[i] = start[9 * (i64)frame + i];
    unstrained[i] = reference[9 * (i64)frame + i];
  }
  if (lane < 9) cells[9 * (i64)frame + lane] = start[9 * (i64)frame + lane];
  if (!reciprocal(cell, recip)) return;
  Sight sight = sight_of(xyz, n_spots, begin, n, across, along);
  double weights = 0.0, squares = 0.0, near = cutoff[frame] * cutoff[frame];
  for (int j = lane; j < n; j += 32) {
    double s[3], e[3], q[3], axes[3][3];
    load_spot(xyz, n_spots, begin + j, s);
    exact_residual(cell, recip, s, e, q);
    if (!(dot3(e, e) < near)) continue;
    whitening_axes(q, sight, axes);
    double r[3] = {dot3(axes[0], e), dot3(axes[1], e), dot3(axes[2], e)};
    weights += 1.0;
    squares += dot3(r, r);
  }
  double noise = noise_of(weights, squares);
  for (int step = 0; step < WEIGHED_STEPS; step++)
    if (weighed_step(xyz, n_spots, begin, n, sight, cell, recip, unstrained, stiffness, &noise)) reciprocal(recip, cell);
  __syncwarp();
  if (lane == 0)
    for (int i = 0; i < 9; i++) cells[9 * (i64)frame + i] = cell[i];
}
