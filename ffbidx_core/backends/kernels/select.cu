// Selection of the best among many, by one block: first by whole counts, then by items, which are a key and an index in
// one word.

#define NO_COUNT 0xffffu
#define NO_ITEM 0xffffffffffffffffull

__device__ __forceinline__ u64 item_of(float key, int index) { return ((u64)ordered(key) << 32) | (unsigned)index; }

#define COUNT_BINS 2048
#define DIGIT_BITS 11

// The highest bin (count >> shift) such that at least `wanted` counts lie in it or above, 0 if there are fewer counts,
// and the number of these counts.
struct Cut {
  int bin, total;
};

__device__ Cut cut_of_counts(const unsigned short* counts, int n, int shift, int wanted, int* histogram) {
  __shared__ Cut cut;
  for (int b = threadIdx.x; b < COUNT_BINS; b += blockDim.x) histogram[b] = 0;
  __syncthreads();
  const uint4* words = (const uint4*)counts;
  for (int i = threadIdx.x; i < n / 8; i += blockDim.x) {
    uint4 word = words[i];
    const unsigned part[4] = {word.x, word.y, word.z, word.w};
#pragma unroll
    for (int j = 0; j < 8; j++) {
      unsigned count = (part[j >> 1] >> (16 * (j & 1))) & 0xffffu;
      if (count != NO_COUNT) atomicAdd(&histogram[count >> shift], 1);
    }
  }
  __syncthreads();
  if (threadIdx.x < 32) {
    // A warp sums the bins from the top, 32 at a time.
    int sum = 0, top = COUNT_BINS;
    for (; top > 0; top -= 32) {
      int total = warp_sum(histogram[top - 32 + threadIdx.x]);
      if (sum + total >= wanted) break;
      sum += total;
    }
    if (threadIdx.x == 0) {
      int b = max(top - 1, 0);
      while (b > 0 && sum + histogram[b] < wanted) sum += histogram[b--];
      cut = {b, top > 0 ? sum + histogram[b] : sum};
    }
  }
  __syncthreads();
  Cut result = cut;
  __syncthreads();
  return result;
}

// Number of bits by which counts up to n must be shifted to fall into COUNT_BINS.
__device__ __forceinline__ int shift_for(int n) {
  int shift = 0;
  while (n >> shift >= COUNT_BINS) shift++;
  return shift;
}

// Bits that say which of the eight counts in word `i` reach the cut; 0 beyond the end of the row.
__device__ __forceinline__ unsigned chosen_of(const unsigned short* counts, int n, int i, int shift, int cut) {
  if (i >= n / 8) return 0;
  uint4 word = ((const uint4*)counts)[i];
  const unsigned part[4] = {word.x, word.y, word.z, word.w};
  unsigned chosen = 0;
#pragma unroll
  for (int j = 0; j < 8; j++) {
    unsigned count = (part[j >> 1] >> (16 * (j & 1))) & 0xffffu;
    chosen |= (unsigned)(count != NO_COUNT && (int)(count >> shift) >= cut) << j;
  }
  return chosen;
}

// Appends the indices of the chosen counts in word `i` to the n_items that are held.
__device__ __forceinline__ void append(unsigned chosen, int i, u64* items, int* n_items) {
  for (; chosen; chosen &= chosen - 1) items[atomicAdd(n_items, 1)] = 8 * i + __ffs(chosen) - 1;
}

// Appends the indices of all counts that reach the cut, which must fit.
__device__ __forceinline__ void append_all(const unsigned short* counts, int n, int shift, int cut, u64* items,
                                           int* n_items) {
  for (int i = threadIdx.x; i < n / 8; i += blockDim.x)
    append(chosen_of(counts, n, i, shift, cut), i, items, n_items);
}

// Returns -1 if the block's chosen entries fit after the n_items that are held, else the number held.
__device__ __forceinline__ int reserve(unsigned chosen, const int* n_items, int room) {
  __shared__ int pending;
  __syncthreads();
  int held = *n_items;
  if (threadIdx.x == 0) pending = 0;
  __syncthreads();
  int more = warp_sum(__popc(chosen));
  if ((threadIdx.x & 31) == 0 && more) atomicAdd(&pending, more);
  __syncthreads();
  return held + pending > room ? held : -1;
}

// Moves the `wanted` smallest of items[n], which are all different, to the front in any order; returns their number, n if
// there are fewer. All of the block's 256 threads take part.
__device__ int keep_smallest(u64* items, int n, int wanted, int* histogram) {
  __shared__ u64 same, differ;
  __shared__ int warp_total[8], digit, missing, n_kept;
  if (n <= wanted) return n;
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  // Digits begin at the highest bit in which any two items differ.
  u64 first = items[0], change = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) change |= items[i] ^ first;
  for (int step = 16; step; step >>= 1) change |= __shfl_xor_sync(0xffffffffu, change, step);
  if (threadIdx.x == 0) {
    differ = 0;
    same = first;
    missing = wanted;
    n_kept = 0;
  }
  __syncthreads();
  if (lane == 0) atomicOr(&differ, change);
  __syncthreads();
  int top = 64 - __clzll(differ);
  u64 mask = top < 64 ? ~0ull << top : 0, prefix = same & mask;
  // Each round finds the digit of the last wanted item, among the items that agree with it in all digits before.
  while (top > 0) {
    int shift = max(top - DIGIT_BITS, 0);
    for (int b = threadIdx.x; b < COUNT_BINS; b += blockDim.x) histogram[b] = 0;
    __syncthreads();
    for (int i = threadIdx.x; i < n; i += blockDim.x)
      if ((items[i] & mask) == prefix) atomicAdd(&histogram[(items[i] & ~mask) >> shift], 1);
    __syncthreads();
    int own = 0, before, still = missing;
    for (int b = 0; b < COUNT_BINS / 256; b++) own += histogram[threadIdx.x * (COUNT_BINS / 256) + b];
    int running = own;
    for (int step = 1; step < 32; step <<= 1) {
      int lower = __shfl_up_sync(0xffffffffu, running, step);
      if (lane >= step) running += lower;
    }
    if (lane == 31) warp_total[warp] = running;
    __syncthreads();
    before = running - own;
    for (int w = 0; w < warp; w++) before += warp_total[w];
    if (before < still && still <= before + own) {
      int b = threadIdx.x * (COUNT_BINS / 256);
      while (before + histogram[b] < still) before += histogram[b++];
      digit = b;
      missing = still - before;
    }
    __syncthreads();
    prefix |= (u64)digit << shift;
    mask = shift ? ~0ull << shift : ~0ull;
    top = shift;
    bool whole = histogram[digit] == missing;
    __syncthreads();
    if (whole) break;
  }
  // Kept items move forward only, and every thread has read its item before any is replaced.
  for (int start = 0; start < n; start += blockDim.x) {
    u64 item = start + threadIdx.x < n ? items[start + threadIdx.x] : NO_ITEM;
    bool keep = start + threadIdx.x < n && (item & mask) <= prefix;
    __syncthreads();
    if (keep) items[atomicAdd(&n_kept, 1)] = item;
    __syncthreads();
  }
  return wanted;
}

// Pads items[n] to the next power of two and sorts them; returns the number of items that are kept, at most `wanted`.
__device__ __forceinline__ int sort_and_cut(u64* items, int n, int wanted) {
  int padded = power_of_two(n);
  for (int i = n + threadIdx.x; i < padded; i += blockDim.x) items[i] = NO_ITEM;
  block_sort(items, padded);
  return min(n, wanted);
}
