// Unknown cells, steps 1 and 2: scan for lattice vectors and refinement; see scan_vectors and refine_scanned in
// backends/verbs.py. A key orders values, the highest first, and equal ones by the place at which they were found.

__device__ __forceinline__ u64 key_of(float value, unsigned place) { return ((u64)(~ordered(value)) << 32) | place; }

// The sum of cosines along one direction; `turns` has the phases of n spots at a length of 1 angstrom, `stride` apart.
__device__ __forceinline__ float sum_of_cosines(const float* turns, int n, int stride, float length) {
  float sum = 0.0f;
  for (int j = 0; j < n; j++) sum += __cosf((float)TWO_PI * from_nearest(turns[j * stride] * length));
  return sum;
}

// Finds the local maxima of C in length above the floor and counts them by value: histogram[F][SCAN_BINS]. With `keys`,
// it stores those not below the bin `lowest` of the frame as keys[F][room] instead. The grid is (directions / block, F);
// the shared memory holds the phases of all spots for each thread.
extern "C" __global__ __launch_bounds__(128) void scan_maxima(const float* xyz, i64 n_spots, const i64* offsets,
                                                              const int* low, const float* directions,
                                                              int n_directions, double first, double step,
                                                              int n_lengths, const int* lowest, int room, int stores,
                                                              int* histogram, u64* keys) {
  extern __shared__ float turns[];
  int frame = blockIdx.y, m = blockIdx.x * blockDim.x + threadIdx.x, n = low[frame];
  if (m >= n_directions) return;
  float* mine = turns + threadIdx.x;
  for (int j = 0; j < n; j++) {
    const float* s = xyz + offsets[frame] + j;
    const float* u = directions + 3 * m;
    mine[j * blockDim.x] = u[0] * s[0] + u[1] * s[n_spots] + u[2] * s[2 * n_spots];
  }
  float floor = (float)SCAN_FLOOR * n, scale = SCAN_BINS / (n - floor);
  float before = 0.0f, here = 0.0f;
  for (int k = 0; k < n_lengths; k++) {
    float next = sum_of_cosines(mine, n, blockDim.x, (float)(first + step * k));
    if (k > 1 && here > floor && here >= before && here > next) {
      int bin = min((int)((here - floor) * scale), SCAN_BINS - 1);
      if (!stores) {
        atomicAdd(histogram + (i64)frame * SCAN_BINS + bin, 1);
      } else if (bin >= lowest[frame]) {
        int slot = atomicAdd(histogram + (i64)frame * SCAN_BINS, 1);
        if (slot < room) keys[(i64)frame * room + slot] = key_of(here, (unsigned)m * n_lengths + k - 1);
      }
    }
    before = here;
    here = next;
  }
}

// The spots of a frame, xyz[3][stride] from the first one on.
struct FrameSpots {
  const float* xyz;
  i64 stride;
  int n;
};

__device__ __forceinline__ FrameSpots spots_of_frame(const float* xyz, i64 n_spots, const i64* offsets, int frame) {
  return {xyz + offsets[frame], n_spots, (int)(offsets[frame + 1] - offsets[frame])};
}

__device__ __forceinline__ double phase_of(const FrameSpots& spots, int j, const double* v, double* s) {
  for (int r = 0; r < 3; r++) s[r] = spots.xyz[r * spots.stride + j];
  double turns = dot3(s, v);
  return turns - rint(turns);
}

__device__ __forceinline__ double width_of(const double* v) {
  return sqrt(WIDTH_FLOOR * WIDTH_FLOOR + WIDTH_ACROSS * WIDTH_ACROSS * dot3(v, v) +
              WIDTH_ALONG * WIDTH_ALONG * v[2] * v[2]);
}

__device__ __forceinline__ double normal_of(double phase, double width) {
  double x = phase / width;
  return exp(-0.5 * x * x) * NORMAL_DENSITY / width;
}

__device__ __forceinline__ double density_of(double phase, double width) {
  return normal_of(phase, width) + normal_of(phase - 1, width) + normal_of(phase + 1, width);
}

// The factor on the width with which a vector is most likely, and its log-likelihood. The threads from `lane` on in
// steps of `lanes` share the spots: a warp, or one thread.
template <int lanes>
__device__ double best_scale(const FrameSpots& spots, const double* v, int lane, double* likelihood) {
  const double scales[] = {VECTOR_SCALES};
  double width = width_of(v), best = 1.0, highest = -INFINITE, s[3];
  for (double scale : scales) {
    double total = 0.0;
    for (int j = lane; j < spots.n; j += lanes)
      total += log(1 - VECTOR_TRUE + VECTOR_TRUE * density_of(phase_of(spots, j, v, s), scale * width));
    if (lanes > 1) total = warp_sum(total);
    if (total > highest) {
      best = scale;
      highest = total;
    }
  }
  *likelihood = highest;
  return best;
}

// Adds a spot to the six sums of a normal matrix and the three of its right side.
__device__ __forceinline__ void add_spot(const double* s, double phase, double weight, double* sums) {
  int i = 0;
  for (int r = 0; r < 3; r++)
    for (int q = r; q < 3; q++) sums[i++] += weight * s[r] * s[q];
  for (int r = 0; r < 3; r++) sums[6 + r] -= weight * phase * s[r];
}

__device__ __forceinline__ void move(double* v, double* sums, double ridge) {
  double x[3];
  sums[0] += ridge;
  sums[3] += ridge;
  sums[5] += ridge;
  if (!solve3(sums, sums + 6, 0.0, x)) return;
  double factor = LONGEST_STEP / fmax(sqrt(dot3(x, x)), LONGEST_STEP);
  for (int r = 0; r < 3; r++) v[r] += factor * x[r];
}

__device__ void step_vector(const FrameSpots& spots, double* v, double width) {
  double sums[9] = {}, s[3];
  width = fmin(WIDEST, width);
  for (int j = 0; j < spots.n; j++) {
    double phase = phase_of(spots, j, v, s), true_density = VECTOR_TRUE * normal_of(phase, width);
    add_spot(s, phase, true_density / (true_density + 1 - VECTOR_TRUE), sums);
  }
  move(v, sums, VECTOR_RIDGE * width * width);
}

// Refines hits[F][H][3] to vectors[F][H][3] and scores them; no vector, or one of a wrong length, scores -inf. The grid
// is (H / block, F).
extern "C" __global__ __launch_bounds__(128) void refine_hits(const float* xyz, i64 n_spots, const i64* offsets,
                                                              const int* low, const float* hits, int n_hits,
                                                              double shortest, double longest, double* vectors,
                                                              double* scores) {
  const double widths[] = {VECTOR_WIDTHS}, scaled[] = {SCALED_WIDTHS};
  int frame = blockIdx.y, h = blockIdx.x * blockDim.x + threadIdx.x;
  if (h >= n_hits) return;
  i64 place = (i64)frame * n_hits + h;
  double v[3], likelihood;
  for (int r = 0; r < 3; r++) v[r] = hits[3 * place + r];
  double score = -INFINITE;
  if (v[0] != 0.0 || v[1] != 0.0 || v[2] != 0.0) {
    FrameSpots all = spots_of_frame(xyz, n_spots, offsets, frame), some = all;
    some.n = low[frame];
    for (int round = some.n < all.n ? 0 : 1; round < 2; round++)
      for (double factor : widths) step_vector(round ? all : some, v, factor * width_of(v));
    double scale = best_scale<1>(all, v, 0, &likelihood);
    for (double factor : scaled) step_vector(all, v, factor * scale * width_of(v));
    double length = sqrt(dot3(v, v));
    best_scale<1>(all, v, 0, &likelihood);
    if (length >= shortest && length <= longest) score = likelihood - 3 * log(length);
  }
  for (int r = 0; r < 3; r++) vectors[3 * place + r] = v[r];
  scores[place] = score;
}

// Keeps the first distinct vectors in an order, out[F][n_kept][3]; one block for each frame.
extern "C" __global__ __launch_bounds__(256) void keep_vectors(const double* vectors, const double* scores,
                                                               const i64* order, int n_hits, double apart, int n_kept,
                                                               double* out) {
  i64 begin = (i64)blockIdx.x * n_hits;
  double* mine = out + (i64)blockIdx.x * n_kept * 3;
  int kept = 0;
  for (int o = 0; o < n_hits && kept < n_kept; o++) {
    i64 place = begin + order[begin + o];
    if (!(scores[place] > -INFINITE)) break;
    const double* v = vectors + 3 * place;
    int known = 0;
    for (int k = threadIdx.x; k < kept; k += blockDim.x) {
      const double* u = mine + 3 * k;
      double m = rint(dot3(v, u) / dot3(u, u)), rest[3];
      for (int r = 0; r < 3; r++) rest[r] = v[r] - m * u[r];
      known |= m != 0.0 && sqrt(dot3(rest, rest)) < apart * fabs(m);
    }
    if (__syncthreads_or(known)) continue;
    if (threadIdx.x < 3) mine[3 * kept + threadIdx.x] = v[threadIdx.x];
    kept++;
    __syncthreads();
  }
}
