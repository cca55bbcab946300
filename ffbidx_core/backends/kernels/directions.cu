// Step 1: the score of every direction, and the best of them. See backends/cpu/scores.py for the key: its order is that
// of gmean - count - 1.

#define TILE_SPOTS 512
#define PER_THREAD 4

// Keys of PER_THREAD directions (already times the vector's length) over the first n spots of a frame.
__device__ __forceinline__ void keys_of_directions(const float (*v)[3], const float* xyz, i64 n_spots, i64 begin,
                                                   int n, float limit, Trims t, float4* tile, float* keys) {
  float product[PER_THREAD], logarithm[PER_THREAD];
  int count[PER_THREAD];
#pragma unroll
  for (int k = 0; k < PER_THREAD; k++) {
    product[k] = 1.0f;
    logarithm[k] = 0.0f;
    count[k] = 0;
  }
  for (int first = 0; first < n; first += TILE_SPOTS) {
    int here = min(n - first, TILE_SPOTS);
    __syncthreads();
    for (int i = threadIdx.x; i < here; i += blockDim.x) {
      i64 j = begin + first + i;
      tile[i] = make_float4(xyz[j], xyz[n_spots + j], xyz[2 * n_spots + j], 0.0f);
    }
    __syncthreads();
    for (int start = 0; start < here; start += t.every) {
      int stop = min(start + t.every, here);
#pragma unroll 4
      for (int i = start; i < stop; i++) {
        float4 s = tile[i];
#pragma unroll
        for (int k = 0; k < PER_THREAD; k++) {
          float d = fabsf(from_nearest(fmaf(v[k][0], s.x, fmaf(v[k][1], s.y, v[k][2] * s.z))));
          product[k] *= fmaf(fminf(fmaxf(d, t.low), t.high), t.scale, t.shift);
          count[k] += d < limit;
        }
      }
#pragma unroll
      for (int k = 0; k < PER_THREAD; k++) {
        logarithm[k] += __log2f(product[k]);
        product[k] = 1.0f;
      }
    }
  }
#pragma unroll
  for (int k = 0; k < PER_THREAD; k++) keys[k] = fmaf(logarithm[k] / n + t.half, t.span, -(float)count[k]);
}

// Whether a frame's directions race, and over how many spots they are judged first.
__device__ __forceinline__ int first_spots(int n, int race_spots, int race_directions, int n_directions) {
  return race_spots > 0 && n >= 2 * race_spots && n_directions > race_directions ? race_spots : n;
}

// Grid (directions / (256 * PER_THREAD), G, F). Work shared by a block: the spots, read once for 1024 directions.
extern "C" __global__ __launch_bounds__(256) void direction_keys(
    const float* directions, int n_directions, const float* lengths, const float* xyz, i64 n_spots,
    const i64* offsets, int first_frame, int max_spots, int race_spots, int race_directions, float limit,
    const Trims* trims, float* keys) {
  __shared__ float4 tile[TILE_SPOTS];
  Trims t = *trims;
  int frame = first_frame + blockIdx.z;
  i64 begin = offsets[frame];
  int n = min((int)(offsets[frame + 1] - begin), max_spots);
  if (n == 0) return;
  n = first_spots(n, race_spots, race_directions, n_directions);
  float v[PER_THREAD][3], mine[PER_THREAD], length = lengths[blockIdx.y];
  int p = blockIdx.x * blockDim.x * PER_THREAD + threadIdx.x;
#pragma unroll
  for (int k = 0; k < PER_THREAD; k++) {
    int q = min(p + k * 256, n_directions - 1);
#pragma unroll
    for (int r = 0; r < 3; r++) v[k][r] = length * directions[r * n_directions + q];
  }
  keys_of_directions(v, xyz, n_spots, begin, n, limit, t, tile, mine);
  float* out = keys + ((i64)blockIdx.z * gridDim.y + blockIdx.y) * n_directions;
#pragma unroll
  for (int k = 0; k < PER_THREAD; k++)
    if (p + k * 256 < n_directions) out[p + k * 256] = mine[k];
}

#define BINS 2048

__device__ __forceinline__ int bin_of(float key, float lowest, float scale) {
  return min(max((int)((key - lowest) * scale), 0), BINS - 1);
}

#define TIES 1024

__device__ __forceinline__ u64 item_of(float key, int index) { return ((u64)ordered(key) << 32) | (unsigned)index; }

// The largest of the `wanted` smallest (key, index) of the bin `cut`: bisection over the 64 bits. Slow, for bins that
// hold more entries than TIES, as when all directions are alike.
__device__ u64 last_of_bin(const float* keys, int n, float lowest, float scale, int cut, int wanted) {
  __shared__ int smaller;
  u64 low = 0;
  for (int bit = 63; bit >= 0; bit--) {
    u64 middle = low | (1ull << bit);
    if (threadIdx.x == 0) smaller = 0;
    __syncthreads();
    int mine = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x)
      if (bin_of(keys[i], lowest, scale) == cut) mine += item_of(keys[i], i) < middle;
    mine = warp_sum(mine);
    if ((threadIdx.x & 31) == 0 && mine) atomicAdd(&smaller, mine);
    __syncthreads();
    if (smaller < wanted) low = middle;
    __syncthreads();
  }
  return low;
}

// Gathers the `wanted` smallest of n keys in (lowest, 1] as (key, index) in `items`, in any order; how many there are.
// The set is the same whatever the order in which threads arrive: bins below the cut belong, of the cut bin the
// smallest entries do. `histogram` has BINS entries, `ties` TIES.
__device__ int gather_best(const float* keys, int n, float lowest, int wanted, u64* items, int* histogram, u64* ties) {
  __shared__ int cut, below, n_items, n_ties;
  float scale = (BINS - 1) / (1.0f - lowest);
  for (int b = threadIdx.x; b < BINS; b += blockDim.x) histogram[b] = 0;
  __syncthreads();
  for (int i = threadIdx.x; i < n; i += blockDim.x) atomicAdd(&histogram[bin_of(keys[i], lowest, scale)], 1);
  __syncthreads();
  if (threadIdx.x < 32) {
    int sum = 0, b = 0;
    for (; b < BINS; b += 32) {
      int total = warp_sum(histogram[b + threadIdx.x]);
      if (sum + total >= wanted) break;
      sum += total;
    }
    if (threadIdx.x == 0) {
      if (b < BINS)
        while (sum + histogram[b] < wanted) sum += histogram[b++];
      cut = b;
      below = sum;
      n_items = n_ties = 0;
    }
  }
  __syncthreads();
  int need = wanted - below;
  bool crowded = cut < BINS && histogram[cut] > TIES;
  u64 last = crowded ? last_of_bin(keys, n, lowest, scale, cut, need) : 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) {
    int b = bin_of(keys[i], lowest, scale);
    if (b > cut) continue;
    u64 item = item_of(keys[i], i);
    if (b < cut || (crowded && item <= last))
      items[atomicAdd(&n_items, 1)] = item;
    else if (!crowded)
      ties[atomicAdd(&n_ties, 1)] = item;
  }
  __syncthreads();
  int padded = power_of_two(n_ties), sure = n_items;
  for (int i = n_ties + threadIdx.x; i < padded; i += blockDim.x) ties[i] = ~0ull;
  block_sort(ties, padded);
  int added = min(need, n_ties);
  for (int i = threadIdx.x; i < added; i += blockDim.x) items[sure + i] = ties[i];
  __syncthreads();
  return sure + added;
}

// Grid (G, F), one block a length group of a frame: race, sort, keep candidates that lie apart.
// `room` = 2^k entries for the items: in shared memory, or in `scratch` where they do not fit.
extern "C" __global__ __launch_bounds__(256) void choose_candidates(
    const float* keys, const float* directions, const double* exact_directions, int n_directions,
    const double* lengths, const float* xyz, i64 n_spots, const i64* offsets, int first_frame, int max_spots,
    int race_spots, int race_directions, int pool, float largest_cosine, float limit, const Trims* trims,
    int n_candidates,
    int room, u64* scratch, double* vectors) {
  extern __shared__ u64 shared_items[];
  __shared__ float4 tile[TILE_SPOTS];
  __shared__ int histogram[BINS];
  __shared__ u64 ties[TIES];
  Trims t = *trims;
  int frame = first_frame + blockIdx.y, group = blockIdx.x, n_groups = gridDim.x;
  i64 row = (i64)blockIdx.y * n_groups + group;
  u64* items = scratch ? scratch + row * room : shared_items;
  i64 begin = offsets[frame];
  int n = min((int)(offsets[frame + 1] - begin), max_spots);
  double* out = vectors + ((i64)frame * n_groups + group) * n_candidates * 3;
  for (int i = threadIdx.x; i < 3 * n_candidates; i += blockDim.x) out[i] = 0.0;
  if (n == 0) return;
  int judged = first_spots(n, race_spots, race_directions, n_directions);
  bool race = judged < n;
  int found = gather_best(keys + row * n_directions, n_directions, -judged - 1.0f, race ? race_directions : pool, items,
                          histogram, ties);
  if (race) {
    float length = (float)lengths[group];
    for (int first = 0; first < found; first += blockDim.x * PER_THREAD) {
      float v[PER_THREAD][3], mine[PER_THREAD];
      int id[PER_THREAD];
#pragma unroll
      for (int k = 0; k < PER_THREAD; k++) {
        id[k] = (int)items[min(first + k * (int)blockDim.x + (int)threadIdx.x, found - 1)];
#pragma unroll
        for (int r = 0; r < 3; r++) v[k][r] = length * directions[r * n_directions + id[k]];
      }
      keys_of_directions(v, xyz, n_spots, begin, n, limit, t, tile, mine);
#pragma unroll
      for (int k = 0; k < PER_THREAD; k++) {
        int i = first + k * blockDim.x + threadIdx.x;
        if (i < found) items[i] = item_of(mine[k], id[k]);
      }
    }
  }
  int padded = power_of_two(found);
  for (int i = found + threadIdx.x; i < padded; i += blockDim.x) items[i] = ~0ull;
  block_sort(items, padded);
  if (threadIdx.x >= 32) return;
  // One warp walks the sorted directions; its lanes compare with the kept ones.
  int kept = 0;
  for (int i = 0; i < min(found, pool) && kept < n_candidates; i++) {
    int id = (int)items[i];
    double x = exact_directions[id], y = exact_directions[n_directions + id], z = exact_directions[2 * n_directions + id];
    bool near = false;
    for (int c = threadIdx.x; c < kept; c += 32)
      near |= fabs(x * out[3 * c] + y * out[3 * c + 1] + z * out[3 * c + 2]) > (double)largest_cosine * lengths[group];
    if (__any_sync(0xffffffffu, near)) continue;
    if (threadIdx.x < 3) {
      double u = threadIdx.x == 0 ? x : threadIdx.x == 1 ? y : z;
      out[3 * kept + threadIdx.x] = lengths[group] * u;
    }
    kept++;
    __syncwarp();
  }
}
