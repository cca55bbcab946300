// Step 2: one warp fits each candidate vector to the spots close to its lattice planes; then equal vectors are merged.

__device__ void fit_vector(const float* xyz, i64 n_spots, i64 begin, int n, const double* start, int min_spots,
                           double* v) {
  const double thresholds[4] = {VECTOR_THRESHOLDS};
  int lane = threadIdx.x & 31;
  for (int k = 0; k < 3; k++) v[k] = start[k];
  for (int step = 0; step < 4; step++) {
    double normal[6] = {}, right[3] = {}, x[3];
    int count = 0;
    for (int j = lane; j < n; j += 32) {
      double s[3];
      for (int r = 0; r < 3; r++) s[r] = xyz[r * n_spots + begin + j];
      double m = rint(start[0] * s[0] + start[1] * s[1] + start[2] * s[2]);
      if (!(fabs(v[0] * s[0] + v[1] * s[1] + v[2] * s[2] - m) < thresholds[step])) continue;
      count++;
      normal[0] += s[0] * s[0];
      normal[1] += s[0] * s[1];
      normal[2] += s[0] * s[2];
      normal[3] += s[1] * s[1];
      normal[4] += s[1] * s[2];
      normal[5] += s[2] * s[2];
      for (int r = 0; r < 3; r++) right[r] += s[r] * m;
    }
    if (warp_sum(count) < min_spots) return;
    for (int i = 0; i < 6; i++) normal[i] = warp_sum(normal[i]);
    for (int i = 0; i < 3; i++) right[i] = warp_sum(right[i]);
    if (!solve3(normal, right, 1e-9, x)) return;
    for (int k = 0; k < 3; k++) v[k] = x[k];
  }
}

// Fills vectors[F][G][C][3] with the refined start[F][G][C][3]. The grid is (G, F).
extern "C" __global__ __launch_bounds__(256) void refine_vectors(const float* xyz, i64 n_spots, const i64* offsets,
                                                                 int max_spots, const double* lengths, int min_spots,
                                                                 double tolerance, int n_candidates, const double* start_vectors,
                                                                 double* vectors) {
  int group = blockIdx.x, frame = blockIdx.y, warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  i64 begin = offsets[frame];
  int n = min((int)(offsets[frame + 1] - begin), max_spots);
  double* mine = vectors + ((i64)frame * gridDim.x + group) * n_candidates * 3;
  const double* given = start_vectors + (mine - vectors);
  for (int i = threadIdx.x; i < 3 * n_candidates; i += blockDim.x) mine[i] = given[i];
  __syncthreads();
  double length = lengths[group];
  for (int c = warp; c < n_candidates; c += blockDim.x >> 5) {
    double start[3] = {mine[3 * c], mine[3 * c + 1], mine[3 * c + 2]}, v[3];
    if (start[0] == 0.0 && start[1] == 0.0 && start[2] == 0.0) continue;
    fit_vector(xyz, n_spots, begin, n, start, min_spots, v);
    double norm = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    bool fits = !(tolerance > 0.0 && fabs(norm - length) > tolerance * length);
    if (lane < 3 && fits) mine[3 * c + lane] = lane == 0 ? v[0] : lane == 1 ? v[1] : v[2];
  }
  __syncthreads();
  if (warp || !(tolerance > 0.0)) return;
  double radius = 0.1 * tolerance * length;
  int kept = 0;
  for (int c = 0; c < n_candidates; c++) {
    double x = mine[3 * c], y = mine[3 * c + 1], z = mine[3 * c + 2];
    if (x == 0.0 && y == 0.0 && z == 0.0) break;
    bool known = false;
    for (int k = lane; k < kept; k += 32) {
      double u = mine[3 * k], v = mine[3 * k + 1], w = mine[3 * k + 2];
      double minus = (x - u) * (x - u) + (y - v) * (y - v) + (z - w) * (z - w);
      double plus = (x + u) * (x + u) + (y + v) * (y + v) + (z + w) * (z + w);
      known |= fmin(minus, plus) < radius * radius;
    }
    if (__any_sync(0xffffffffu, known)) continue;
    if (lane < 3) mine[3 * kept + lane] = lane == 0 ? x : lane == 1 ? y : z;
    kept++;
    __syncwarp();
  }
  for (int i = 3 * kept + lane; i < 3 * n_candidates; i += 32) mine[i] = 0.0;
}
