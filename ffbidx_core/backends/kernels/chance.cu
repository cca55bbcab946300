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

// Constants of the judgement of cells: the numbers of input cells, of spots in the search and of its cells, and the
// number of spots that a crystal must have.
struct Rules {
  int n_input, max_spots, n_kept, fewest;
};

// The spots of a frame: the place of the first, their number, and the distance from the origin within which the
// fraction RESOLUTION_RANK of them lies.
struct Own {
  i64 begin, n;
  double resolution;
};

__device__ __forceinline__ Own own_spots(const float* xyz, i64 n_spots, const i64* offsets, i64 frame) {
  Own own = {offsets[frame], offsets[frame + 1] - offsets[frame], 1.0};
  if (own.n > 0) {
    i64 at = own.begin + (i64)(RESOLUTION_RANK * own.n);
    at = at < n_spots ? at : n_spots - 1;
    double x = xyz[at], y = xyz[n_spots + at], z = xyz[2 * n_spots + at];
    own.resolution = sqrt(x * x + y * y + z * z);
  }
  return own;
}

__device__ __forceinline__ double probability(double radius, double volume) {
  return fmin(FOUR_THIRDS_PI * radius * radius * radius * volume, LARGEST_PROBABILITY);
}

// log10 of the expected number of false crystals as good as a cell with `count` of the frame's spots within a radius.
__device__ double expected_false(i64 count, double radius, double volume, double order, const Own& own,
                                 const Rules& rules) {
  if (count < rules.fewest) return INFINITE;
  double resolution = own.resolution;
  double k = fmax((double)count, 1.0), n = fmax((double)own.n, 1.0), p = probability(radius, volume);
  double over = fmax(1.0 - n * p / k, FEWEST_OVER), narrowness = k * over * resolution / radius;
  double orientations = EIGHT_PI_SQUARED / order * FALSE_DENSITY /
                        (1.0 / (narrowness * narrowness * narrowness) + 1.0 / (FINEST * FINEST * FINEST));
  double needed = EVIDENCE_NEEDED +
                  EVIDENCE_GROWTH * log10(volume * resolution * resolution * resolution / order / 1000.0);
  double seen = fmin(n, (double)rules.max_spots), share = seen / n;
  double evidence = k * over * over / n * (sqrt(seen) + LN10 / 2.0 * SHARPNESS * (1.0 - share));
  double found = -log10(1.0 + pow(10.0, fmin(SHARPNESS * (needed - evidence), 300.0)));
  double tail = log10_exact_tail(fmin(k, n), n, p);
  double whole = FALSE_SLOPE * (tail + log10(orientations) + found);
  return fmax(whole, tail + log10((double)rules.n_kept)) + log10((double)rules.n_input);
}
