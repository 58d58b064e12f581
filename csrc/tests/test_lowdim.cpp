// ray, circle and tree against the brute-force loop, by equality; the radix sort
// and the classes of equal directions against their definitions.
#include <algorithm>
#include <numeric>

#include "engine/radix.h"
#include "strategies/circle/bitmap.h"
#include "strategies/common/classes.h"
#include "tests/test_util.h"

namespace gtn::test {
namespace {

Assignment run_strategy(Strategy strategy, const Problem& p, const Options& options, Team& team) {
  Report report;
  Assignment out;
  out.x_row.resize(static_cast<size_t>(p.n_y()));
  out.cosine.resize(out.x_row.size());
  if (strategy == Strategy::kRay)
    match_ray(p, options, team, report, out);
  else if (strategy == Strategy::kCircle)
    match_circle(p, options, team, report, out);
  else
    match_tree(p, options, team, report, out);
  return out;
}

struct Case {
  Kind kind;
  int64_t n_x, n_y, d;
  bool as_float, zeros;
};

void check_case(const Case& c, uint64_t seed) {
  Matrix x = make_matrix(c.n_x, c.d, c.kind, 0, seed, c.as_float, c.zeros);
  Matrix y = make_matrix(c.n_y, c.d, c.kind, 1, seed, c.as_float, c.zeros);
  std::vector<Strategy> strategies;
  if (c.d == 1) strategies.push_back(Strategy::kRay);
  if (c.d == 2) strategies.push_back(Strategy::kCircle);
  if (c.d >= 2 && c.d <= 16) strategies.push_back(Strategy::kTree);
  Control control;
  Team one(1, &control);
  const Problem p = make_problem(x, y, one);
  const Assignment want = brute_force(p);
  uint64_t turn = seed;
  for (const int threads : {1, 2, 3}) {
    Team team(threads, &control);
    for (const Strategy strategy : strategies) {
      for (const int64_t block : {int64_t{0}, int64_t{1}, int64_t{37}, c.n_y}) {
        if (block != 0 && strategy != Strategy::kTree) continue;
        for (const int64_t list : {0, 1, 3}) {
          if (list != 0 && strategy != Strategy::kTree) continue;
          // Large cases take turns at the combinations.
          if (strategy == Strategy::kTree && c.n_x > 100 && ++turn % (kReduced ? 9 : 7) != 0)
            continue;
          Options options;
          options.strategy = strategy;
          options.threads = threads;
          options.block = block;
          options.list_length = list;
          const Assignment got = run_strategy(strategy, p, options, team);
          expect_equal(got, want,
                       std::string(kind_name(c.kind)) + " n_x=" + std::to_string(c.n_x) +
                           " n_y=" + std::to_string(c.n_y) + " d=" + std::to_string(c.d) +
                           " float=" + std::to_string(c.as_float) +
                           " zeros=" + std::to_string(c.zeros) +
                           " strategy=" + std::to_string(static_cast<int>(strategy)) +
                           " threads=" + std::to_string(threads) +
                           " block=" + std::to_string(block) + " list=" + std::to_string(list));
          GTN_CHECK(control.done.load() == c.n_y, "progress ends at n_y");
          control.done = 0;
        }
      }
    }
  }
}

void test_strategies() {
  uint64_t seed = 1;
  for (int k = 0; k < static_cast<int>(Kind::kCount); ++k)
    for (const int64_t d : {1, 2, 3, 4, 5, 8, 9, 16})
      for (const bool as_float : {false, true})
        for (const bool zeros : {false, true}) {
          const Kind kind = static_cast<Kind>(k);
          check_case({kind, 1, 1, d, as_float, zeros}, ++seed);
          check_case({kind, 40, 40, d, as_float, zeros}, ++seed);
          const int64_t n = kReduced ? 250 : 700;
          check_case({kind, n, d < 4 ? n : n / 2, d, as_float, zeros}, ++seed);
        }
}

// Large enough for several levels, radix passes and rebuilds; the tree must
// not care about blocks, lists and threads, and agree with the circle.
void test_invariance() {
  for (int k = 0; k < static_cast<int>(Kind::kCount); ++k)
    for (const int64_t d : {2, 3, 6}) {
      const Kind kind = static_cast<Kind>(k);
      Team two(2), three(3);
      const int64_t n = kReduced ? 4000 : 12000;
      Matrix x = make_matrix(n, d, kind, 0, 77, true, k % 2 == 1);
      Matrix y = make_matrix(n - 1000 * (k % 2), d, kind, 1, 77, true, k % 3 == 1);
      const Problem p = make_problem(x, y, two);
      Options options;
      const Assignment want =
          run_strategy(d == 2 ? Strategy::kCircle : Strategy::kTree, p, options, two);
      options.block = 5000;
      options.list_length = 1;
      expect_equal(run_strategy(Strategy::kTree, p, options, three), want,
                   std::string("invariance, lists of one: ") + kind_name(kind));
      options.block = 0;
      options.list_length = 7;
      expect_equal(run_strategy(Strategy::kTree, p, options, two), want,
                   std::string("invariance, lists of seven: ") + kind_name(kind));
    }
}

void test_stable_order() {
  std::mt19937_64 rng(7);
  for (const int threads : {1, 3})
    for (const int64_t n : {0, 1, 2, 100, 5000, kReduced ? 20000 : 70000})
      for (const int bits : {0, 3, 20, 40, 64})
        for (const uint64_t base : {uint64_t{0}, uint64_t{1} << 40}) {
          Team team(threads);
          std::vector<uint64_t> keys(static_cast<size_t>(n));
          for (uint64_t& k : keys) {
            const uint64_t r = bits == 0 ? 0 : rng() >> (64 - bits);
            k = rng() % 2 ? r : base + (r & 7);
          }
          std::vector<uint32_t> want(keys.size());
          std::iota(want.begin(), want.end(), 0u);
          std::stable_sort(want.begin(), want.end(),
                           [&](uint32_t a, uint32_t b) { return keys[a] < keys[b]; });
          GTN_CHECK(stable_order(keys.data(), n, team) == want, "n=%lld bits=%d",
                    static_cast<long long>(n), bits);
        }
}

void test_shrinking_set() {
  std::mt19937_64 rng(11);
  for (const int64_t n : {1, 2, 63, 64, 65, 4096, 4097, kReduced ? 10000 : 70000}) {
    ShrinkingSet set(n);
    std::vector<bool> member(static_cast<size_t>(n), true);
    for (int64_t erased = 0; erased < n; ++erased) {
      int64_t at = set.at_or_after(static_cast<int64_t>(rng() % static_cast<uint64_t>(n)));
      if (at < 0) at = set.at_or_after(0);
      GTN_CHECK(at >= 0 && member[static_cast<size_t>(at)], "n=%lld", static_cast<long long>(n));
      set.erase(at);
      member[static_cast<size_t>(at)] = false;
      if (n > 5000 && erased % 100 != 0) continue;
      const int64_t from = static_cast<int64_t>(rng() % static_cast<uint64_t>(n));
      int64_t after = from, before = from;
      while (after < n && !member[static_cast<size_t>(after)]) ++after;
      while (before >= 0 && !member[static_cast<size_t>(before)]) --before;
      GTN_CHECK(set.at_or_after(from) == (after == n ? -1 : after), "after %lld",
                static_cast<long long>(from));
      GTN_CHECK(set.at_or_before(from) == before, "before %lld", static_cast<long long>(from));
    }
  }
}

void test_classes() {
  for (int k = 0; k < static_cast<int>(Kind::kCount); ++k) {
    Team team(2);
    Matrix x = make_matrix(600, 3, static_cast<Kind>(k), 0, 5, false, k % 2 == 0);
    Matrix y = make_matrix(1, 3, Kind::kGaussian, 1, 5);
    const Problem p = make_problem(x, y, team);
    const DirectionClasses classes = direction_classes(p, team);
    std::vector<std::vector<double>> u(600, std::vector<double>(3));
    for (size_t rank = 0; rank < 600; ++rank) {
      const uint32_t row = p.x_by_norm[rank];
      row_direction(p.x, row, p.x_scale[row], u[rank].data());
    }
    std::vector<bool> seen(600, false);
    for (uint32_t c = 0; c < classes.count(); ++c) {
      GTN_CHECK(c == 0 || classes.first[c - 1] < classes.first[c], "%s", "order of classes");
      for (uint32_t r = classes.first[c]; r != kNoRank; r = classes.after(r)) {
        GTN_CHECK(classes.class_of(r) == c, "%s", "class of a member");
        GTN_CHECK(u[r] == u[classes.first[c]], "%s", "members have one direction");
        GTN_CHECK(classes.after(r) > r, "%s", "members ascend");
        seen[r] = true;
      }
      for (uint32_t other = 0; other < c; ++other)
        GTN_CHECK(u[classes.first[c]] != u[classes.first[other]], "%s", "classes differ");
    }
    GTN_CHECK(std::count(seen.begin(), seen.end(), true) == 600, "%s", "every rank has a class");
  }
}

}  // namespace

void test_lowdim() {
  test_stable_order();
  test_shrinking_set();
  test_classes();
  test_strategies();
  test_invariance();
}

}  // namespace gtn::test
