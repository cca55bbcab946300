// Sorting of each frame's spots by (|s|^2, x, y, z), one block a frame. |s|^2 is in float64, whose precision is enough
// for the contraction of products and sums not to matter.

struct SpotOrder {
  double square;
  int spot;
};

__device__ __forceinline__ bool after(SpotOrder a, SpotOrder b, const float* spots) {
  if (a.square != b.square) return a.square > b.square;
  if (a.spot < 0 || b.spot < 0) return a.spot < b.spot;
  for (int r = 0; r < 3; r++) {
    float u = spots[3 * (i64)a.spot + r], v = spots[3 * (i64)b.spot + r];
    if (u != v) return u > v;
  }
  return false;
}

// Sorts spots[N][3] into xyz[3][N]. `scratch` holds `largest` = 2^k entries a frame if shared memory is too small.
extern "C" __global__ void sort_spots(const float* spots, const i64* offsets, i64 n_spots, int largest,
                                      SpotOrder* scratch, float* xyz) {
  extern __shared__ double shared_order[];
  SpotOrder* items = scratch ? scratch + (i64)blockIdx.x * largest : (SpotOrder*)shared_order;
  i64 begin = offsets[blockIdx.x];
  int n = offsets[blockIdx.x + 1] - begin, padded = power_of_two(n);
  const float* mine = spots + 3 * begin;
  for (int i = threadIdx.x; i < padded; i += blockDim.x) {
    items[i].square = 1e300;
    items[i].spot = -1;
    if (i < n) {
      double x = mine[3 * i], y = mine[3 * i + 1], z = mine[3 * i + 2];
      items[i].square = x * x + y * y + z * z;
      items[i].spot = i;
    }
  }
  for (int size = 2; size <= padded; size <<= 1) {
    for (int stride = size >> 1; stride; stride >>= 1) {
      __syncthreads();
      for (int i = threadIdx.x; i < padded >> 1; i += blockDim.x) {
        int low = 2 * i - (i & (stride - 1)), high = low + stride;
        SpotOrder a = items[low], b = items[high];
        if (after(a, b, mine) == ((low & size) == 0)) {
          items[low] = b;
          items[high] = a;
        }
      }
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < n; i += blockDim.x)
    for (int r = 0; r < 3; r++) xyz[r * n_spots + begin + i] = mine[3 * items[i].spot + r];
}
