// Spots and cells when a crystal is known, and comparisons of cells; see backends/judging.py.

__device__ __forceinline__ float distance_of(const Pair& p, const float* xyz, i64 n_spots, i64 at) {
  return __fsqrt_rn(square(residual(p, xyz[at], xyz[n_spots + at], xyz[2 * n_spots + at])));
}

// Counts the spots of each frame that are not closer than cutoff[F] to those of cells[F]; one warp a frame. With `out`,
// copies them to their places after offsets_out[F]; out has n_out columns.
__device__ __forceinline__ int spots_without(const float* xyz, i64 n_spots, const i64* offsets, const double* cells,
                                             const double* cutoff, int frame, float* out, i64 n_out,
                                             const i64* offsets_out) {
  int lane = threadIdx.x & 31, kept = 0;
  i64 begin = offsets[frame], n = offsets[frame + 1] - begin;
  double recip[9], limit = cutoff[frame];
  bool regular = reciprocal(cells + 9 * (i64)frame, recip);
  Pair p = pair_of(cells + 9 * (i64)frame, recip);
  for (i64 first = 0; first < n; first += 32) {
    i64 at = begin + first + lane;
    bool keep = first + lane < n && (!regular || (double)distance_of(p, xyz, n_spots, at) >= limit);
    unsigned lanes = __ballot_sync(0xffffffffu, keep);
    if (out && keep) {
      i64 to = offsets_out[frame] + kept + __popc(lanes & ((1u << lane) - 1u));
      for (int r = 0; r < 3; r++) out[r * n_out + to] = xyz[r * n_spots + at];
    }
    kept += __popc(lanes);
  }
  return kept;
}

extern "C" __global__ __launch_bounds__(128) void count_without(const float* xyz, i64 n_spots, const i64* offsets,
                                                                int n_frames, const double* cells,
                                                                const double* cutoff, i64* counts) {
  int frame = (blockIdx.x * blockDim.x + threadIdx.x) >> 5;
  if (frame >= n_frames) return;
  int kept = spots_without(xyz, n_spots, offsets, cells, cutoff, frame, nullptr, 0, nullptr);
  if ((threadIdx.x & 31) == 0) counts[frame] = kept;
}

// Fills offsets[n + 1] with the sums of all counts[n] before each; one block of 1024 threads, each with a range of counts.
extern "C" __global__ __launch_bounds__(1024) void add_up(int n, const i64* counts, i64* offsets) {
  __shared__ i64 warp_total[32];
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, each = (n + 1023) / 1024;
  int begin = min(each * (int)threadIdx.x, n), end = min(begin + each, n);
  i64 own = 0, before = 0;
  for (int i = begin; i < end; i++) own += counts[i];
  i64 running = own;
  for (int step = 1; step < 32; step <<= 1) {
    i64 lower = __shfl_up_sync(0xffffffffu, running, step);
    if (lane >= step) running += lower;
  }
  if (lane == 31) warp_total[warp] = running;
  __syncthreads();
  for (int w = 0; w < warp; w++) before += warp_total[w];
  before += running - own;
  for (int i = begin; i < end; i++) {
    offsets[i] = before;
    before += counts[i];
  }
  if (threadIdx.x == 1023) offsets[n] = before;
}

extern "C" __global__ __launch_bounds__(128) void copy_without(const float* xyz, i64 n_spots, const i64* offsets,
                                                               int n_frames, const double* cells, const double* cutoff,
                                                               const i64* offsets_out, i64 n_out, float* out) {
  int frame = (blockIdx.x * blockDim.x + threadIdx.x) >> 5;
  if (frame < n_frames) spots_without(xyz, n_spots, offsets, cells, cutoff, frame, out, n_out, offsets_out);
}

// Fills the properties of cells[F * Q] in `coverage` of backends/judging.py; one warp a cell.
extern "C" __global__ __launch_bounds__(128) void coverage(const float* xyz, i64 n_spots, const i64* offsets,
                                                           i64 n_cells, int per_frame, const double* cells,
                                                           float threshold, int fractional, int* n_indexed,
                                                           float* rmsd, float* resolution) {
  i64 index = ((i64)blockIdx.x * blockDim.x + threadIdx.x) >> 5;
  int lane = threadIdx.x & 31, count = 0, passed = 0;
  if (index >= n_cells) return;
  i64 frame = index / per_frame, begin = offsets[frame], n = offsets[frame + 1] - begin;
  double recip[9], total = 0.0;
  bool regular = reciprocal(cells + 9 * index, recip);
  Pair p = pair_of(cells + 9 * index, recip), indices = p;
  if (fractional)
    for (int i = 0; i < 9; i++) indices.recip[i] = i % 4 == 0 ? 1.0f : 0.0f;
  if (!regular) n = 0;
  for (i64 j = lane; j < n; j += 32) {
    if (!(distance_of(indices, xyz, n_spots, begin + j) < threshold)) continue;
    float distance = distance_of(p, xyz, n_spots, begin + j);
    count++;
    total += (double)__fmul_rn(distance, distance);
  }
  count = warp_sum(count);
  total = warp_sum(total);
  int left_out = count / LEFT_OUT, wanted = count - (left_out > FEWEST_LEFT_OUT ? left_out : FEWEST_LEFT_OUT);
  if (lane == 0) {
    n_indexed[index] = count;
    rmsd[index] = (float)sqrt(total / (count > 1 ? count : 1));
    if (wanted <= 0) resolution[index] = __int_as_float(0x7fc00000);
  }
  // A frame's spots ascend in |s|: the outermost that counts is the one of rank `wanted`.
  for (i64 first = 0; first < n && passed < wanted; first += 32) {
    i64 at = begin + first + lane;
    bool inside = first + lane < n && distance_of(indices, xyz, n_spots, at) < threshold;
    unsigned lanes = __ballot_sync(0xffffffffu, inside);
    if (inside && passed + __popc(lanes & ((2u << lane) - 1u)) == wanted) {
      double x = xyz[at], y = xyz[n_spots + at], z = xyz[2 * n_spots + at];
      // Rounded as on the host, without the contraction of products and sums.
      double squared = __dadd_rn(__dadd_rn(__dmul_rn(x, x), __dmul_rn(y, y)), __dmul_rn(z, z));
      resolution[index] = (float)(1.0 / sqrt(squared));
    }
    passed += __popc(lanes);
  }
}

// Lengths of three vectors, and the angles between the second and third, first and third, first and second, degrees.
__device__ __forceinline__ void shape_of(const double* cell, double* lengths, double* angles) {
  for (int r = 0; r < 3; r++)
    lengths[r] = sqrt(cell[3 * r] * cell[3 * r] + cell[3 * r + 1] * cell[3 * r + 1] + cell[3 * r + 2] * cell[3 * r + 2]);
  for (int k = 0; k < 3; k++) {
    int i = k == 0 ? 1 : 0, j = k == 2 ? 1 : 2;
    double product = dot3(cell + 3 * i, cell + 3 * j) / (fmax(lengths[i], 1e-30) * fmax(lengths[j], 1e-30));
    angles[k] = acos(fmin(fmax(product, -1.0), 1.0)) * (360.0 / TWO_PI);
  }
}

// Whether a cell differs from a given one by more than a relative change of length, or a change of angle in degrees.
__device__ __forceinline__ bool has_drifted(const double* cell, const double* given, double length, double angle) {
  double lengths[3], angles[3], wanted[3], wanted_angles[3];
  shape_of(cell, lengths, angles);
  shape_of(given, wanted, wanted_angles);
  bool off = false;
  for (int r = 0; r < 3; r++)
    off = off || fabs(lengths[r] / wanted[r] - 1.0) > length || fabs(angles[r] - wanted_angles[r]) > angle;
  return off;
}

extern "C" __global__ void drifted(i64 n, const double* cells, const double* given, double length, double angle,
                                   bool* out) {
  i64 i = blockIdx.x * (i64)blockDim.x + threadIdx.x;
  if (i < n) out[i] = has_drifted(cells + 9 * i, given + 9 * i, length, angle);
}

// Chooses refined[n] in place of cells[n] where their level is lower and they have not drifted; see
// `Judging.better_cells`.
extern "C" __global__ void better_cells(i64 n, const double* cells, const double* level, const double* radius,
                                        const int* input_cell, const double* refined, const double* refined_level,
                                        const double* refined_radius, const double* given, double length, double angle,
                                        double* cells_out, double* radius_out) {
  i64 i = blockIdx.x * (i64)blockDim.x + threadIdx.x;
  if (i >= n) return;
  bool better = refined_level[i] < level[i];
  better = better && !has_drifted(refined + 9 * i, given + 9 * (i64)max(input_cell[i], 0), length, angle);
  for (int k = 0; k < 9; k++) cells_out[9 * i + k] = better ? refined[9 * i + k] : cells[9 * i + k];
  radius_out[i] = better ? refined_radius[i] : radius[i];
}

// Decides whether the Ewald sphere of each frame is nearly flat; see `Judging.flat_frames`.
extern "C" __global__ void flat_frames(i64 n, const float* xyz, i64 n_spots, const i64* offsets, bool* flat) {
  i64 f = blockIdx.x * (i64)blockDim.x + threadIdx.x;
  if (f >= n) return;
  flat[f] = false;
  if (offsets[f + 1] == offsets[f]) return;
  i64 last = offsets[f + 1] - 1;
  double x = xyz[last], y = xyz[n_spots + last], z = xyz[2 * n_spots + last];
  // Rounded as on the host, without the contraction of products and sums.
  double squared = __dadd_rn(__dadd_rn(__dmul_rn(x, x), __dmul_rn(y, y)), __dmul_rn(z, z));
  flat[f] = 2.0 * fabs(z) < __dmul_rn(FLATTEST_WAVELENGTH, squared);
}

// Computes the inverse of a matrix; returns false for a singular matrix.
__device__ __forceinline__ bool inverse3(const double* m, double* out) {
  double recip[9];
  bool regular = reciprocal(m, recip);
  for (int i = 0; i < 9; i++) out[i] = recip[3 * (i % 3) + i / 3];
  return regular;
}

// Whether two cells are of one lattice: cell = U other (I + D) with U unimodular and |D| below a tolerance.
__device__ __forceinline__ bool equal_lattices(const double* cell, const double* other, double tolerance) {
  double inverse[9], basis[9], back[9], left[9], deformation[9], squares = 0.0;
  if (!inverse3(other, inverse)) return false;
  product3(cell, inverse, basis);
  for (int k = 0; k < 9; k++) basis[k] = rint(basis[k]);
  double determinant = basis[0] * (basis[4] * basis[8] - basis[5] * basis[7]) -
                       basis[1] * (basis[3] * basis[8] - basis[5] * basis[6]) +
                       basis[2] * (basis[3] * basis[7] - basis[4] * basis[6]);
  if (!(fabs(fabs(determinant) - 1.0) < 1e-3)) return false;
  inverse3(basis, back);
  product3(inverse, back, left);
  product3(left, cell, deformation);
  for (int k = 0; k < 9; k++) {
    double d = deformation[k] - (k % 4 == 0 ? 1.0 : 0.0);
    squares += d * d;
  }
  return sqrt(squares) < tolerance;
}

// Decides on refined cells[n] of frames that pass; see `Judging.check_cells`. `known`[n][n_known] are earlier crystals.
extern "C" __global__ void check_cells(i64 n, const bool* passes, const double* cells, const int* input_cell,
                                       const double* false_hits, const double* radius, const double* cutoff,
                                       const double* known, int n_known, double lost, double length, double angle,
                                       double merge, const double* given, const double* largest, bool* is_new,
                                       double* known_out, unsigned char* reason, double* cutoff_out) {
  i64 i = blockIdx.x * (i64)blockDim.x + threadIdx.x;
  if (i >= n) return;
  int why = FATE_NONE;
  bool fresh = passes[i];
  const double* cell = cells + 9 * i;
  if (fresh && false_hits[i] > lost)
    why = FATE_LOST;
  else if (fresh && has_drifted(cell, given + 9 * (i64)input_cell[i], length, angle))
    why = FATE_DRIFTED;
  bool kept = fresh && why == FATE_NONE;
  fresh = kept;
  for (int k = 0; k < n_known && fresh && merge > 0.0; k++)
    fresh = !equal_lattices(cell, known + 9 * (i * n_known + k), merge);
  is_new[i] = fresh;
  reason[i] = why;
  cutoff_out[i] = kept ? fmax(radius[i], fmin(cutoff[i], largest[input_cell[i]])) : 0.0;
  for (int k = 0; k < 9; k++) known_out[9 * i + k] = fresh ? cell[k] : (k % 4 == 0 ? NO_LATTICE : 0.0);
}

// Fills cells[n] with the canonical settings of start[n]; see model.orientation.canonical_setting. The operators of input cell m
// are operators[first[m]] to operators[first[m + 1]]; cells of no input cell stay as they are.
extern "C" __global__ void set_canonically(i64 n, const int* input_cell, const double* given, const double* operators,
                                           const i64* first, const double* start, double* cells) {
  i64 i = blockIdx.x * (i64)blockDim.x + threadIdx.x;
  if (i >= n) return;
  for (int k = 0; k < 9; k++) cells[9 * i + k] = start[9 * i + k];
  if (input_cell[i] < 0) return;
  int m = input_cell[i];
  const double* reference = given + 9 * (i64)m;
  double cell[9], inverse[9], base[9], best[9], lengths[3], smallest = INFINITE, least = INFINITE;
  for (int k = 0; k < 9; k++) best[k] = cell[k] = start[9 * i + k];
  for (int r = 0; r < 3; r++) lengths[r] = sqrt(dot3(reference + 3 * r, reference + 3 * r));
  inverse3(reference, inverse);
  // First the best agreement of any metric tensor, then the smallest rotation among the bases that agree as well.
  for (int pass = 0; pass < 2; pass++)
    for (i64 o = first[m]; o < first[m + 1]; o++) {
      product3(operators + 9 * o, cell, base);
      double mismatch = 0.0, turned = 0.0;
      for (int r = 0; r < 3; r++)
        for (int q = 0; q < 3; q++)
          mismatch = fmax(mismatch, fabs(dot3(base + 3 * r, base + 3 * q) - dot3(reference + 3 * r, reference + 3 * q)) /
                                        (lengths[r] * lengths[q]));
      if (pass == 0) {
        smallest = fmin(smallest, mismatch);
        continue;
      }
      if (mismatch > smallest + 1e-4) continue;
      for (int r = 0; r < 3; r++)
        for (int q = 0; q < 3; q++) turned -= inverse[3 * r + q] * base[3 * q + r];
      // Rounding makes equal rotations tie, whatever their last digit.
      turned = rint(turned * 1e6) / 1e6;
      if (turned < least) {
        least = turned;
        for (int k = 0; k < 9; k++) best[k] = base[k];
      }
    }
  for (int k = 0; k < 9; k++) cells[9 * i + k] = best[k];
}
