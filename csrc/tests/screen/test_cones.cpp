// Cones: no column that a y may take is ever ruled out, and where groups are narrow most others
// are; matchings with cones wherever they can be, by equality with the brute-force loop.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "strategies/common/classes.h"
#include "strategies/screen/cone_sieve.h"
#include "strategies/screen/layout.h"
#include "strategies/screen/near_order.h"
#include "strategies/screen/tile.h"
#include "tests/screen/screen_util.h"

namespace gtn::test {
namespace {

// Share of the groups that stay alive, when every y asks for cosines as good as that of the
// column which is its `rank`-th best. All groups with such a column must be among them.
double share_alive(Matrix& x, Matrix& y, const SimdLevel& level, size_t rank,
                   const std::string& what) {
  Team team(2);
  const Problem p = make_problem(x, y, team);
  const DirectionClasses classes = direction_classes(p, team);
  const FreeItems items(classes);
  const ScreenVectors vectors(p, team);
  const Kernels& k = *level.kernels;
  ScreenStore store(p, vectors, items, k);
  store.pack(make_cone_layout(p, vectors, items, team), team);
  int64_t rescored = 0;
  YTile tile({p, items, store, k, team, false}, rescored);
  std::vector<uint32_t> ranks(static_cast<size_t>(y.rows));
  std::iota(ranks.begin(), ranks.end(), 0);
  tile.load({p, false, p.y_by_norm}, ranks.data(), ranks.size(), true);
  ConeSieve sieve(store.cones(), k);
  std::vector<double> point(static_cast<size_t>(x.cols));
  int64_t alive = 0, groups = 0, missing = 0;
  for (size_t i = 0; i < ranks.size(); ++i) {
    std::vector<double> cosine(static_cast<size_t>(store.columns()));
    for (size_t c = 0; c < cosine.size(); ++c) {
      p.x_point(x_row(p, items, store.item_at(static_cast<int64_t>(c))), point.data());
      cosine[c] = ordered_dot(tile.point(i), point.data(), x.cols);
    }
    std::vector<double> best = cosine;
    std::sort(best.begin(), best.end(), std::greater<>());
    const double bar = best[std::min(rank, best.size()) - 1];
    const auto got = sieve.alive(0, tile.query(i), tile.codes(i), bar);
    CHECK_MESSAGE(std::is_sorted(got.begin(), got.end()), what);
    CHECK_MESSAGE((got.empty() || int64_t{got.back()} < store.frames()[0].groups()), what);
    for (size_t c = 0; c < cosine.size(); ++c)
      if (cosine[c] >= bar)
        missing += !std::binary_search(got.begin(), got.end(), static_cast<uint32_t>(c / kGroup));
    alive += static_cast<int64_t>(got.size());
    groups += store.frames()[0].groups();
  }
  CHECK_MESSAGE(missing == 0, what);
  return static_cast<double>(alive) / static_cast<double>(groups);
}

}  // namespace

TEST_CASE("cones: no column that reaches the cosine is in a group ruled out") {
  std::mt19937_64 rng(47);
  uint64_t seed = 900;
  on_every_level([&](const SimdLevel& level) {
    for (int kind = 0; kind < static_cast<int>(Kind::kCount); ++kind)
      for (const int64_t d : {2, 9, 12, 15, 24, 62}) {
        if (kReduced && d > 12) continue;
        const Kind name = static_cast<Kind>(kind);
        Matrix x = make_matrix(600, d, name, 0, ++seed, kind % 2 == 0, kind % 3 == 0);
        Matrix y = make_matrix(8, d, name, 1, seed);
        const std::string what = kind_name(name) + std::string(" d=") + std::to_string(d);
        for (const size_t rank : {1, 4, 300}) share_alive(x, y, level, rank, what);
      }
    for (int round = 0; round < (kReduced ? 3 : 12); ++round) {
      const int64_t d = 2 + static_cast<int64_t>(rng() % 30);
      Matrix x = mixed_matrix(700, d, rng, rng() % 2, 0);
      Matrix y = mixed_matrix(8, d, rng, false, 1);
      share_alive(x, y, level, 1 + rng() % 20, "mixed d=" + std::to_string(d));
    }
  });
}

TEST_CASE("cones: where groups are narrow most of them are ruled out") {
  std::mt19937_64 rng(48);
  std::normal_distribution<double> normal;
  Matrix x(6000, 12), y(20, 12);
  // Four dimensions hold nearly all.
  for (Matrix* m : {&x, &y})
    for (int64_t r = 0; r < m->rows; ++r)
      for (int64_t c = 0; c < 12; ++c) (*m)(r, c) = normal(rng) * (c < 4 ? 1.0 : 0.02);
  on_every_level([&](const SimdLevel& level) {
    const double share = share_alive(x, y, level, 4, "narrow");
    CHECK_MESSAGE(share < 0.1, "share alive: ", share);
  });
}

TEST_CASE("near order: every item once, neighbours side by side") {
  std::mt19937_64 rng(49);
  std::normal_distribution<double> normal;
  for (const int64_t n : {1, 15, 16, 17, 300, 1000}) {
    Matrix x(n, 10);
    for (double& v : x.f64) v = normal(rng);
    Team team(3);
    const Problem p = make_problem(x, x, team);
    const DirectionClasses classes = direction_classes(p, team);
    const FreeItems items(classes);
    const ScreenVectors vectors(p, team);
    std::vector<uint32_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    const std::vector<uint32_t> all = order;
    near_order(p, vectors, items, order, team);
    std::vector<double> a(10), b(10);
    double side_by_side = 0.0;
    for (size_t i = 0; i + 1 < order.size(); i += 2) {
      p.x_point(x_row(p, items, order[i]), a.data());
      p.x_point(x_row(p, items, order[i + 1]), b.data());
      side_by_side += ordered_dot(a.data(), b.data(), 10) / static_cast<double>(n / 2);
    }
    if (n == 1000) CHECK_MESSAGE(side_by_side > 0.3, "mean cosine ", side_by_side);
    std::sort(order.begin(), order.end());
    CHECK_MESSAGE(order == all, "n=", n);
  }
}

namespace {

void check_matching(Matrix& x, Matrix& y, std::mt19937_64& rng, const std::string& what) {
  Team one(1);
  const Assignment want = brute_force(make_problem(x, y, one));
  on_every_level([&](const SimdLevel& level) {
    simd_force(level.name);
    Options options = way(static_cast<int64_t>(rng() % kWays));
    options.cones = UseCones::kAlways;
    Report report;
    const Assignment got = run_match(x.view(), y.view(), options, report);
    expect_equal(got, want, what + " d=" + std::to_string(x.cols));
    CHECK(reported(report, "cones") == 1.0);
  });
}

}  // namespace

TEST_CASE("screen: cones wherever they can be") {
  const LevelKept kept;
  std::mt19937_64 rng(50);
  uint64_t seed = 60;
  for (int kind = 0; kind < static_cast<int>(Kind::kCount); ++kind)
    for (const int64_t d : {9, 10, 16, 24}) {
      const bool large = kind == 0 && !kReduced;
      const int64_t n = large ? 1500 : 300;
      const Kind name = static_cast<Kind>(kind);
      Matrix x = make_matrix(n, d, name, 0, ++seed, d == 10, kind % 3 == 0);
      Matrix y = make_matrix(n - 20, d, name, 1, seed, d == 10);
      check_matching(x, y, rng, kind_name(name));
    }
  for (int round = 0; round < (kReduced ? 4 : 20); ++round) {
    const int64_t d = 2 + static_cast<int64_t>(rng() % 40);
    Matrix x = mixed_matrix(400, d, rng, rng() % 2, 0);
    Matrix y = mixed_matrix(390, d, rng, false, 1);
    check_matching(x, y, rng, "mixed");
  }
}

}  // namespace gtn::test
