// Y's that take none: every strategy through match() against the brute-force loop, by equality.
#include <algorithm>
#include <string>
#include <vector>

#include "tests/test_util.h"

namespace gtn::test {
namespace {

std::vector<Strategy> strategies(int64_t d) {
  std::vector<Strategy> all{Strategy::kScreen};
  if (d == 1) all.push_back(Strategy::kRay);
  if (d == 2) all.push_back(Strategy::kCircle);
  if (d >= 2 && d <= 16) all.push_back(Strategy::kTree);
  return all;
}

// A bound below which about that share of the cosines lies.
double quantile(const std::vector<double>& cosine, double share) {
  std::vector<double> sorted(cosine);
  std::sort(sorted.begin(), sorted.end());
  return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))];
}

void check_bound(Matrix& x, Matrix& y, double bound, const std::string& what) {
  Control control;
  Team one(1, &control);
  Problem p = make_problem(x, y, one);
  p.min_cosine = bound;
  const Assignment want = brute_force(p);
  for (const Strategy strategy : strategies(x.cols))
    for (const int64_t block : {0, 5}) {
      Options options;
      options.strategy = strategy;
      options.threads = block == 0 ? 2 : 1;
      options.block = block;
      options.list_length = block == 0 ? 0 : 1;
      options.min_cosine = bound;
      Control watched;
      Assignment got;
      Report report;
      match(p.x, p.y, {}, {}, options, watched, got, report);
      expect_equal(got, want,
                   what + " bound=" + digits(bound) +
                       " strategy=" + std::to_string(static_cast<int>(strategy)) +
                       " block=" + std::to_string(block));
      CHECK(watched.settled.load() == p.n_y());
    }
}

TEST_CASE("min_cosine: every kind of data, and more y's than x's") {
  uint64_t seed = 40;
  for (int k = 0; k < static_cast<int>(Kind::kCount); ++k)
    for (const int64_t d : {1, 2, 3, 33})
      for (const bool zeros : {false, true})
        for (const int64_t n_y : {1, 60, 150}) {
          const Kind kind = static_cast<Kind>(k);
          Matrix x = make_matrix(90, d, kind, 0, ++seed, true, zeros);
          Matrix y = make_matrix(n_y, d, kind, 1, seed, true, zeros);
          Control control;
          Team one(1, &control);
          Problem p = make_problem(x, y, one);
          p.min_cosine = -2.0;
          std::vector<double> cosine = brute_force(p).cosine;
          std::erase_if(cosine, [](double c) { return std::isnan(c); });
          const std::string what = std::string(kind_name(kind)) + " d=" + std::to_string(d) +
                                   " n_y=" + std::to_string(n_y) +
                                   " zeros=" + std::to_string(zeros);
          for (const double bound : {-2.0, 0.0, quantile(cosine, 0.3), quantile(cosine, 0.9), 2.0})
            check_bound(x, y, bound, what);
        }
}

}  // namespace
}  // namespace gtn::test
