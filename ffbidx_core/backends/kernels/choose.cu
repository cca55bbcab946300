// The end of step 3: selection of the best oriented cells, exactly and in a reproducible order.

#define SMALLEST_FACTOR 1e-150

// The score of one cell over the n spots from `begin` on, in float64, computed by one warp. A product of factors takes
// a fraction of the time of their logarithms; the logarithm of the product is taken long before it leaves the range.
__device__ double warp_score(const double* cell, const float* xyz, i64 n_spots, i64 begin, int n, double triml,
                             double trimh, double delta, double limit) {
  double logarithm = 0.0, product = 1.0;
  int count = 0;
  for (int j = threadIdx.x & 31; j < n; j += 32) {
    double squared = 0.0, s0 = xyz[begin + j], s1 = xyz[n_spots + begin + j], s2 = xyz[2 * n_spots + begin + j];
#pragma unroll
    for (int r = 0; r < 3; r++) {
      double h = cell[3 * r] * s0 + cell[3 * r + 1] * s1 + cell[3 * r + 2] * s2;
      h -= rint(h);
      squared += h * h;
    }
    double d = sqrt(squared);
    count += d < limit;
    product *= fmax(fmin(fmax(d, triml), trimh) + delta, SMALLEST_FACTOR);
    if (product < SMALLEST_FACTOR || product > 1 / SMALLEST_FACTOR) {
      logarithm += log(product);
      product = 1.0;
    }
  }
  logarithm += log(product);
  return exp(warp_sum(logarithm) / n) - delta - warp_sum(count) - 1.0;
}

// The cells among which a frame's items choose: item `at` belongs to the seed and candidate at / width, and its angle
// is angles[at], or at % width if there are no `angles`.
struct Choice {
  const Seed* seeds;
  const double* vectors;
  const int* angles;
  int width, n_groups, n_candidates;
};

__device__ int cell_of(const Choice& choice, int at, double* cell) {
  int candidate = at / choice.width, angle = choice.angles ? choice.angles[at] : at % choice.width;
  const Seed* seed = choice.seeds + candidate / choice.n_candidates;
  double frame[9], sine, cosine;
  candidate_frame(choice.vectors + ((i64)seed->group * choice.n_candidates + candidate % choice.n_candidates) * 3, frame);
  sincos(seed->turn * angle / seed->n_angles, &sine, &cosine);
  for (int r = 0; r < 3; r++) {
    double x = seed->base[3 * r] * cosine - seed->base[3 * r + 1] * sine;
    double y = seed->base[3 * r] * sine + seed->base[3 * r + 1] * cosine, z = seed->base[3 * r + 2];
    for (int q = 0; q < 3; q++) cell[3 * r + q] = x * frame[q] + y * frame[3 + q] + z * frame[6 + q];
  }
  return seed->input_cell;
}

// The spots of a frame and the constants of the score.
struct Scoring {
  const float* xyz;
  i64 n_spots, begin;
  int n;
  double triml, trimh, delta, limit;
};

__device__ __forceinline__ double score_of(const Scoring& s, const double* cell) {
  return warp_score(cell, s.xyz, s.n_spots, s.begin, s.n, s.triml, s.trimh, s.delta, s.limit);
}

// Writes the cells of items[found] with their exact scores and in the order of these scores, one warp a cell.
__device__ void write_cells(const Scoring& scoring, const Choice& choice, const u64* items, int found, int n_cells,
                            double* exact, double* cells, double* scores, int* input_cell) {
  int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, n_warps = blockDim.x >> 5;
  double cell[9];
  for (int k = warp; k < found; k += n_warps) {
    cell_of(choice, (int)items[k], cell);
    double score = score_of(scoring, cell);
    if (lane == 0) exact[k] = score;
  }
  __syncthreads();
  for (int k = warp; k < n_cells; k += n_warps) {
    int rank = k, source = -1;
    double score = __longlong_as_double(0x7ff0000000000000ll);
    if (k < found) {
      source = cell_of(choice, (int)items[k], cell);
      score = exact[k];
      int before = 0;
      for (int j = lane; j < found; j += 32) before += exact[j] < score || (exact[j] == score && j < k);
      rank = warp_sum(before);
    }
    if (lane < 9) {
      double value = 0.0;
#pragma unroll
      for (int i = 0; i < 9; i++)
        if (k < found && lane == i) value = cell[i];
      cells[9 * rank + lane] = value;
    }
    if (lane == 0) {
      scores[rank] = score;
      input_cell[rank] = source;
    }
  }
}

// Selects the best Q minima of a frame's circles, one block a frame. There is room for `room` = 2^k >= n_items items,
// and for Q scores after them, in shared memory or in `scratch`.
extern "C" __global__ __launch_bounds__(256) void choose_minima(
    const float* keys, const int* angles, int n_items, int width, const Seed* seeds, const double* vectors,
    int n_groups, int n_candidates, const float* xyz, i64 n_spots, const i64* offsets, int first_frame, int max_spots,
    double triml, double trimh, double delta, double limit, int n_cells, int room, u64* scratch, double* cells,
    double* scores, int* input_cell) {
  extern __shared__ u64 shared_items[];
  __shared__ int n_real;
  i64 f = first_frame + blockIdx.x, begin = offsets[f];
  u64* items = scratch ? scratch + (i64)blockIdx.x * (room + n_cells) : shared_items;
  int n = min((int)(offsets[f + 1] - begin), max_spots);
  if (threadIdx.x == 0) n_real = 0;
  __syncthreads();
  for (int i = threadIdx.x; n > 0 && i < n_items; i += blockDim.x) {
    float key = keys[(i64)blockIdx.x * n_items + i];
    if (key < NO_KEY) items[atomicAdd(&n_real, 1)] = item_of(key, i);
  }
  __syncthreads();
  int found = sort_and_cut(items, n_real, n_cells);
  Scoring scoring = {xyz, n_spots, begin, n, triml, trimh, delta, limit};
  Choice choice = {seeds, vectors + f * n_groups * n_candidates * 3, angles + (i64)blockIdx.x * n_items, width, n_groups,
                   n_candidates};
  write_cells(scoring, choice, items, found, n_cells, (double*)(items + room), cells + f * n_cells * 9,
              scores + f * n_cells, input_cell + f * n_cells);
}

// Replaces items[first:last] by (key, index), where the key is the exact score; one warp an item.
__device__ void score_items(const Scoring& scoring, const Choice& choice, u64* items, int first, int last) {
  __syncthreads();
  double cell[9];
  for (int k = first + (threadIdx.x >> 5); k < last; k += blockDim.x >> 5) {
    int at = (int)items[k];
    cell_of(choice, at, cell);
    double score = score_of(scoring, cell);
    __syncwarp();
    if ((threadIdx.x & 31) == 0) items[k] = item_of((float)score, at);
  }
  __syncthreads();
}

// Number of threads that look for high counts if not all may fit; together they append at most 2048 at once.
#define COUNTERS 256

// Selects the best Q of all angles of a frame from their counts, one block a frame, of which all threads compute scores.
// There is room for `room` = 2^k >= Q + 2048 items, and for Q scores after them, in shared memory or in `scratch`.
extern "C" __global__ __launch_bounds__(512) void choose_counted(
    const unsigned short* counts, int n_items, int width, const Seed* seeds, const double* vectors, int n_groups,
    int n_candidates, const float* xyz, i64 n_spots, const i64* offsets, int first_frame, int max_spots, double triml,
    double trimh, double delta, double limit, int n_cells, int room, u64* scratch, double* cells, double* scores,
    int* input_cell) {
  extern __shared__ u64 shared_items[];
  __shared__ int histogram[COUNT_BINS], n_held;
  i64 f = first_frame + blockIdx.x, begin = offsets[f];
  u64* items = scratch ? scratch + (i64)blockIdx.x * (room + n_cells) : shared_items;
  int n = min((int)(offsets[f + 1] - begin), max_spots), shift = shift_for(n), keyed = 0;
  const unsigned short* mine = counts + (i64)blockIdx.x * n_items;
  Scoring scoring = {xyz, n_spots, begin, n, triml, trimh, delta, limit};
  Choice choice = {seeds, vectors + f * n_groups * n_candidates * 3, nullptr, width, n_groups, n_candidates};
  Cut cut = cut_of_counts(mine, n_items, shift, n_cells, histogram);
  bool all_fit = cut.total <= room;
  if (threadIdx.x == 0) n_held = 0;
  __syncthreads();
  if (all_fit) append_all(mine, n_items, shift, cut.bin, items, &n_held);
  for (int first = 0; !all_fit && first < n_items / 8; first += COUNTERS) {
    unsigned chosen = threadIdx.x < COUNTERS ? chosen_of(mine, n_items, first + threadIdx.x, shift, cut.bin) : 0;
    int held = reserve(chosen, &n_held, room);
    if (held >= 0) {
      score_items(scoring, choice, items, keyed, held);
      keyed = sort_and_cut(items, held, n_cells);
      if (threadIdx.x == 0) n_held = keyed;
      __syncthreads();
    }
    append(chosen, first + threadIdx.x, items, &n_held);
  }
  __syncthreads();
  int held = n_held;
  score_items(scoring, choice, items, keyed, held);
  int found = sort_and_cut(items, held, n_cells);
  write_cells(scoring, choice, items, found, n_cells, (double*)(items + room), cells + f * n_cells * 9,
              scores + f * n_cells, input_cell + f * n_cells);
}
