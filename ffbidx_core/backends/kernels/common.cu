// Definitions that all kernels share. The letters of array shapes are those of model/records/batch.py: F frames, N
// spots, G length groups, C candidates, Q cells. Spots are xyz[3][N], of which frame f owns the columns offsets[f] to
// offsets[f + 1]. Cells are rows a, b, c in float64.

typedef long long i64;
typedef unsigned long long u64;

// Nearest integer for |x| < 2^22, by two full-rate additions, which intrinsics keep the compiler from folding away.
__device__ __forceinline__ float nearest(float x) {
  return __fadd_rn(__fadd_rn(x, 12582912.0f), -12582912.0f);
}

__device__ __forceinline__ float from_nearest(float x) { return x - nearest(x); }

// Square root within two units in the last place, in one instruction of the special-function unit.
__device__ __forceinline__ float fast_sqrt(float x) {
  float root;
  asm("sqrt.approx.f32 %0, %1;" : "=f"(root) : "f"(x));
  return root;
}

// Maps a float to an unsigned integer such that the order is kept; `unordered` is the inverse.
__device__ __forceinline__ unsigned ordered(float x) {
  unsigned u = __float_as_uint(x);
  return (u & 0x80000000u) ? ~u : (u | 0x80000000u);
}

__device__ __forceinline__ float unordered(unsigned u) {
  return __uint_as_float((u & 0x80000000u) ? (u & 0x7fffffffu) : ~u);
}

// Sum over the lanes of a warp, in a fixed order; every lane gets the same bits.
__device__ __forceinline__ float warp_sum(float x) {
  for (int lane = 16; lane; lane >>= 1) x += __shfl_xor_sync(0xffffffffu, x, lane);
  return x;
}

__device__ __forceinline__ double warp_sum(double x) {
  for (int lane = 16; lane; lane >>= 1) x += __shfl_xor_sync(0xffffffffu, x, lane);
  return x;
}

__device__ __forceinline__ int warp_sum(int x) {
  for (int lane = 16; lane; lane >>= 1) x += __shfl_xor_sync(0xffffffffu, x, lane);
  return x;
}

__device__ __forceinline__ u64 warp_min(u64 x) {
  for (int lane = 16; lane; lane >>= 1) {
    u64 other = __shfl_xor_sync(0xffffffffu, x, lane);
    x = other < x ? other : x;
  }
  return x;
}

// Sorts n = 2^k numbers in shared or global memory; one block takes part.
__device__ void block_sort(u64* items, int n) {
  for (int size = 2; size <= n; size <<= 1) {
    for (int stride = size >> 1; stride; stride >>= 1) {
      __syncthreads();
      for (int i = threadIdx.x; i < n >> 1; i += blockDim.x) {
        int low = 2 * i - (i & (stride - 1)), high = low + stride;
        u64 a = items[low], b = items[high];
        if ((a > b) == ((low & size) == 0)) {
          items[low] = b;
          items[high] = a;
        }
      }
    }
  }
  __syncthreads();
}

__device__ __forceinline__ int power_of_two(int n) {
  int p = 1;
  while (p < n) p <<= 1;
  return p;
}

// Constants of the product of factors, in the order of model.factors.Factors.
struct Trims {
  float low, high, scale, shift, half, span;
  int every;
};

// Computes the reciprocal cell, rows a*, b*, c*; returns false for a singular cell.
template <typename T>
__device__ __forceinline__ bool reciprocal(const T* cell, T* out) {
#pragma unroll
  for (int r = 0; r < 3; r++) {
    const int s = (r + 1) % 3, t = (r + 2) % 3;
#pragma unroll
    for (int q = 0; q < 3; q++) {
      const int u = (q + 1) % 3, v = (q + 2) % 3;
      out[3 * r + q] = cell[3 * s + u] * cell[3 * t + v] - cell[3 * s + v] * cell[3 * t + u];
    }
  }
  T determinant = cell[0] * out[0] + cell[1] * out[1] + cell[2] * out[2];
  if (determinant == (T)0) return false;
#pragma unroll
  for (int i = 0; i < 9; i++) out[i] /= determinant;
  return true;
}

// Solves m x = right for the symmetric matrix m = (xx, xy, xz, yy, yz, zz); returns false if its determinant, divided
// by its trace, does not exceed `smallest`.
__device__ __forceinline__ bool solve3(const double* normal, const double* right, double smallest, double* x) {
  double a = normal[0], b = normal[1], c = normal[2], d = normal[3], e = normal[4], f = normal[5];
  double c00 = d * f - e * e, c01 = c * e - b * f, c02 = b * e - c * d;
  double c11 = a * f - c * c, c12 = b * c - a * e, c22 = a * d - b * b;
  double determinant = a * c00 + b * c01 + c * c02, trace = a + d + f;
  if (!(determinant > smallest * trace * trace * trace)) return false;
  x[0] = (c00 * right[0] + c01 * right[1] + c02 * right[2]) / determinant;
  x[1] = (c01 * right[0] + c11 * right[1] + c12 * right[2]) / determinant;
  x[2] = (c02 * right[0] + c12 * right[1] + c22 * right[2]) / determinant;
  return true;
}
