// Unknown cells, frames with few spots: the lattices that are whole at three spots; see model/unknown/threes.py. T
// threes of spots belong to the frames frames[T]; certainties[T][most] are 0 beyond the spots of a frame.

__device__ __forceinline__ double width_of_whole(const double* v) {
  return sqrt(THREES_ACROSS * THREES_ACROSS * (v[0] * v[0] + v[1] * v[1]) + THREES_ALONG * THREES_ALONG * v[2] * v[2]);
}

// The vector at a place among the multiples up to sizes[3] of a basis, of which opposite ones have one place.
__device__ __forceinline__ void vector_at(const double* base, const int* sizes, int place, double* v) {
  int columns = 2 * sizes[2] + 1, rows = 2 * sizes[1] + 1;
  int code = sizes[0] * rows * columns + sizes[1] * columns + sizes[2] + 1 + place;
  int p = code / (rows * columns) - sizes[0], q = code / columns % rows - sizes[1], r = code % columns - sizes[2];
  for (int i = 0; i < 3; i++) v[i] = p * base[i] + q * base[3 + i] + r * base[6 + i];
}

// The key of a vector by its score at the spots other than the three.
__device__ __forceinline__ u64 key_of_whole(const FrameSpots& spots, const double* certainty, const double* v,
                                            double square, unsigned place) {
  double inverse = 1.0 / width_of_whole(v), product = 1.0, s[3];
  for (int j = 0; j < spots.n; j++) {
    double sharpness = certainty[j] * inverse;
    if (!(sharpness > 0.0)) continue;
    float x = (float)(phase_of(spots, j, v, s) * sharpness);
    product *= 1 - VECTOR_TRUE + VECTOR_TRUE * NORMAL_DENSITY * sharpness * expf(-0.5f * x * x);
  }
  return key_of((float)(log(product) - 1.5 * log(square)), place);
}

// Finds the best vectors that are whole at three spots, vectors[T][THREES_VECTORS][3], the best first; empty slots are
// zero. One block for each three.
extern "C" __global__ __launch_bounds__(256) void whole_vectors(const float* xyz, i64 n_spots, const i64* offsets,
                                                                const int* frames, const double* bases,
                                                                const int* sizes, const double* certainties, int most,
                                                                double shortest, double longest, double* vectors) {
  __shared__ u64 items[WHOLE_ROOM];
  __shared__ int n_items;
  int three = blockIdx.x;
  FrameSpots spots = spots_of_frame(xyz, n_spots, offsets, frames[three]);
  const double *base = bases + 9 * (i64)three, *certainty = certainties + (i64)three * most;
  const int* size = sizes + 3 * (i64)three;
  int n = ((2 * size[0] + 1) * (2 * size[1] + 1) * (2 * size[2] + 1) - 1) / 2;
  u64 worst = NO_ITEM;
  double v[3];
  if (threadIdx.x == 0) n_items = 0;
  for (int start = 0; start < n; start += blockDim.x) {
    int place = start + threadIdx.x;
    u64 key = NO_ITEM;
    if (place < n) {
      vector_at(base, size, place, v);
      double square = dot3(v, v);
      if (square >= shortest * shortest && square <= longest * longest)
        key = key_of_whole(spots, certainty, v, square, place);
    }
    __syncthreads();
    if (key < worst) items[atomicAdd(&n_items, 1)] = key;
    __syncthreads();
    int held = n_items;
    if (held + blockDim.x <= WHOLE_ROOM) continue;
    held = sort_and_cut(items, held, THREES_VECTORS);
    worst = items[held - 1];
    if (threadIdx.x == 0) n_items = held;
  }
  __syncthreads();
  int kept = sort_and_cut(items, n_items, THREES_VECTORS);
  for (int i = threadIdx.x; i < THREES_VECTORS; i += blockDim.x) {
    for (int r = 0; r < 3; r++) v[r] = 0.0;
    if (i < kept) vector_at(base, size, (int)(unsigned)items[i], v);
    for (int r = 0; r < 3; r++) vectors[3 * ((i64)three * THREES_VECTORS + i) + r] = v[r];
  }
}

// Moves a vector by a Gauss-Newton step.
__device__ __forceinline__ void step_freely(double* v, const double* normal, const double* right) {
  double x[3], matrix[6];
  for (int i = 0; i < 6; i++) matrix[i] = normal[i] + (i == 0 || i == 3 || i == 5 ? THREES_RIDGE : 0.0);
  if (!solve3(matrix, right, 0.0, x)) return;
  for (int r = 0; r < 3; r++) v[r] += x[r];
}

// Fits vectors[n][3] of threes, THREES_VECTORS each, to the spots: fitted[n][3], and the densities at the phases of the
// spots: densities[T][most][THREES_VECTORS].
extern "C" __global__ __launch_bounds__(128) void fit_whole_vectors(const float* xyz, i64 n_spots, const i64* offsets,
                                                                    int n, const int* frames, const double* certainties,
                                                                    int most, const double* vectors, double* fitted,
                                                                    double* densities) {
  const double factors[] = {THREES_FIT_WIDTHS};
  int i = blockIdx.x * blockDim.x + threadIdx.x, three = i / THREES_VECTORS;
  if (i >= n) return;
  FrameSpots spots = spots_of_frame(xyz, n_spots, offsets, frames[three]);
  const double* certainty = certainties + (i64)three * most;
  double v[3], s[3];
  for (int r = 0; r < 3; r++) v[r] = fitted[3 * (i64)i + r] = vectors[3 * (i64)i + r];
  if (v[0] == 0.0 && v[1] == 0.0 && v[2] == 0.0) return;
  for (double factor : factors) {
    double width = factor * width_of_whole(v), sums[9] = {};
    for (int j = 0; j < spots.n; j++) {
      double phase = phase_of(spots, j, v, s), belongs = VECTOR_TRUE * normal_of(phase, width);
      add_spot(s, phase, certainty[j] > 0.0 ? belongs / (belongs + 1 - VECTOR_TRUE) : 1.0, sums);
    }
    step_freely(v, sums, sums + 6);
  }
  double width = THREES_FITTED_WIDTH * width_of_whole(v), *mine = densities + (i64)three * most * THREES_VECTORS;
  for (int j = 0; j < spots.n; j++)
    mine[j * THREES_VECTORS + i % THREES_VECTORS] = normal_of(phase_of(spots, j, v, s), width);
  for (int r = 0; r < 3; r++) fitted[3 * (i64)i + r] = v[r];
}

// Scores the triples of the vectors of a three that are not flat. The keys of the best, counts[T], come first in
// items[T][THREES_TRIPLES], with the place (i THREES_VECTORS + j) THREES_VECTORS + k. One block for each three.
extern "C" __global__ __launch_bounds__(256) void best_triples(const i64* offsets, const int* frames,
                                                               const double* fitted, const double* densities, int most,
                                                               u64* items, int* counts) {
  __shared__ int histogram[COUNT_BINS], n_items;
  int three = blockIdx.x, lane = threadIdx.x & 31;
  int n = (int)(offsets[frames[three] + 1] - offsets[frames[three]]);
  const double* vectors = fitted + 3 * (i64)three * THREES_VECTORS;
  const double* density = densities + (i64)three * most * THREES_VECTORS;
  u64* found = items + (i64)three * THREES_TRIPLES;
  if (threadIdx.x == 0) n_items = 0;
  __syncthreads();
  for (int pair = threadIdx.x >> 5; pair < THREES_VECTORS * THREES_VECTORS; pair += blockDim.x >> 5) {
    int i = pair / THREES_VECTORS, j = pair % THREES_VECTORS;
    if (j <= i) continue;
    const double *a = vectors + 3 * i, *b = vectors + 3 * j;
    double normal[3], square = dot3(a, a) * dot3(b, b);
    cross3(a, b, normal);
    for (int k = j + 1 + lane; k < THREES_VECTORS; k += 32) {
      const double* c = vectors + 3 * k;
      double volume = fabs(dot3(normal, c));
      if (!(volume > 0.0) || volume < THREES_FLATTEST * sqrt(square * dot3(c, c))) continue;
      double joint = joint_likelihood(density + i, density + j, density + k, n, THREES_VECTORS);
      found[atomicAdd(&n_items, 1)] = key_of((float)(joint - 3 * log(volume)), pair * THREES_VECTORS + k);
    }
  }
  __syncthreads();
  int kept = sort_and_cut(found, keep_smallest(found, n_items, THREES_TRIED, histogram), THREES_TRIED);
  if (threadIdx.x == 0) counts[three] = kept;
}

// Reads the three vectors at a place, of those of a three, as a cell.
__device__ __forceinline__ void cell_at(const double* vectors, int place, double* cell) {
  int rows[] = {place / (THREES_VECTORS * THREES_VECTORS), place / THREES_VECTORS % THREES_VECTORS,
                place % THREES_VECTORS};
  for (int a = 0; a < 3; a++)
    for (int r = 0; r < 3; r++) cell[3 * a + r] = vectors[3 * rows[a] + r];
}

static_assert(3 * TRIED_ROOM <= THREES_TRIPLES, "keys, sizes and ranks of triples share the scratch memory of a three");

// The places chosen[T][THREES_FITTED], the best first, of the best triples that span different lattices: vectors[T] are
// those before the fit, of which triples span one lattice exactly. Empty slots are -1. One block for each three.
extern "C" __global__ __launch_bounds__(256) void distinct_triples(const double* vectors, const int* counts, u64* items,
                                                                   int* chosen) {
  __shared__ int histogram[COUNT_BINS], n_distinct;
  int three = blockIdx.x, n = counts[three];
  const double* mine = vectors + 3 * (i64)three * THREES_VECTORS;
  u64 *best = items + (i64)three * THREES_TRIPLES, *sizes = best + TRIED_ROOM, *ranks = sizes + TRIED_ROOM;
  for (int o = threadIdx.x; o < n; o += blockDim.x) {
    double cell[9], base[4][3], total = 0.0;
    cell_at(mine, (int)(unsigned)best[o], cell);
    reduce_base(cell, base);
    for (int i = 0; i < 7; i++) {
      double square = voronoi_square(base, i);
      total += square * square;
    }
    sizes[o] = ((u64)rint(log(total) * 1e7) << 32) | (unsigned)o;
  }
  if (threadIdx.x == 0) n_distinct = 0;
  __syncthreads();
  sort_and_cut(sizes, n, n);
  for (int o = threadIdx.x; o < n; o += blockDim.x)
    if (o == 0 || sizes[o] >> 32 != sizes[o - 1] >> 32) ranks[atomicAdd(&n_distinct, 1)] = (unsigned)sizes[o];
  __syncthreads();
  int kept = sort_and_cut(ranks, keep_smallest(ranks, n_distinct, THREES_FITTED, histogram), THREES_FITTED);
  for (int o = threadIdx.x; o < THREES_FITTED; o += blockDim.x)
    chosen[(i64)three * THREES_FITTED + o] = o < kept ? (int)(unsigned)best[ranks[o]] : -1;
}

// A lattice with its reciprocal cell and the highest density of its spots, for errors of the spots times a factor.
struct Lattice {
  double cell[9], recip[9], volume, peak;
};

// Computes what belongs to the cell; returns false if it is flat.
__device__ __forceinline__ bool complete(Lattice& lattice, double factor) {
  double normal[3];
  cross3(lattice.cell, lattice.cell + 3, normal);
  lattice.volume = fabs(dot3(normal, lattice.cell + 6));
  if (!(lattice.volume > THREES_SMALLEST) || !reciprocal(lattice.cell, lattice.recip)) return false;
  double errors = THREES_ACROSS * THREES_ACROSS * THREES_ALONG * factor * factor * factor;
  lattice.peak = NORMAL_DENSITY * NORMAL_DENSITY * NORMAL_DENSITY / (errors * lattice.volume);
  return true;
}

// The density of spot j, s[3], with its phases for the three vectors.
__device__ __forceinline__ double density_at(const Lattice& lattice, double factor, const FrameSpots& spots, int j,
                                             double* s, double* phases) {
  double apart[3];
  for (int a = 0; a < 3; a++) phases[a] = phase_of(spots, j, lattice.cell + 3 * a, s);
  for (int r = 0; r < 3; r++)
    apart[r] = lattice.recip[r] * phases[0] + lattice.recip[3 + r] * phases[1] + lattice.recip[6 + r] * phases[2];
  double across = (apart[0] * apart[0] + apart[1] * apart[1]) / (THREES_ACROSS * THREES_ACROSS);
  double squares = across + apart[2] * apart[2] / (THREES_ALONG * THREES_ALONG);
  return lattice.peak * exp(-0.5 * squares / (factor * factor));
}

// Moves the three vectors by one step to the spots that they explain together; returns false if the cell is flat.
__device__ __forceinline__ bool step_jointly(Lattice& lattice, double factor, const FrameSpots& spots) {
  double normal[6] = {}, right[9] = {}, s[3], phases[3];
  if (!complete(lattice, factor)) return false;
  for (int j = 0; j < spots.n; j++) {
    double belongs = VECTOR_TRUE * density_at(lattice, factor, spots, j, s, phases);
    double weight = belongs / (belongs + 1 - VECTOR_TRUE);
    int i = 0;
    for (int r = 0; r < 3; r++)
      for (int q = r; q < 3; q++) normal[i++] += weight * s[r] * s[q];
    for (int a = 0; a < 3; a++)
      for (int r = 0; r < 3; r++) right[3 * a + r] -= weight * phases[a] * s[r];
  }
  for (int a = 0; a < 3; a++) step_freely(lattice.cell + 3 * a, normal, right + 3 * a);
  return true;
}

// Fits the lattices of the triples at the places chosen[n] of fitted[T], THREES_FITTED each, to the spots that they
// explain: cells[n][3][3], Selling-reduced, their Voronoi lengths[n][7] and scores[n]. Those of empty places stay.
extern "C" __global__ __launch_bounds__(128) void fit_lattices(const float* xyz, i64 n_spots, const i64* offsets, int n,
                                                               const int* frames, const double* fitted,
                                                               const int* chosen, double* cells, double* lengths,
                                                               double* scores) {
  const double factors[] = {THREES_JOINT_WIDTHS};
  int c = blockIdx.x * blockDim.x + threadIdx.x, three = c / THREES_FITTED;
  if (c >= n || chosen[c] < 0) return;
  FrameSpots spots = spots_of_frame(xyz, n_spots, offsets, frames[three]);
  Lattice lattice;
  double base[4][3], mine[7], s[3], phases[3], score = -1e300;
  cell_at(fitted + 3 * (i64)three * THREES_VECTORS, chosen[c], lattice.cell);
  reduce_base(lattice.cell, base);
  for (int i = 0; i < 9; i++) lattice.cell[i] = base[i / 3][i % 3];
  bool solid = true;
  for (double factor : factors) solid = solid && step_jointly(lattice, factor, spots);
  if (solid && complete(lattice, 1.0)) {
    score = -3 * log(lattice.volume);
    for (int j = 0; j < spots.n; j++)
      score += log(1 - VECTOR_TRUE + VECTOR_TRUE * density_at(lattice, 1.0, spots, j, s, phases));
  }
  reduce_selling(lattice.cell, base, mine);
  for (int i = 0; i < 9; i++) cells[9 * (i64)c + i] = base[i / 3][i % 3];
  for (int i = 0; i < 7; i++) lengths[7 * (i64)c + i] = mine[i];
  scores[c] = score;
}
