// The tree against the brute-force loop and, in two dimensions, the circle, by equality.
#include <random>
#include <string>
#include <vector>

#include "tests/levels_util.h"
#include "tests/lowdim_util.h"

namespace gtn::test {

TEST_CASE("tree: every kind of data, block, list and level") {
  const LevelKept kept;
  const std::vector<const SimdLevel*> levels = simd_usable();
  for_cases({2, 3, 4, 5, 8, 9, 16}, 2000, [&](const LowDimCase& c, uint64_t seed) {
    std::vector<Options> all_options;
    for (const int64_t block : {int64_t{0}, int64_t{1}, int64_t{37}, c.n_y})
      for (const int64_t list : {0, 1, 3}) {
        Options options;
        options.block = block;
        options.list_length = list;
        all_options.push_back(options);
      }
    // Runs take turns at the levels, and large cases at the runs.
    check_case(match_tree, c, seed, all_options, [&](uint64_t run) {
      if (c.n_x > 100 && run % (kReduced ? 9 : 7) != 0) return false;
      simd_force(levels[run / 7 % levels.size()]->name);
      return true;
    });
  });
}

// Large enough for several levels of nodes, radix passes and rebuilds.
TEST_CASE("tree: the same whatever the blocks, lists, threads and level") {
  const LevelKept kept;
  for (int k = 0; k < static_cast<int>(Kind::kCount); ++k)
    for (const int64_t d : {2, 3, 6}) {
      const Kind kind = static_cast<Kind>(k);
      Team two(2), three(3);
      const int64_t n = kReduced ? 4000 : 12000;
      Matrix x = make_matrix(n, d, kind, 0, 77, true, k % 2 == 1);
      Matrix y = make_matrix(n - 1000 * (k % 2), d, kind, 1, 77, true, k % 3 == 1);
      const Problem p = make_problem(x, y, two);
      const std::string what = std::string(kind_name(kind)) + " d=" + std::to_string(d);
      Options options;
      const Assignment want = run_strategy(d == 2 ? match_circle : match_tree, p, options, two);
      options.block = 5000;
      options.list_length = 1;
      expect_equal(run_strategy(match_tree, p, options, three), want, what + ", lists of one");
      options.block = 0;
      options.list_length = 7;
      simd_force("scalar");
      expect_equal(run_strategy(match_tree, p, options, two), want, what + ", lists of seven");
      simd_force(simd_usable().front()->name);
    }
}

// Directions closer together than float tells apart, with exact ties and duplicates among them:
// what waits for its evaluation overflows, and the limits in float must not cost a candidate.
TEST_CASE("tree: clusters about as wide as float's last bit") {
  const LevelKept kept;
  std::mt19937_64 rng(11);
  std::normal_distribution<double> normal;
  Team two(2);
  uint64_t run = 0;
  const std::vector<const SimdLevel*> levels = simd_usable();
  for (const double width : {1e-5, 1e-6, 3e-7, 1e-7, 3e-8, 1e-9, 1e-12})
    for (const int64_t d : {2, 3, 5, 8, 16}) {
      const int64_t n = kReduced ? 120 : 400, clusters = 3;
      Matrix centre(clusters, d, false), x(n, d, false), y(n, d, false);
      for (int64_t r = 0; r < clusters; ++r)
        for (int64_t c = 0; c < d; ++c) centre(r, c) = c == 0 ? 1.0 : normal(rng);
      for (int64_t r = 0; r < n; ++r)
        for (int64_t c = 0; c < d; ++c) {
          // Every seventh x repeats the one before it, longer.
          x(r, c) = r % 7 == 6 ? 2.0 * x(r - 1, c) : centre(r % clusters, c) + width * normal(rng);
          y(r, c) = centre(r * 5 % clusters, c) + width * normal(rng);
        }
      const Problem p = make_problem(x, y, two);
      const Assignment want = brute_force(p);
      for (const int64_t list : {1, 2, 16}) {
        Options options;
        options.list_length = list;
        options.block = 100;
        simd_force(levels[run++ % levels.size()]->name);
        expect_equal(
            run_strategy(match_tree, p, options, two), want,
            "width " + digits(width) + " d=" + std::to_string(d) + " list=" + std::to_string(list));
      }
    }
}

}  // namespace gtn::test
