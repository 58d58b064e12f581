// Labels by Euclidean distance: tree and screen through match() against the brute-force loop, by
// equality.
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/screen/screen_util.h"

namespace gtn::test {
namespace {

Assignment want_of(Matrix& x, Matrix& y) {
  Team one(1);
  Problem p = make_problem(x, y, one);
  p.metric = Metric::kEuclidean;
  return brute_force(p);
}

// `count` ways from `first` on, on every level; the tree where it can.
void check_distances(Matrix& x, Matrix& y, int64_t first, int64_t count, const std::string& what) {
  const LevelKept kept;
  simd_force("scalar");
  const Assignment want = want_of(x, y);
  on_every_level([&](const SimdLevel& level) {
    simd_force(level.name);
    for (int64_t w = first; w < first + count; ++w) {
      Options options = way(w % kWays);
      options.metric = Metric::kEuclidean;
      options.out_of_core = w % 5 == 0;
      for (const Strategy strategy : {Strategy::kScreen, Strategy::kTree}) {
        if (strategy == Strategy::kTree && x.cols > 16) continue;
        options.strategy = strategy;
        Report report;
        expect_equal(run_match(x.view(), y.view(), options, report), want,
                     what + " n_x=" + std::to_string(x.rows) + " n_y=" + std::to_string(y.rows) +
                         " d=" + std::to_string(x.cols) + " float=" + std::to_string(x.is_float) +
                         " strategy=" + std::to_string(static_cast<int>(strategy)) +
                         " threads=" + std::to_string(options.threads) +
                         " block=" + std::to_string(options.block) +
                         " list=" + std::to_string(options.list_length));
      }
    }
    first += count;
  });
}

TEST_CASE("euclidean: every kind of data, level, block and list") {
  uint64_t seed = 500;
  for (int k = 0; k < static_cast<int>(Kind::kCount); ++k)
    for (const int64_t d : {1, 2, 3, 7, 16, 17, 40})
      for (const bool as_float : {false, true}) {
        const Kind kind = static_cast<Kind>(k);
        const bool zeros = ++seed % 2 == 0;
        const int64_t n = seed % 4 == 0 ? 1 : kReduced ? 60 : 150;
        Matrix x = make_matrix(n, d, kind, 0, seed, as_float, zeros);
        Matrix y = make_matrix(seed % 3 == 0 ? n : (n + 1) / 2, d, kind, 1, seed, as_float, zeros);
        check_distances(x, y, static_cast<int64_t>(seed), 4, kind_name(kind));
      }
}

TEST_CASE("euclidean: mixed rows, enough for frames, rebuilds and several panels") {
  std::mt19937_64 rng(7);
  for (const int64_t d : {2, 5, 9, 24})
    for (const bool as_float : {false, true}) {
      const int64_t n = kReduced ? 400 : 1000;
      Matrix x = mixed_matrix(n, d, rng, as_float, 0);
      Matrix y = mixed_matrix(n - 100, d, rng, as_float, 1);
      check_distances(x, y, static_cast<int64_t>(rng() % 100), kReduced ? 1 : 2, "mixed");
    }
}

// One far row makes the others lie close together in units of the radius: codes, then narrow
// frames, can hardly tell them apart.
TEST_CASE("euclidean: outliers, far centres and steps of one unit in the last place") {
  std::mt19937_64 rng(8);
  std::normal_distribution<double> normal;
  for (const double far : {1e3, 1e9, 1e16, 1e60})
    for (const double centre : {0.0, 1e6})
      for (const int64_t d : {1, 6, 20}) {
        const int64_t n = kReduced ? 120 : 300;
        Matrix x(n, d), y(n, d);
        for (int64_t r = 0; r < n; ++r)
          for (int64_t c = 0; c < d; ++c) {
            const double steps = static_cast<double>(rng() % 4);
            x(r, c) = r == 5 ? far : centre + (r % 3 == 0 ? steps * 0x1p-33 : normal(rng));
            y(r, c) = r == 7 ? -far : centre + (r % 3 == 0 ? steps * 0x1p-33 : normal(rng));
          }
        check_distances(x, y, static_cast<int64_t>(rng() % 100), 2,
                        "far=" + digits(far) + " centre=" + digits(centre));
      }
}

TEST_CASE("euclidean: values whose squares underflow, and the largest that are taken") {
  for (const double scale : {0x1p-1060, 0x1p-600, 0x1p-200, 0x1p197})
    for (const int64_t d : {1, 3, 18}) {
      Matrix x = make_matrix(120, d, Kind::kGrid, 0, 3), y = make_matrix(80, d, Kind::kGrid, 1, 3);
      for (double& v : x.f64) v *= scale;
      for (double& v : y.f64) v *= scale;
      check_distances(x, y, 11, 3, "scale=" + digits(scale));
    }
}

TEST_CASE("euclidean: what cannot be is refused") {
  Matrix x = make_matrix(4, 2, Kind::kGaussian, 0, 1), y = make_matrix(4, 2, Kind::kGaussian, 1, 1);
  Options options;
  options.metric = Metric::kEuclidean;
  Report report;
  for (const Strategy strategy : {Strategy::kRay, Strategy::kCircle}) {
    options.strategy = strategy;
    CHECK_THROWS_AS(run_match(x.view(), y.view(), options, report), std::invalid_argument);
  }
  options.strategy = Strategy::kTree;
  options.min_cosine = 0.5;
  CHECK_THROWS_AS(run_match(x.view(), y.view(), options, report), std::invalid_argument);
  options.min_cosine = kAnyCosine;
  y(2, 1) = -0x1.1p200;
  CHECK_THROWS_AS(run_match(x.view(), y.view(), options, report), std::invalid_argument);
}

}  // namespace
}  // namespace gtn::test
