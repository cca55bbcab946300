// Step 4: the published refinement methods in float64, one warp a cell.

#define IFSS 1
#define IFSE 2
#define IFSSR 3

// Computes the deviation `delta` of a spot's indices from integers; returns its distance in the measure of the method.
__device__ __forceinline__ double measure(int method, const double* cell, const double* recip, const double* first,
                                          const double* s, double* delta) {
  double d[3];
#pragma unroll
  for (int r = 0; r < 3; r++) {
    double h = cell[3 * r] * s[0] + cell[3 * r + 1] * s[1] + cell[3 * r + 2] * s[2];
    // The method ifss keeps the indices that the initial cell assigns.
    double m = method == IFSS ? rint(first[3 * r] * s[0] + first[3 * r + 1] * s[1] + first[3 * r + 2] * s[2]) : rint(h);
    d[r] = delta[r] = h - m;
  }
  if (method == IFSSR) {
#pragma unroll
    for (int r = 0; r < 3; r++) d[r] = recip[r] * delta[0] + recip[3 + r] * delta[1] + recip[6 + r] * delta[2];
  }
  return sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
}

// Pseudo-inverse, in the same packing, of the symmetric matrix (xx, xy, xz, yy, yz, zz); see Backend.refine_cells.
__device__ __forceinline__ void pseudo_inverse(const double* normal, double* out) {
  double trace = normal[0] + normal[3] + normal[5], m[6];
  const double identity[6] = {1.0, 0.0, 0.0, 1.0, 0.0, 1.0};
#pragma unroll
  for (int i = 0; i < 6; i++) m[i] = trace > 0.0 ? normal[i] / trace : 0.0;
  const double adjugate[6] = {m[3] * m[5] - m[4] * m[4], m[2] * m[4] - m[1] * m[5], m[1] * m[4] - m[2] * m[3],
                              m[0] * m[5] - m[2] * m[2], m[1] * m[2] - m[0] * m[4], m[0] * m[3] - m[1] * m[1]};
  double determinant = m[0] * adjugate[0] + m[1] * adjugate[1] + m[2] * adjugate[2];
  double minors = adjugate[0] + adjugate[3] + adjugate[5];
#pragma unroll
  for (int i = 0; i < 6; i++) {
    double value = m[i];
    if (determinant > UNDETERMINED)
      value = adjugate[i] / determinant;
    else if (minors > UNDETERMINED)
      value = (identity[i] - adjugate[i] / minors - m[i]) / minors;
    out[i] = trace > 0.0 ? value / trace : 0.0;
  }
}

// Fills cells[F * Q] with the refined start[F * Q], and scores[F * Q] with those of the method in place of the raw ones.
extern "C" __global__ __launch_bounds__(128) void refine_cells(const float* xyz, i64 n_spots, const i64* offsets,
                                                               i64 n_cells, int per_frame, int method,
                                                               double contraction, double max_dist, int min_spots,
                                                               int n_iter, const double* start, const double* raw_scores, double* cells,
                                                               double* scores) {
  i64 index = ((i64)blockIdx.x * blockDim.x + threadIdx.x) >> 5;
  int lane = threadIdx.x & 31;
  if (index >= n_cells) return;
  double score = raw_scores[index];
  if (lane < 9) cells[9 * index + lane] = start[9 * index + lane];
  if (lane == 0) scores[index] = score;
  if (!isfinite(score)) return;
  i64 frame = index / per_frame, begin = offsets[frame];
  int n = offsets[frame + 1] - begin;
  if (n < min_spots) {
    if (lane == 0) scores[index] = 1.0;
    return;
  }
  double cell[9], first[9], recip[9] = {};
  for (int i = 0; i < 9; i++) first[i] = cell[i] = start[9 * index + i];
  double t = score - floor(score);
  if (method == IFSSR) {
    double shortest = 1e300;
    for (int r = 0; r < 3; r++)
      shortest = fmin(shortest, cell[3 * r] * cell[3 * r] + cell[3 * r + 1] * cell[3 * r + 1] + cell[3 * r + 2] * cell[3 * r + 2]);
    t /= sqrt(shortest);
  }
  for (int iteration = 0; iteration < n_iter && t > max_dist; iteration++) {
    reciprocal(cell, recip);
    double normal[6] = {}, right[9] = {}, inverse[6];
    int count = 0;
    for (int j = lane; j < n; j += 32) {
      double s[3], delta[3];
      for (int r = 0; r < 3; r++) s[r] = xyz[r * n_spots + begin + j];
      if (!(measure(method, cell, recip, first, s, delta) < t)) continue;
      count++;
      normal[0] += s[0] * s[0];
      normal[1] += s[0] * s[1];
      normal[2] += s[0] * s[2];
      normal[3] += s[1] * s[1];
      normal[4] += s[1] * s[2];
      normal[5] += s[2] * s[2];
#pragma unroll
      for (int r = 0; r < 3; r++)
#pragma unroll
        for (int k = 0; k < 3; k++) right[3 * r + k] += delta[r] * s[k];
    }
    if (warp_sum(count) < min_spots) break;
    t *= contraction;
#pragma unroll
    for (int i = 0; i < 6; i++) normal[i] = warp_sum(normal[i]);
#pragma unroll
    for (int i = 0; i < 9; i++) right[i] = warp_sum(right[i]);
    pseudo_inverse(normal, inverse);
#pragma unroll
    for (int r = 0; r < 3; r++) {
      const double* b = right + 3 * r;
      cell[3 * r] -= inverse[0] * b[0] + inverse[1] * b[1] + inverse[2] * b[2];
      cell[3 * r + 1] -= inverse[1] * b[0] + inverse[3] * b[1] + inverse[4] * b[2];
      cell[3 * r + 2] -= inverse[2] * b[0] + inverse[4] * b[1] + inverse[5] * b[2];
    }
  }
  // The min_spots-th smallest distance: each round finds the smallest (distance, spot) above the previous one. A
  // distance in float32 and the number of the spot fit in one word.
  reciprocal(cell, recip);
  u64 last = 0;
  for (int rank = 0; rank < min_spots; rank++) {
    u64 best = ~0ull;
    for (int j = lane; j < n; j += 32) {
      double s[3], delta[3];
      for (int r = 0; r < 3; r++) s[r] = xyz[r * n_spots + begin + j];
      u64 item = item_of((float)measure(method, cell, recip, first, s, delta), j);
      if ((rank == 0 || item > last) && item < best) best = item;
    }
    last = warp_min(best);
  }
  if (lane < 9) {
    double value = 0.0;
#pragma unroll
    for (int i = 0; i < 9; i++)
      if (lane == i) value = cell[i];
    cells[9 * index + lane] = value;
  }
  if (lane == 0) scores[index] = unordered((unsigned)(last >> 32));
}
