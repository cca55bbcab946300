// Unknown cells, step 3: pairs and triples of lattice vectors, and the joint fit; see join_vectors in backends/verbs.py.

// Densities at the phases of the spots for vectors[F][M][3] at their scales: densities[F][M][most]. The grid is
// (M / block, F).
extern "C" __global__ __launch_bounds__(128) void vector_densities(const float* xyz, i64 n_spots, const i64* offsets,
                                                                   const double* vectors, int n_vectors, int most,
                                                                   double* densities) {
  int frame = blockIdx.y, i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n_vectors) return;
  i64 place = (i64)frame * n_vectors + i;
  const double* v = vectors + 3 * place;
  if (v[0] == 0.0 && v[1] == 0.0 && v[2] == 0.0) return;
  FrameSpots spots = spots_of_frame(xyz, n_spots, offsets, frame);
  double likelihood, s[3], width = best_scale<1>(spots, v, 0, &likelihood) * width_of(v);
  for (int j = 0; j < spots.n; j++) densities[place * most + j] = density_of(phase_of(spots, j, v, s), width);
}

__device__ __forceinline__ void cross3(const double* a, const double* b, double* out) {
  for (int r = 0; r < 3; r++) {
    int s = (r + 1) % 3, t = (r + 2) % 3;
    out[r] = a[s] * b[t] - a[t] * b[s];
  }
}

// Log-likelihood that the densities a, b and, unless it is null, c of n spots, `stride` apart, give together.
__device__ double joint_likelihood(const double* a, const double* b, const double* c, int n, int stride) {
  double total = 0.0, factor = 1.0;
  for (int j = 0; j < n; j++) {
    factor *= 1 - VECTOR_TRUE + VECTOR_TRUE * a[j * stride] * b[j * stride] * (c ? c[j * stride] : 1.0);
    if (j % 8 == 7) {
      total += log(factor);
      factor = 1.0;
    }
  }
  return total + log(factor);
}

// Scores the pairs of the first vectors that are not flat: keys[F][n_paired][n_paired]. The grid is (n_paired, F).
extern "C" __global__ __launch_bounds__(128) void score_pairs(const i64* offsets, const double* vectors, int n_vectors,
                                                              const int* counts, int n_paired, int most,
                                                              const double* densities, u64* keys) {
  int frame = blockIdx.y, i = blockIdx.x, n = (int)(offsets[frame + 1] - offsets[frame]);
  i64 first = (i64)frame * n_vectors;
  const double* a = vectors + 3 * (first + i);
  for (int j = i + 1 + threadIdx.x; j < min(n_paired, counts[frame]); j += blockDim.x) {
    const double* b = vectors + 3 * (first + j);
    double normal[3], square = dot3(a, a) * dot3(b, b);
    cross3(a, b, normal);
    if (dot3(normal, normal) < FLATTEST * FLATTEST * square) continue;
    double joint = joint_likelihood(densities + (first + i) * most, densities + (first + j) * most, nullptr, n, 1);
    float score = (float)(joint - 1.5 * log(square));
    keys[((i64)frame * n_paired + i) * n_paired + j] = key_of(score, (unsigned)i * n_paired + j);
  }
}

// Scores the triples of pairs[F][P] (i n_paired + j, or -1) with each third vector, once with the best of their pairs by
// rank[F][n_paired][n_paired]: keys[F][P][M]. The grid is (P, F).
extern "C" __global__ __launch_bounds__(128) void score_thirds(const i64* offsets, const double* vectors, int n_vectors,
                                                               const int* counts, const int* pairs, int n_paired,
                                                               const int* rank, int most, const double* densities,
                                                               u64* keys) {
  int frame = blockIdx.y, p = blockIdx.x, n = (int)(offsets[frame + 1] - offsets[frame]);
  int code = pairs[(i64)frame * gridDim.x + p];
  if (code < 0) return;
  int i = code / n_paired, j = code % n_paired;
  i64 first = (i64)frame * n_vectors;
  const double *a = vectors + 3 * (first + i), *b = vectors + 3 * (first + j);
  const int* ranks = rank + (i64)frame * n_paired * n_paired;
  double normal[3], square = dot3(a, a) * dot3(b, b);
  cross3(a, b, normal);
  for (int k = threadIdx.x; k < counts[frame]; k += blockDim.x) {
    if (k == i || k == j) continue;
    if (k < n_paired && (ranks[i * n_paired + k] < p || ranks[j * n_paired + k] < p)) continue;
    const double* c = vectors + 3 * (first + k);
    double product = sqrt(square * dot3(c, c));
    if (fabs(dot3(normal, c)) < FLATTEST * product) continue;
    double joint = joint_likelihood(densities + (first + i) * most, densities + (first + j) * most,
                                    densities + (first + k) * most, n, 1);
    float score = (float)(joint - 3 * log(product));
    keys[((i64)frame * gridDim.x + p) * n_vectors + k] = key_of(score, (unsigned)p * n_vectors + k);
  }
}

// Selling-reduces a cell[3][3] to the base[4][3].
__device__ void reduce_base(const double* cell, double base[4][3]) {
  for (int r = 0; r < 3; r++) {
    for (int i = 0; i < 3; i++) base[i][r] = cell[3 * i + r];
    base[3][r] = -(base[0][r] + base[1][r] + base[2][r]);
  }
  bool changes = true;
  for (int pass = 0; changes && pass < SELLING_STEPS; pass++) {
    changes = false;
    for (int i = 0; i < 3; i++) {
      for (int j = i + 1; j < 4; j++) {
        if (!(dot3(base[i], base[j]) > SELLING_OBTUSE * dot3(base[i], base[i]))) continue;
        changes = true;
        for (int k = 0; k < 4; k++)
          for (int r = 0; r < 3 && k != i && k != j; r++) base[k][r] += base[i][r];
        for (int r = 0; r < 3; r++) base[i][r] = -base[i][r];
      }
    }
  }
}

// The square of Voronoi length i of seven, in no order.
__device__ __forceinline__ double voronoi_square(const double base[4][3], int i) {
  double v[3];
  for (int r = 0; r < 3; r++) v[r] = i < 4 ? base[i][r] : base[0][r] + base[i - 3][r];
  return dot3(v, v);
}

// Selling-reduces a cell[3][3] to the base[4][3], and sorts its seven Voronoi lengths.
__device__ void reduce_selling(const double* cell, double base[4][3], double* lengths) {
  reduce_base(cell, base);
  for (int i = 0; i < 7; i++) {
    double length = sqrt(voronoi_square(base, i));
    int k = i;
    for (; k > 0 && lengths[k - 1] > length; k--) lengths[k] = lengths[k - 1];
    lengths[k] = length;
  }
}

__device__ __forceinline__ bool alike(const double* lengths, const double* other, double tolerance) {
  for (int i = 0; i < 7; i++)
    if (!(fabs(lengths[i] - other[i]) < tolerance * lengths[i])) return false;
  return true;
}

// The Voronoi lengths [n][7] of cells[n][3][3], which are 0 for a zero cell.
extern "C" __global__ __launch_bounds__(128) void cell_lengths(const double* cells, int n_cells, double* lengths) {
  int c = blockIdx.x * blockDim.x + threadIdx.x;
  double base[4][3], mine[7];
  if (c >= n_cells) return;
  reduce_selling(cells + 9 * (i64)c, base, mine);
  for (int i = 0; i < 7; i++) lengths[7 * (i64)c + i] = mine[i];
}

// Marks the cells that are unlike all marked before, is_new[F][n]; one block for each frame. Lengths of 0 end a frame.
extern "C" __global__ __launch_bounds__(256) void mark_new(const double* lengths, int n, double tolerance,
                                                           int* is_new) {
  __shared__ int kept[LATTICES_TRIED];
  const double* mine = lengths + (i64)blockIdx.x * n * 7;
  int count = 0;
  for (int o = 0; o < n && mine[7 * o] > 0.0; o++) {
    int known = 0;
    for (int e = threadIdx.x; e < count && !known; e += blockDim.x)
      known = alike(mine + 7 * o, mine + 7 * kept[e], tolerance);
    if (__syncthreads_or(known)) continue;
    if (threadIdx.x == 0) {
      kept[count] = o;
      is_new[(i64)blockIdx.x * n + o] = 1;
    }
    count++;
    __syncthreads();
  }
}

// Fits the marked cells[F][n][3][3] in place to the spots that all three vectors explain, by one warp each, and replaces
// them by Selling-reduced ones with their lengths and scores.
extern "C" __global__ __launch_bounds__(128) void fit_triples(const float* xyz, i64 n_spots, const i64* offsets,
                                                              int n_cells, int per_frame, const int* is_new,
                                                              double* cells, double* lengths, double* scores) {
  const double factors[] = {JOINT_WIDTHS, 1.0};
  int c = (blockIdx.x * blockDim.x + threadIdx.x) >> 5, lane = threadIdx.x & 31;
  if (c >= n_cells || !is_new[c]) return;
  FrameSpots spots = spots_of_frame(xyz, n_spots, offsets, c / per_frame);
  double cell[9], likelihood, total = 0.0;
  for (int i = 0; i < 9; i++) cell[i] = cells[9 * (i64)c + i];
  for (int round = 0; round <= N_JOINT_WIDTHS; round++) {
    double widths[3], sums[27] = {};
    for (int a = 0; a < 3; a++) {
      double scale = best_scale<32>(spots, cell + 3 * a, lane, &likelihood);
      widths[a] = factors[round] * scale * width_of(cell + 3 * a);
    }
    total = 0.0;
    for (int j = lane; j < spots.n; j += 32) {
      double phases[3], s[3], joint = VECTOR_TRUE;
      for (int a = 0; a < 3; a++) {
        phases[a] = phase_of(spots, j, cell + 3 * a, s);
        joint *= density_of(phases[a], widths[a]);
      }
      total += log(1 - VECTOR_TRUE + joint);
      for (int a = 0; a < 3; a++) add_spot(s, phases[a], joint / (joint + 1 - VECTOR_TRUE), sums + 9 * a);
    }
    total = warp_sum(total);
    if (round == N_JOINT_WIDTHS) break;
    for (int i = 0; i < 27; i++) sums[i] = warp_sum(sums[i]);
    for (int a = 0; a < 3; a++) move(cell + 3 * a, sums + 9 * a, JOINT_RIDGE);
  }
  for (int a = 0; a < 3; a++) total -= 1.5 * log(dot3(cell + 3 * a, cell + 3 * a));
  double base[4][3], mine[7];
  reduce_selling(cell, base, mine);
  if (lane) return;
  for (int i = 0; i < 9; i++) cells[9 * (i64)c + i] = base[i / 3][i % 3];
  for (int i = 0; i < 7; i++) lengths[7 * (i64)c + i] = mine[i];
  scores[c] = total;
}

// Keeps the marked cells that are unlike the kept ones or better than a like one, in their order, until there are
// n_kept: chosen[F][n_kept] are their numbers; one warp for each frame.
extern "C" __global__ __launch_bounds__(32) void keep_lattices(const double* lengths, const double* scores,
                                                               const int* is_new, int n, double tolerance, int n_kept,
                                                               int* chosen) {
  i64 first = (i64)blockIdx.x * n;
  int *mine = chosen + (i64)blockIdx.x * n_kept, lane = threadIdx.x, kept = 0;
  for (int o = 0; o < n && kept < n_kept; o++) {
    if (!is_new[first + o]) continue;
    int known = n_kept;
    for (int e = lane; e < kept && known == n_kept; e += 32)
      if (alike(lengths + 7 * (first + o), lengths + 7 * (first + mine[e]), tolerance)) known = e;
    for (int half = 16; half; half >>= 1) known = min(known, __shfl_xor_sync(0xffffffffu, known, half));
    if (known < n_kept && !(scores[first + o] > scores[first + mine[known]])) continue;
    if (lane == 0) mine[known < n_kept ? known : kept] = o;
    kept += known == n_kept;
    __syncwarp();
  }
}
