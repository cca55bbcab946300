// Step 3: input cells laid on candidate vectors at all angles.
//
// The spots are rotated once onto a candidate's own axes (u, w, z), after which an angle costs four products and two
// roundings a spot. A spot far from the lattice planes of the axis neither counts nor changes its factor at any angle,
// so that only the near spots, about a third, take part in the loop over angles.

#define ANGLE_THREADS 64
#define COUNT_ANGLES 8
#define NEAR_SPOTS 512

// One way to lay an input cell on a candidate; see SearchPlan. `base` is the cell at angle 0 on the candidate's axes.
struct Seed {
  double base[9];
  double turn;
  int group, n_angles, axis, input_cell;
};

// The axes of a candidate v as rows u, w, z, with z along v.
__device__ __forceinline__ void candidate_frame(const double* v, double* frame) {
  double norm = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
  double z0 = v[0] / norm, z1 = v[1] / norm, z2 = v[2] / norm;
  bool first = fabs(z0) < 0.6;
  double u0 = first ? 0.0 : -z2, u1 = first ? z2 : 0.0, u2 = first ? -z1 : z0;
  norm = sqrt(u0 * u0 + u1 * u1 + u2 * u2);
  u0 /= norm;
  u1 /= norm;
  u2 /= norm;
  frame[0] = u0;
  frame[1] = u1;
  frame[2] = u2;
  frame[3] = z1 * u2 - z2 * u1;
  frame[4] = z2 * u0 - z0 * u2;
  frame[5] = z0 * u1 - z1 * u0;
  frame[6] = z0;
  frame[7] = z1;
  frame[8] = z2;
}

// Fills frames[F][G][C][9] with the axes of the candidates in float32, one thread each; nan if there is no candidate.
extern "C" __global__ void frame_candidates(const double* vectors, i64 n, float* frames) {
  i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  double frame[9];
  candidate_frame(vectors + 3 * i, frame);
  for (int k = 0; k < 9; k++) frames[9 * i + k] = (float)frame[k];
}

// The near spots of this block's two warps; each warp stores those of its half of the spots, in their order.
struct Near {
  float4 rows[NEAR_SPOTS];   // coordinates along u and w, contribution of the one along z to the two other indices
  float squared[NEAR_SPOTS]; // squared deviation along the axis
  int count[2];
};

__device__ void gather_near(const float* xyz, i64 n_spots, i64 begin, int n, const float* frame, float length, float a,
                            float b, float reach, Near* near) {
  int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, half = NEAR_SPOTS / 2;
  int first = warp ? (n + 1) / 2 : 0, last = warp ? n : (n + 1) / 2, count = 0;
  for (int i = first; i < last; i += 32) {
    bool keep = false;
    float along = 0.0f, d = 0.0f, s0 = 0.0f, s1 = 0.0f, s2 = 0.0f;
    if (i + lane < last) {
      i64 j = begin + i + lane;
      s0 = xyz[j];
      s1 = xyz[n_spots + j];
      s2 = xyz[2 * n_spots + j];
      along = fmaf(frame[6], s0, fmaf(frame[7], s1, frame[8] * s2));
      d = from_nearest(length * along);
      keep = fabsf(d) < reach;
    }
    unsigned kept = __ballot_sync(0xffffffffu, keep);
    if (keep) {
      int slot = warp * half + count + __popc(kept & ((1u << lane) - 1));
      near->rows[slot] = make_float4(fmaf(frame[0], s0, fmaf(frame[1], s1, frame[2] * s2)),
                                     fmaf(frame[3], s0, fmaf(frame[4], s1, frame[5] * s2)), a * along, b * along);
      near->squared[slot] = d * d;
    }
    count += __popc(kept);
  }
  if (lane == 0) near->count[warp] = count;
}

// Fills counts[F][S * C][stride] with the numbers of near spots at every angle, for the published method, in which
// every angle competes. Only spots within `limit` of a lattice plane of the axis can count. The grid is (S * C,
// frames).
extern "C" __global__ __launch_bounds__(ANGLE_THREADS) void count_angles(
    const Seed* seeds, const float4* turns, const float* frames, int n_groups, int n_candidates, const float* xyz,
    i64 n_spots, const i64* offsets, int first_frame, int max_spots, float limit, int stride, int largest,
    unsigned short* counts) {
  __shared__ Near near;
  __shared__ Seed seed;
  __shared__ float frame[9];
  int s = blockIdx.x / n_candidates, c = blockIdx.x % n_candidates, f = first_frame + blockIdx.y;
  if (threadIdx.x < sizeof(Seed) / 4) ((int*)&seed)[threadIdx.x] = ((const int*)(seeds + s))[threadIdx.x];
  __syncthreads();
  i64 begin = offsets[f];
  int n = min((int)(offsets[f + 1] - begin), max_spots), axis = seed.axis;
  const float* mine = frames + (((i64)f * n_groups + seed.group) * n_candidates + c) * 9;
  unsigned short* out = counts + ((i64)blockIdx.y * gridDim.x + blockIdx.x) * stride;
  bool empty = n == 0 || isnan(mine[0]);
  for (int i = (empty ? 0 : seed.n_angles) + threadIdx.x; i < stride; i += ANGLE_THREADS) out[i] = NO_COUNT;
  if (empty) return;
  if (threadIdx.x < 9) frame[threadIdx.x] = mine[threadIdx.x];
  __syncthreads();
  float length = seed.base[3 * axis + 2], a = seed.base[3 * ((axis + 1) % 3) + 2];
  float b = seed.base[3 * ((axis + 2) % 3) + 2], squared = limit * limit;
  for (int first = 0; first < seed.n_angles; first += COUNT_ANGLES * ANGLE_THREADS) {
    float4 turn[COUNT_ANGLES];
    int count[COUNT_ANGLES];
#pragma unroll
    for (int k = 0; k < COUNT_ANGLES; k++) {
      turn[k] = turns[s * largest + min(first + k * ANGLE_THREADS + (int)threadIdx.x, seed.n_angles - 1)];
      count[k] = 0;
    }
    for (int start = 0; start < n; start += NEAR_SPOTS) {
      if (first == 0 || n > NEAR_SPOTS) {
        __syncthreads();
        gather_near(xyz, n_spots, begin + start, min(n - start, NEAR_SPOTS), frame, length, a, b, limit, &near);
        __syncthreads();
      }
      for (int half = 0; half < 2; half++) {
        const float4* rows = near.rows + half * (NEAR_SPOTS / 2);
        const float* along = near.squared + half * (NEAR_SPOTS / 2);
        int m = near.count[half];
#pragma unroll 2
        for (int i = 0; i < m; i++) {
          float4 spot = rows[i];
          float rest = squared - along[i];
#pragma unroll
          for (int k = 0; k < COUNT_ANGLES; k++) {
            float x = from_nearest(fmaf(turn[k].x, spot.x, fmaf(turn[k].y, spot.y, spot.z)));
            float y = from_nearest(fmaf(turn[k].z, spot.x, fmaf(turn[k].w, spot.y, spot.w)));
            count[k] += fmaf(x, x, y * y) < rest;
          }
        }
      }
    }
#pragma unroll
    for (int k = 0; k < COUNT_ANGLES; k++) {
      int angle = first + k * ANGLE_THREADS + threadIdx.x;
      if (angle < seed.n_angles) out[angle] = count[k];
    }
  }
}
