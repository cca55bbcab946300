// Step 1: selection of the best directions of every length group.
//
// The score is gmean - count - 1 with gmean < 1, so that the count of near spots decides and the geometric mean breaks
// ties. Near spots are therefore counted for all directions, and the full key is computed only for the directions that
// the count does not rule out. The key has the same order as the score; see backends/cpu/scores.py.

#define TILE_SPOTS 512
#define PER_THREAD 4

// Loads `here` spots, beginning with spot `first`, into shared memory.
__device__ __forceinline__ void load_tile(const float* xyz, i64 n_spots, i64 first, int here, float4* tile) {
  __syncthreads();
  for (int i = threadIdx.x; i < here; i += blockDim.x) {
    i64 j = first + i;
    tile[i] = make_float4(xyz[j], xyz[n_spots + j], xyz[2 * n_spots + j], 0.0f);
  }
  __syncthreads();
}

// Number of a frame's n spots on which its directions are scored first: all of them if there is no race.
__device__ __forceinline__ int first_spots(int n, int race_spots, int race_directions, int n_directions) {
  return race_spots > 0 && n >= 2 * race_spots && n_directions > race_directions ? race_spots : n;
}

// Fills counts[frames][G][stride] with the numbers of near spots. The grid is (stride / (256 * PER_THREAD), G, frames):
// a block reads the spots once for 1024 directions, and a spot in registers serves PER_THREAD of them.
extern "C" __global__ __launch_bounds__(256) void count_directions(
    const float* directions, int n_directions, int stride, const float* lengths, const float* xyz, i64 n_spots,
    const i64* offsets, int first_frame, int max_spots, int race_spots, int race_directions, float limit,
    unsigned short* counts) {
  __shared__ float4 tile[TILE_SPOTS];
  int frame = first_frame + blockIdx.z;
  i64 begin = offsets[frame];
  int n = min((int)(offsets[frame + 1] - begin), max_spots);
  if (n == 0) return;
  n = first_spots(n, race_spots, race_directions, n_directions);
  float v[PER_THREAD][3], length = lengths[blockIdx.y];
  int count[PER_THREAD], p = blockIdx.x * blockDim.x * PER_THREAD + threadIdx.x;
#pragma unroll
  for (int k = 0; k < PER_THREAD; k++) {
    int q = min(p + k * 256, n_directions - 1);
#pragma unroll
    for (int r = 0; r < 3; r++) v[k][r] = length * directions[r * n_directions + q];
    count[k] = 0;
  }
  for (int first = 0; first < n; first += TILE_SPOTS) {
    int here = min(n - first, TILE_SPOTS);
    load_tile(xyz, n_spots, begin + first, here, tile);
#pragma unroll 4
    for (int i = 0; i < here; i++) {
      float4 s = tile[i];
#pragma unroll
      for (int k = 0; k < PER_THREAD; k++)
        count[k] += fabsf(from_nearest(fmaf(v[k][0], s.x, fmaf(v[k][1], s.y, v[k][2] * s.z)))) < limit;
    }
  }
  unsigned short* out = counts + ((i64)blockIdx.z * gridDim.y + blockIdx.y) * stride;
#pragma unroll
  for (int k = 0; k < PER_THREAD; k++)
    if (p + k * 256 < stride) out[p + k * 256] = p + k * 256 < n_directions ? count[k] : NO_COUNT;
}

// The directions and spots that choose_candidates uses for one length group of a frame.
struct Group {
  const float *directions, *xyz;
  int n_directions;
  i64 n_spots, begin;
  float length, limit;
};

// Replaces the keys of items[first:last] by the keys over n spots. All threads of the block take part.
__device__ void key_items(const Group& g, int n, Trims t, float4* tile, u64* items, int first, int last) {
  for (int start = first; start < last; start += blockDim.x * PER_THREAD) {
    float v[PER_THREAD][3], product[PER_THREAD], logarithm[PER_THREAD];
    int id[PER_THREAD], count[PER_THREAD];
#pragma unroll
    for (int k = 0; k < PER_THREAD; k++) {
      id[k] = (int)items[min(start + k * (int)blockDim.x + (int)threadIdx.x, last - 1)];
#pragma unroll
      for (int r = 0; r < 3; r++) v[k][r] = g.length * g.directions[r * g.n_directions + id[k]];
      product[k] = 1.0f;
      logarithm[k] = 0.0f;
      count[k] = 0;
    }
    for (int begin = 0; begin < n; begin += TILE_SPOTS) {
      int here = min(n - begin, TILE_SPOTS);
      load_tile(g.xyz, g.n_spots, g.begin + begin, here, tile);
      for (int low = 0; low < here; low += t.every) {
        int high = min(low + t.every, here);
        for (int i = low; i < high; i++) {
          float4 s = tile[i];
#pragma unroll
          for (int k = 0; k < PER_THREAD; k++) {
            float d = fabsf(from_nearest(fmaf(v[k][0], s.x, fmaf(v[k][1], s.y, v[k][2] * s.z))));
            product[k] *= fmaf(fminf(fmaxf(d, t.low), t.high), t.scale, t.shift);
            count[k] += d < g.limit;
          }
        }
#pragma unroll
        for (int k = 0; k < PER_THREAD; k++) {
          logarithm[k] += __log2f(product[k]);
          product[k] = 1.0f;
        }
      }
    }
    // Every thread has read its items before any of them is replaced, because of the barriers in the loop over tiles.
    __syncthreads();
#pragma unroll
    for (int k = 0; k < PER_THREAD; k++) {
      int i = start + k * blockDim.x + threadIdx.x;
      if (i < last) items[i] = item_of(fmaf(logarithm[k] / n + t.half, t.span, -(float)count[k]), id[k]);
    }
    __syncthreads();
  }
}

// Stores in out[C][3] the sorted directions that are far enough apart. One warp takes part; its lanes compare a
// direction with those that are kept.
__device__ void keep_apart(const u64* items, int n, const double* directions, int n_directions, double length,
                           double largest_cosine, int n_candidates, double* out) {
  int kept = 0;
  for (int i = 0; i < n && kept < n_candidates; i++) {
    int id = (int)items[i];
    double x = directions[id], y = directions[n_directions + id], z = directions[2 * n_directions + id];
    bool near = false;
    for (int c = threadIdx.x; c < kept; c += 32)
      near |= fabs(x * out[3 * c] + y * out[3 * c + 1] + z * out[3 * c + 2]) > largest_cosine * length;
    if (__any_sync(0xffffffffu, near)) continue;
    if (threadIdx.x < 3) out[3 * kept + threadIdx.x] = length * (threadIdx.x == 0 ? x : threadIdx.x == 1 ? y : z);
    kept++;
    __syncwarp();
  }
}

// Selects the candidates vectors[F][G][C][3] from the counts. The grid is (G, frames), one block for each length group
// of a frame. There is room for `room` = 2^k items, at least 2048 more than `wanted`, in shared memory, or in `scratch`
// if they do not fit there.
extern "C" __global__ __launch_bounds__(256) void choose_candidates(
    const unsigned short* counts, int stride, const float* directions, const double* exact_directions,
    int n_directions, const double* lengths, const float* xyz, i64 n_spots, const i64* offsets, int first_frame,
    int max_spots, int race_spots, int race_directions, int pool, double largest_cosine, float limit,
    const Trims* trims, int n_candidates, int room, u64* scratch, double* vectors) {
  extern __shared__ u64 shared_items[];
  __shared__ union {
    float4 tile[TILE_SPOTS];
    int histogram[COUNT_BINS];
  } work;
  __shared__ int n_items;
  int frame = first_frame + blockIdx.y, group = blockIdx.x, n_groups = gridDim.x;
  i64 row = (i64)blockIdx.y * n_groups + group, begin = offsets[frame];
  u64* items = scratch ? scratch + row * room : shared_items;
  int n = min((int)(offsets[frame + 1] - begin), max_spots);
  double* out = vectors + ((i64)frame * n_groups + group) * n_candidates * 3;
  for (int i = threadIdx.x; i < 3 * n_candidates; i += blockDim.x) out[i] = 0.0;
  if (n == 0) return;
  Trims t = *trims;
  Group g = {directions, xyz, n_directions, n_spots, begin, (float)lengths[group], limit};
  int judged = first_spots(n, race_spots, race_directions, n_directions);
  int wanted = judged < n ? race_directions : pool, shift = shift_for(judged);
  const unsigned short* mine = counts + row * stride;
  Cut cut = cut_of_counts(mine, stride, shift, wanted, work.histogram);
  bool all_fit = cut.total <= room;
  int keyed = 0;
  if (threadIdx.x == 0) n_items = 0;
  __syncthreads();
  if (all_fit) append_all(mine, stride, shift, cut.bin, items, &n_items);
  for (int first = 0; !all_fit && first < stride / 8; first += blockDim.x) {
    unsigned chosen = chosen_of(mine, stride, first + threadIdx.x, shift, cut.bin);
    int held = reserve(chosen, &n_items, room);
    if (held >= 0) {
      // There is no room for more items, so that only the best so far are kept.
      key_items(g, judged, t, work.tile, items, keyed, held);
      keyed = keep_smallest(items, held, wanted, work.histogram);
      if (threadIdx.x == 0) n_items = keyed;
      __syncthreads();
    }
    append(chosen, first + threadIdx.x, items, &n_items);
  }
  __syncthreads();
  int held = n_items;
  key_items(g, judged, t, work.tile, items, keyed, held);
  keyed = held;
  if (judged < n) {
    keyed = keep_smallest(items, held, wanted, work.histogram);
    key_items(g, n, t, work.tile, items, 0, keyed);
  }
  keyed = sort_and_cut(items, keep_smallest(items, keyed, pool, work.histogram), pool);
  if (threadIdx.x < 32)
    keep_apart(items, keyed, exact_directions, n_directions, lengths[group], largest_cosine, n_candidates, out);
}
