// Expected number of false crystals as good as a cell, in float64; see model/chance/level.py and false_hits.py.

// The error ln n! - ln(Stirling's formula for n!).
__device__ __forceinline__ double stirling_error(double n) {
  double m = fmax(n, 1.0), square = m * m;
  return (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / (1260.0 * square)) / square) / m;
}

// log10 of Chernoff's bound on the probability of k or more of n spots.
__device__ __forceinline__ double log10_bound(double k, double n, double p) {
  double share = k / n;
  if (!(share > p)) return 0.0;
  double divergence = share * log(share / p) + (share < 1.0 ? (1.0 - share) * log((1.0 - share) / (1.0 - p)) : 0.0);
  return -n * divergence / LN10;
}

// log10 of the exact probability that k or more of n spots count, each with probability p.
__device__ double log10_exact_tail(double k, double n, double p) {
  if (!(k > n * p)) return 0.0;
  double rest = n - k, first = 0.0, odds = p / (1.0 - p), term = 1.0, total = 1.0;
  if (rest > 0.0)
    first = stirling_error(n) - stirling_error(k) - stirling_error(rest) + log(n / (TWO_PI * k * fmax(rest, 1.0))) / 2.0;
  for (int i = 0; i < TAIL_TERMS; i++) {
    term = term * odds * fmax(rest - i, 0.0) / (k + (1 + i));
    total += term;
  }
  double ratio = fmin(odds * fmax(rest - TAIL_TERMS, 0.0) / (k + (1 + TAIL_TERMS)), 0.99);
  total += term * ratio / (1.0 - ratio);
  return fmin(log10_bound(k, n, p) + (first + log(total)) / LN10, 0.0);
}

// Fills expected[F][Q] with log10 of the numbers, for counts[F][Q] of spots within radii[F][Q]. The input cells are
// input_cell[F][Q], or input_cell[F] if each frame has one.
extern "C" __global__ void expected_false(const float* xyz, i64 n_spots, const i64* offsets, i64 n_items, int n_cells,
                                          const i64* counts, const double* radii, const i64* input_cell,
                                          int one_a_frame, const double* volumes, const double* orders, int n_input,
                                          int max_spots, int n_kept, int fewest, double* expected) {
  i64 item = blockIdx.x * (i64)blockDim.x + threadIdx.x;
  if (item >= n_items) return;
  i64 frame = item / n_cells, begin = offsets[frame], n_own = offsets[frame + 1] - begin;
  if (counts[item] < fewest) {
    expected[item] = INFINITE;
    return;
  }
  double resolution = 1.0;
  if (n_own > 0) {
    i64 at = begin + (i64)(RESOLUTION_RANK * n_own);
    at = at < n_spots ? at : n_spots - 1;
    double x = xyz[at], y = xyz[n_spots + at], z = xyz[2 * n_spots + at];
    resolution = sqrt(x * x + y * y + z * z);
  }
  i64 source = input_cell[one_a_frame ? frame : item];
  double k = fmax((double)counts[item], 1.0), n = fmax((double)n_own, 1.0), radius = radii[item];
  double volume = volumes[source], order = orders[source];
  double p = fmin(FOUR_THIRDS_PI * radius * radius * radius * volume, LARGEST_PROBABILITY);
  double over = fmax(1.0 - n * p / k, FEWEST_OVER), narrowness = k * over * resolution / radius;
  double orientations = EIGHT_PI_SQUARED / order * FALSE_DENSITY /
                        (1.0 / (narrowness * narrowness * narrowness) + 1.0 / (FINEST * FINEST * FINEST));
  double needed = EVIDENCE_NEEDED +
                  EVIDENCE_GROWTH * log10(volume * resolution * resolution * resolution / order / 1000.0);
  double seen = fmin(n, (double)max_spots), share = seen / n;
  double evidence = k * over * over / n * (sqrt(seen) + LN10 / 2.0 * SHARPNESS * (1.0 - share));
  double found = -log10(1.0 + pow(10.0, fmin(SHARPNESS * (needed - evidence), 300.0)));
  double tail = log10_exact_tail(fmin(k, n), n, p);
  double whole = FALSE_SLOPE * (tail + log10(orientations) + found);
  expected[item] = fmax(whole, tail + log10((double)n_kept)) + log10((double)n_input);
}
