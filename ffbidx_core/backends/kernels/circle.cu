// Step 3 with `angle_peaks`: the best local minima over the circle of angles at which a cell is laid on a candidate.
//
// A key is minus the number of near spots plus a fraction below 1, the mean of their factors. The numbers alone, which
// need fewer spots and fewer instructions, show which angles need a fraction.

#define MOST_LISTED 256

// A block's cell on its candidate, and what its threads share: sums of the second warp, the best item of each warp, and
// the angles that need a fraction.
struct Circle {
  Near near;
  Seed seed;
  float frame[9];
  float logarithm[32];
  int count[32];
  u64 lowest[2];
  float highest[2];
  int n_listed, listed[MOST_LISTED];
};

// Gathers the spots of this block that are closer than `reach` to a lattice plane of the axis.
__device__ __forceinline__ void gather_circle(Circle* circle, const float* xyz, i64 n_spots, i64 begin, int n,
                                              float reach) {
  const Seed* seed = &circle->seed;
  int axis = seed->axis;
  __syncthreads();
  gather_near(xyz, n_spots, begin, n, circle->frame, seed->base[3 * axis + 2], seed->base[3 * ((axis + 1) % 3) + 2],
              seed->base[3 * ((axis + 2) % 3) + 2], reach, &circle->near);
  __syncthreads();
}

// Squared distance of a near spot from a lattice point, in fractional indices. `turn` holds the components along u and
// w of the two cell vectors after the axis.
__device__ __forceinline__ float squared_distance(float4 turn, float4 spot, float along) {
  float x = from_nearest(fmaf(turn.x, spot.x, fmaf(turn.y, spot.y, spot.z)));
  float y = from_nearest(fmaf(turn.z, spot.x, fmaf(turn.w, spot.y, spot.w)));
  return fmaf(x, x, fmaf(y, y, along));
}

// Stores minus the number of near spots at K angles per thread, from angle `first` on, as keys without a fraction.
template <int K>
__device__ void counts_of_angles(Circle* circle, const float4* turns, const float* xyz, i64 n_spots, i64 begin, int n,
                                 float limit, int first, float* keys) {
  float4 turn[K];
  int count[K], n_angles = circle->seed.n_angles;
#pragma unroll
  for (int k = 0; k < K; k++) {
    turn[k] = turns[min(first + k * ANGLE_THREADS + (int)threadIdx.x, n_angles - 1)];
    count[k] = 0;
  }
  for (int start = 0; start < n; start += NEAR_SPOTS) {
    // If all spots fit in one tile, those that the first pass over the angles has gathered serve the later passes.
    if (first == 0 || n > NEAR_SPOTS)
      gather_circle(circle, xyz, n_spots, begin + start, min(n - start, NEAR_SPOTS), limit);
    for (int half = 0; half < 2; half++) {
      const float4* rows = circle->near.rows + half * (NEAR_SPOTS / 2);
      const float* squared = circle->near.squared + half * (NEAR_SPOTS / 2);
      int m = circle->near.count[half];
#pragma unroll 2
      for (int i = 0; i < m; i++) {
        float4 spot = rows[i];
        float along = squared[i];
#pragma unroll
        for (int k = 0; k < K; k++) count[k] += squared_distance(turn[k], spot, along) < limit * limit;
      }
    }
  }
#pragma unroll
  for (int k = 0; k < K; k++) {
    int angle = first + k * ANGLE_THREADS + threadIdx.x;
    if (angle < n_angles) keys[angle] = -(float)count[k];
  }
}

// Computes the keys of up to 32 angles with their fractions; each warp takes its half of the near spots.
__device__ void add_fractions(Circle* circle, const float4* turns, const float* xyz, i64 n_spots, i64 begin, int n,
                              float reach, float limit, const Trims& t, int angle, bool is_there, bool gathers,
                              float* keys) {
  int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, n_near = 0, count = 0;
  float4 turn = turns[angle];
  float logarithm = 0.0f;
  for (int start = 0; start < n; start += NEAR_SPOTS) {
    if (gathers || n > NEAR_SPOTS)
      gather_circle(circle, xyz, n_spots, begin + start, min(n - start, NEAR_SPOTS), reach);
    n_near += circle->near.count[0] + circle->near.count[1];
    const float4* rows = circle->near.rows + warp * (NEAR_SPOTS / 2);
    const float* squared = circle->near.squared + warp * (NEAR_SPOTS / 2);
    int m = circle->near.count[warp];
    for (int first = 0; first < m; first += t.every) {
      int stop = min(first + t.every, m);
      float product = 1.0f;
#pragma unroll 4
      for (int i = first; i < stop; i++) {
        float d = squared_distance(turn, rows[i], squared[i]);
        product *= fmaf(fminf(fmaxf(fast_sqrt(d), t.low), t.high), t.scale, t.shift);
        count += d < limit * limit;
      }
      logarithm += __log2f(product);
    }
  }
  if (warp) {
    circle->logarithm[lane] = logarithm;
    circle->count[lane] = count;
  }
  __syncthreads();
  if (!warp && is_there) {
    float mean = (logarithm + circle->logarithm[lane] + (n - n_near) * t.half) / n;
    keys[angle] = fmaf(mean + t.half, t.span, -(float)(count + circle->count[lane]));
  }
  __syncthreads();
}

// Whether the key of an angle is a local minimum over the circle, or with `strict` below both neighbours.
__device__ __forceinline__ bool is_minimum(const float* keys, int n_angles, int i, bool strict) {
  float x = keys[i], before = keys[i > 0 ? i - 1 : n_angles - 1], behind = keys[i < n_angles - 1 ? i + 1 : 0];
  return strict ? x < before && x < behind : n_angles == 1 || (x <= before && x < behind);
}

#define NO_KEY 1.0f

// The highest key that may be among the best `width` minima, from keys without fractions. An angle that counts more
// than both neighbours is a minimum, whatever the fractions are; each thread proposes the best of its angles, and of
// each warp's proposals the one of rank `width` is a limit.
__device__ float highest_key(Circle* circle, const float* keys, int width) {
  int n_angles = circle->seed.n_angles, lane = threadIdx.x & 31;
  float best = NO_KEY;
  for (int i = threadIdx.x; i < n_angles; i += ANGLE_THREADS)
    if (is_minimum(keys, n_angles, i, true)) best = fminf(best, keys[i]);
  u64 item = item_of(best, lane), lowest = item_of(NO_KEY, 0);
  for (int k = 0; k < width; k++) {
    lowest = k < 32 ? warp_min(item) : NO_ITEM;
    if (item == lowest) item = NO_ITEM;
  }
  if (lane == 0) circle->highest[threadIdx.x >> 5] = lowest == NO_ITEM ? NO_KEY : unordered((unsigned)(lowest >> 32));
  if (threadIdx.x == 0) circle->n_listed = 0;
  __syncthreads();
  return fminf(circle->highest[0], circle->highest[1]);
}

// The smallest (key, angle) of a block.
__device__ __forceinline__ u64 block_min(Circle* circle, u64 item) {
  item = warp_min(item);
  if ((threadIdx.x & 31) == 0) circle->lowest[threadIdx.x >> 5] = item;
  __syncthreads();
  item = circle->lowest[0] < circle->lowest[1] ? circle->lowest[0] : circle->lowest[1];
  __syncthreads();
  return item;
}

// The grid is (S * C, F): one block lays one input cell on one candidate at all angles. It returns the best `width`
// local minima over the circle with their angles. `scratch` holds the keys of a circle if shared memory is too small
// for them.
extern "C" __global__ __launch_bounds__(ANGLE_THREADS) void turn_cells(
    const Seed* seeds, const float4* turns, const float* frames, int n_groups, int n_candidates, const float* xyz,
    i64 n_spots, const i64* offsets, int first_frame, int max_spots, float reach, float limit, const Trims* trims,
    int width, int largest, float* scratch, float* out_keys, int* out_angles) {
  extern __shared__ float shared_keys[];
  __shared__ Circle circle;
  Trims t = *trims;
  int s = blockIdx.x / n_candidates, c = blockIdx.x % n_candidates, f = first_frame + blockIdx.y;
  if (threadIdx.x < sizeof(Seed) / 4) ((int*)&circle.seed)[threadIdx.x] = ((const int*)(seeds + s))[threadIdx.x];
  __syncthreads();
  i64 begin = offsets[f], block = (i64)blockIdx.y * gridDim.x + blockIdx.x;
  int n = min((int)(offsets[f + 1] - begin), max_spots), n_angles = circle.seed.n_angles, lane = threadIdx.x & 31;
  const float* mine = frames + (((i64)f * n_groups + circle.seed.group) * n_candidates + c) * 9;
  float* out = out_keys + block * width;
  bool empty = n == 0 || isnan(mine[0]);
  for (int i = threadIdx.x; i < width; i += ANGLE_THREADS) out[i] = NO_KEY;
  if (empty) return;
  float* keys = scratch ? scratch + block * largest : shared_keys;
  if (threadIdx.x < 9) circle.frame[threadIdx.x] = mine[threadIdx.x];
  turns += s * largest;
  for (int first = 0; first < n_angles;) {
    int left = n_angles - first;
    if (left > 2 * ANGLE_THREADS) {
      counts_of_angles<4>(&circle, turns, xyz, n_spots, begin, n, limit, first, keys);
      first += 4 * ANGLE_THREADS;
    } else if (left > ANGLE_THREADS) {
      counts_of_angles<2>(&circle, turns, xyz, n_spots, begin, n, limit, first, keys);
      first += 2 * ANGLE_THREADS;
    } else {
      counts_of_angles<1>(&circle, turns, xyz, n_spots, begin, n, limit, first, keys);
      first += ANGLE_THREADS;
    }
  }
  __syncthreads();
  float highest = highest_key(&circle, keys, width);
  for (int i = threadIdx.x; i < n_angles; i += ANGLE_THREADS) {
    if (keys[i] > highest) continue;
    int place = atomicAdd(&circle.n_listed, 1);
    if (place < MOST_LISTED) circle.listed[place] = i;
  }
  __syncthreads();
  // If too many are listed, all angles get a fraction.
  bool all = circle.n_listed > MOST_LISTED;
  int n_wanted = all ? n_angles : circle.n_listed;
  for (int first = 0; first < n_wanted; first += 32) {
    int i = min(first + lane, n_wanted - 1);
    add_fractions(&circle, turns, xyz, n_spots, begin, n, reach, limit, t, all ? i : circle.listed[i],
                  first + lane < n_wanted, first == 0, keys);
  }
  // The best minima are found one after another: each is the smallest (key, angle) above the previous one.
  u64 last = 0;
  for (int k = 0; k < width; k++) {
    u64 best = NO_ITEM;
    for (int j = threadIdx.x; j < n_wanted; j += ANGLE_THREADS) {
      int i = all ? j : circle.listed[j];
      u64 item = item_of(keys[i], i);
      if ((k == 0 || item > last) && item < best && is_minimum(keys, n_angles, i, false)) best = item;
    }
    last = block_min(&circle, best);
    if (last == NO_ITEM) return;
    if (threadIdx.x == 0) {
      out[k] = unordered((unsigned)(last >> 32));
      out_angles[block * width + k] = (int)last;
    }
  }
}
