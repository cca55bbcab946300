// Distances of spots from the lattice points of cells, and the rigid fit.

// A cell and its reciprocal cell in float32, for the loops over spots.
struct Pair {
  float cell[9], recip[9];
};

__device__ __forceinline__ Pair pair_of(const double* cell, const double* recip) {
  Pair p;
#pragma unroll
  for (int i = 0; i < 9; i++) {
    p.cell[i] = (float)cell[i];
    p.recip[i] = (float)recip[i];
  }
  return p;
}

// A spot minus its predicted spot, in the laboratory frame.
__device__ __forceinline__ float3 residual(const Pair& p, float s0, float s1, float s2) {
  float h = from_nearest(fmaf(p.cell[0], s0, fmaf(p.cell[1], s1, p.cell[2] * s2)));
  float k = from_nearest(fmaf(p.cell[3], s0, fmaf(p.cell[4], s1, p.cell[5] * s2)));
  float l = from_nearest(fmaf(p.cell[6], s0, fmaf(p.cell[7], s1, p.cell[8] * s2)));
  return make_float3(fmaf(p.recip[0], h, fmaf(p.recip[3], k, p.recip[6] * l)),
                     fmaf(p.recip[1], h, fmaf(p.recip[4], k, p.recip[7] * l)),
                     fmaf(p.recip[2], h, fmaf(p.recip[5], k, p.recip[8] * l)));
}

__device__ __forceinline__ float square(float3 v) { return fmaf(v.x, v.x, fmaf(v.y, v.y, v.z * v.z)); }

#define MOST_RADII 8

// Fills counts[F * Q][T] with the numbers of spots within radii[M][T], of which a cell has those of its input_cell[F * Q];
// one warp a cell, the grid covers all cells.
extern "C" __global__ __launch_bounds__(128) void count_within(const float* xyz, i64 n_spots, const i64* offsets,
                                                               const double* cells, const int* input_cell,
                                                               const double* radii, i64 n_cells, int per_frame,
                                                               int n_radii, int* counts) {
  i64 cell = ((i64)blockIdx.x * blockDim.x + threadIdx.x) >> 5;
  int lane = threadIdx.x & 31;
  if (cell >= n_cells) return;
  i64 frame = cell / per_frame, begin = offsets[frame];
  int n = offsets[frame + 1] - begin;
  double recip[9];
  bool regular = reciprocal(cells + 9 * cell, recip);
  Pair p = pair_of(cells + 9 * cell, recip);
  const double* own_radii = radii + (i64)max(input_cell[cell], 0) * n_radii;
  for (int first = 0; first < n_radii; first += MOST_RADII) {
    float limits[MOST_RADII];
    int found[MOST_RADII];
#pragma unroll
    for (int t = 0; t < MOST_RADII; t++) {
      double radius = first + t < n_radii && regular ? own_radii[first + t] : 0.0;
      limits[t] = (float)(radius * radius);
      found[t] = 0;
    }
    if (regular)
      for (int j = lane; j < n; j += 32) {
        float d = square(residual(p, xyz[begin + j], xyz[n_spots + begin + j], xyz[2 * n_spots + begin + j]));
#pragma unroll
        for (int t = 0; t < MOST_RADII; t++) found[t] += d < limits[t];
      }
#pragma unroll
    for (int t = 0; t < MOST_RADII; t++) {
      int sum = warp_sum(found[t]);
      if (lane == 0 && first + t < n_radii) counts[cell * n_radii + first + t] = sum;
    }
  }
}

// Fills out[Q][N] with the distances of spots from their predicted spots. The grid is (Q, F), one block a cell.
extern "C" __global__ __launch_bounds__(128) void distances(const float* xyz, i64 n_spots, const i64* offsets,
                                                            const double* cells, int fractional, float* out) {
  i64 begin = offsets[blockIdx.y];
  int n = offsets[blockIdx.y + 1] - begin;
  const double* cell = cells + 9 * ((i64)blockIdx.y * gridDim.x + blockIdx.x);
  double recip[9];
  bool regular = reciprocal(cell, recip);
  Pair p = pair_of(cell, recip);
  for (int j = threadIdx.x; j < n; j += blockDim.x) {
    float s0 = xyz[begin + j], s1 = xyz[n_spots + begin + j], s2 = xyz[2 * n_spots + begin + j], d;
    if (fractional) {
      d = 0.0f;
      for (int r = 0; r < 3; r++) {
        float h = from_nearest(fmaf(p.cell[3 * r], s0, fmaf(p.cell[3 * r + 1], s1, p.cell[3 * r + 2] * s2)));
        d = fmaf(h, h, d);
      }
    } else {
      d = square(residual(p, s0, s1, s2));
    }
    out[blockIdx.x * n_spots + begin + j] = regular ? __fsqrt_rn(d) : __int_as_float(0x7f800000);
  }
}

// Rotates the rows of a matrix by the rotation vector x (radian).
__device__ __forceinline__ void rotate_rows(double* rows, const double* x) {
  double angle = sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]);
  if (angle < 1e-12) return;
  double u = x[0] / angle, v = x[1] / angle, w = x[2] / angle, sine, cosine;
  sincos(angle, &sine, &cosine);
#pragma unroll
  for (int r = 0; r < 3; r++) {
    double a = rows[3 * r], b = rows[3 * r + 1], c = rows[3 * r + 2];
    double along = (u * a + v * b + w * c) * (1.0 - cosine);
    rows[3 * r] = a * cosine + (v * c - w * b) * sine + u * along;
    rows[3 * r + 1] = b * cosine + (w * a - u * c) * sine + v * along;
    rows[3 * r + 2] = c * cosine + (u * b - v * a) * sine + w * along;
  }
}

// Fills cells[F * Q] with start[F * Q] rotated onto the spots, one warp a cell. Cut-offs are those of model.fits.rigid_cutoffs.
extern "C" __global__ __launch_bounds__(128) void fit_rigid(const float* xyz, i64 n_spots, const i64* offsets,
                                                            i64 n_cells, int per_frame, int steps, const double* start,
                                                            double* cells) {
  i64 index = ((i64)blockIdx.x * blockDim.x + threadIdx.x) >> 5;
  int lane = threadIdx.x & 31;
  if (index >= n_cells) return;
  i64 frame = index / per_frame, begin = offsets[frame];
  int n = offsets[frame + 1] - begin;
  double cell[9], recip[9];
  for (int i = 0; i < 9; i++) cell[i] = start[9 * index + i];
  if (lane < 9) cells[9 * index + lane] = start[9 * index + lane];
  if (!reciprocal(cell, recip)) return;
  double longest = 0.0;
  for (int r = 0; r < 3; r++)
    longest = fmax(longest, cell[3 * r] * cell[3 * r] + cell[3 * r + 1] * cell[3 * r + 1] + cell[3 * r + 2] * cell[3 * r + 2]);
  double widest = fmax(fmin(RIGID_START / sqrt(longest), RIGID_LARGEST), RIGID_END);
  for (int step = 0; step < steps; step++) {
    double cutoff = step == 0 ? widest : widest * pow(RIGID_END / widest, (double)step / (steps - 1));
    float scale = (float)(1.0 / (cutoff * cutoff));
    Pair p = pair_of(cell, recip);
    float sum[10] = {};
    for (int j = lane; j < n; j += 32) {
      float s0 = xyz[begin + j], s1 = xyz[n_spots + begin + j], s2 = xyz[2 * n_spots + begin + j];
      float3 e = residual(p, s0, s1, s2);
      float w = fmaxf(1.0f - square(e) * scale, 0.0f);
      w *= w;
      float g0 = s0 - e.x, g1 = s1 - e.y, g2 = s2 - e.z, all = fmaf(g0, g0, fmaf(g1, g1, g2 * g2));
      sum[0] += w;
      sum[1] += w * (all - g0 * g0);
      sum[2] -= w * g0 * g1;
      sum[3] -= w * g0 * g2;
      sum[4] += w * (all - g1 * g1);
      sum[5] -= w * g1 * g2;
      sum[6] += w * (all - g2 * g2);
      sum[7] += w * (g1 * e.z - g2 * e.y);
      sum[8] += w * (g2 * e.x - g0 * e.z);
      sum[9] += w * (g0 * e.y - g1 * e.x);
    }
#pragma unroll
    for (int i = 0; i < 10; i++) sum[i] = warp_sum(sum[i]);
    if (sum[0] < 1.5f) break;
    double normal[6], right[3], x[3], ridge = 1e-4 * ((double)sum[1] + sum[4] + sum[6]);
    for (int i = 0; i < 6; i++) normal[i] = sum[1 + i];
    for (int i = 0; i < 3; i++) right[i] = sum[7 + i];
    normal[0] += ridge;
    normal[3] += ridge;
    normal[5] += ridge;
    if (!solve3(normal, right, 0.0, x)) break;
    double angle = sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]);
    if (angle > 0.03)
      for (int i = 0; i < 3; i++) x[i] *= 0.03 / angle;
    rotate_rows(cell, x);
    rotate_rows(recip, x);
  }
  if (lane < 9) {
    double value = 0.0;
#pragma unroll
    for (int i = 0; i < 9; i++)
      if (lane == i) value = cell[i];
    cells[9 * index + lane] = value;
  }
}
