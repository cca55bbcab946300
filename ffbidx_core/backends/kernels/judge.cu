// Judgement of cells; see backends/judging.py. Properties of the M input cells are radii[M][T], volumes[M], orders[M].

// Chooses the one of cells[F][Q] with the lowest expected number of false crystals on its frame, from counts[F][Q][T] of
// spots within the radii of input_cell[F][Q]; one warp a frame.
extern "C" __global__ __launch_bounds__(128) void judge_cells(
    const float* xyz, i64 n_spots, const i64* offsets, int n_frames, int n_cells, int n_radii, const int* counts,
    const double* cells, const int* input_cell, const double* radii, const double* volumes, const double* orders,
    int n_input, int max_spots, int n_kept, int fewest, i64* slot, double* chosen, int* source, double* level,
    double* radius, double* lowest) {
  int frame = (blockIdx.x * blockDim.x + threadIdx.x) >> 5, lane = threadIdx.x & 31;
  if (frame >= n_frames) return;
  const Own own = own_spots(xyz, n_spots, offsets, frame);
  const Rules rules = {n_input, max_spots, n_kept, fewest};
  double n = fmax((double)own.n, 1.0), least = INFINITE, best_false = INFINITE, best_level = 0.0, best_radius = 0.0;
  int best = -1;
  for (int q = lane; q < n_cells; q += 32) {
    i64 cell = (i64)frame * n_cells + q;
    int own_source = max(input_cell[cell], 0), k = 0;
    const int* found = counts + cell * n_radii;
    const double* tried = radii + (i64)own_source * n_radii;
    double low = INFINITE, low_radius = 0.0, enough = INFINITE, within = 0.0;
    for (int t = 0; t < n_radii; t++) {
      double value = log10_bound(found[t], n, probability(tried[t], volumes[own_source]));
      if (value < low) {
        low = value;
        low_radius = tried[t];
      }
      if (found[t] < fewest) value = 0.0;
      if (value < enough) {
        enough = value;
        k = found[t];
        within = tried[t];
      }
    }
    double false_hits = expected_false(k, within, volumes[own_source], orders[own_source], own, rules);
    least = fmin(least, low);
    // The first cell stands for none, so that a frame without any has the level of its first slot.
    if (q == 0 || false_hits < best_false) {
      if (false_hits < best_false) best = q;
      best_false = false_hits;
      best_level = low;
      best_radius = low_radius;
    }
  }
  // Lanes without a candidate come last, but for lane 0, which holds the first slot.
  int rank = best >= 0 ? best : (lane == 0 ? n_cells : n_cells + 1);
  for (int step = 16; step; step >>= 1) {
    double other_false = __shfl_xor_sync(0xffffffffu, best_false, step);
    double other_level = __shfl_xor_sync(0xffffffffu, best_level, step);
    double other_radius = __shfl_xor_sync(0xffffffffu, best_radius, step);
    int other_best = __shfl_xor_sync(0xffffffffu, best, step), other_rank = __shfl_xor_sync(0xffffffffu, rank, step);
    least = fmin(least, __shfl_xor_sync(0xffffffffu, least, step));
    if (other_false < best_false || (other_false == best_false && other_rank < rank)) {
      best_false = other_false;
      best_level = other_level;
      best_radius = other_radius;
      best = other_best;
      rank = other_rank;
    }
  }
  i64 cell = (i64)frame * n_cells + max(best, 0);
  if (lane < 9) chosen[9 * (i64)frame + lane] = best < 0 ? 0.0 : cells[9 * cell + lane];
  if (lane == 0) {
    slot[frame] = best;
    source[frame] = best < 0 ? -1 : input_cell[cell];
    level[frame] = best_level;
    radius[frame] = best_radius;
    lowest[frame] = least;
  }
}

// Fills lowest[F] with the lowest expected number of false crystals of cells[F], of which each spot's distance is tried
// as a radius; one block a frame. `distances` is memory for one number a spot.
extern "C" __global__ __launch_bounds__(128) void lowest_false(
    const float* xyz, i64 n_spots, const i64* offsets, const double* cells, const int* input_cell, const double* radii,
    int n_radii, const double* volumes, const double* orders, int n_input, int max_spots, int n_kept, int fewest,
    float* distances, double* lowest) {
  __shared__ int shared_total;
  __shared__ double shared_lowest[4];
  const Own own = own_spots(xyz, n_spots, offsets, blockIdx.x);
  const Rules rules = {n_input, max_spots, n_kept, fewest};
  int source = max(input_cell[blockIdx.x], 0), n = own.n;
  double largest = radii[(i64)source * n_radii + n_radii - 1], smallest = fmin(largest, SMALLEST_RADIUS);
  double recip[9], least = INFINITE;
  const double* cell = cells + 9 * (i64)blockIdx.x;
  float* mine = distances + own.begin;
  if (threadIdx.x == 0) shared_total = 0;
  __syncthreads();
  if (reciprocal(cell, recip)) {
    Pair p = pair_of(cell, recip);
    int near = 0;
    for (int j = threadIdx.x; j < n; j += blockDim.x) {
      i64 at = own.begin + j;
      mine[j] = __fsqrt_rn(square(residual(p, xyz[at], xyz[n_spots + at], xyz[2 * n_spots + at])));
      near += mine[j] <= largest;
    }
    atomicAdd(&shared_total, near);
    __syncthreads();
    // The spots that are tried are the farthest, the one `step` places before it, and so on.
    int total = shared_total, step = (total + MOST_TRIED - 1) / MOST_TRIED;
    for (int j = threadIdx.x; j < n; j += blockDim.x) {
      float distance = mine[j];
      if (!(distance <= largest)) continue;
      int count = 1;
      for (int i = 0; i < n; i++) count += mine[i] < distance || (mine[i] == distance && i < j);
      if ((total - count) % step == 0)
        least = fmin(least, expected_false(count, fmax((double)distance, smallest), volumes[source], orders[source], own,
                                           rules));
    }
  }
  for (int step = 16; step; step >>= 1) least = fmin(least, __shfl_xor_sync(0xffffffffu, least, step));
  if ((threadIdx.x & 31) == 0) shared_lowest[threadIdx.x >> 5] = least;
  __syncthreads();
  if (threadIdx.x == 0)
    lowest[blockIdx.x] = fmin(fmin(shared_lowest[0], shared_lowest[1]), fmin(shared_lowest[2], shared_lowest[3]));
}

// Decides which of the chosen cells pass, with `false_hits` of at most `limit`; the others become zero, as does the slot
// of a cell that passes among cells[F][Q] and every slot of a frame whose cell does not. One warp a frame.
extern "C" __global__ __launch_bounds__(128) void pass_cells(int n_frames, int n_cells, const i64* slot,
                                                             const double* false_hits, double limit,
                                                             const double* scores, double* cells, double* chosen,
                                                             bool* passes, double* chosen_scores) {
  int frame = (blockIdx.x * blockDim.x + threadIdx.x) >> 5, lane = threadIdx.x & 31;
  if (frame >= n_frames) return;
  i64 first = (i64)frame * n_cells;
  bool pass = false_hits[frame] <= limit;
  if (lane == 0) {
    passes[frame] = pass;
    chosen_scores[frame] = pass ? scores[first + slot[frame]] : INFINITE;
  }
  if (!pass && lane < 9) chosen[9 * (i64)frame + lane] = 0.0;
  double* gone = pass ? cells + 9 * (first + slot[frame]) : cells + 9 * first;
  int n = pass ? 9 : 9 * n_cells;
  for (int i = lane; i < n; i += 32) gone[i] = 0.0;
}

// Accepts cells[F][Q], of which `distances`[Q][N] are known, in the order of their scores[F][Q], if they index enough
// spots that no accepted cell indexes; one warp a frame. `order` and `taken` are memory for Q numbers a frame and one
// flag a spot.
extern "C" __global__ __launch_bounds__(128) void accept_by_count(const i64* offsets, i64 n_spots, int n_frames,
                                                                  int n_cells, const float* distances,
                                                                  const double* scores, float threshold, int min_spots,
                                                                  int* order, bool* taken, bool* accepted) {
  int frame = (blockIdx.x * blockDim.x + threadIdx.x) >> 5, lane = threadIdx.x & 31;
  if (frame >= n_frames) return;
  i64 begin = offsets[frame];
  int n = offsets[frame + 1] - begin;
  const double* mine = scores + (i64)frame * n_cells;
  int* sorted = order + (i64)frame * n_cells;
  for (int q = lane; q < n_cells; q += 32) {
    double score = isnan(mine[q]) ? INFINITE : mine[q];
    int rank = 0;
    for (int i = 0; i < n_cells; i++) {
      double other = isnan(mine[i]) ? INFINITE : mine[i];
      rank += other < score || (other == score && i < q);
    }
    sorted[rank] = q;
  }
  for (int j = lane; j < n; j += 32) taken[begin + j] = false;
  __syncwarp();
  for (int rank = 0; rank < n_cells; rank++) {
    int q = sorted[rank], count = 0;
    const float* distance = distances + q * n_spots + begin;
    for (int j = lane; j < n; j += 32) count += distance[j] < threshold && !taken[begin + j];
    bool enough = warp_sum(count) >= min_spots;
    if (lane == 0) accepted[(i64)frame * n_cells + q] = enough;
    if (enough)
      for (int j = lane; j < n; j += 32)
        if (distance[j] < threshold) taken[begin + j] = true;
  }
}
