#include "strategies/screen/cone_rule.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "strategies/screen/cone_sieve.h"
#include "strategies/screen/near_order.h"
#include "strategies/screen/tile.h"

namespace gtn {
namespace {

// X's, and dimensions, that are worth a look. gtn_fast/planning/costs.py knows them.
constexpr int64_t kFewest = 65536;
constexpr int64_t kFewestDims = 9, kMostDims = 24;
constexpr int64_t kConeSample = 16384;  // x's whose cones are made for a look
constexpr int64_t kThinner = 4;         // so many times fewer for a second one
constexpr int64_t kAskers = 96;         // y's that look
// To sift a group of cones takes so many times what it takes to sift a group of columns.
constexpr double kConeCost = 2.0;
// What a y costs beside, in units of a pair that is screened: its share of the layouts, and its
// look at a frame.
constexpr double kLayoutCost = 80000.0, kFrameCost = 1500.0, kFrameRows = 32768.0;
constexpr double kGain = 0.75;  // of the time of an even layout, at most

}  // namespace

ConeRule::ConeRule(const SearchInputs& in, UseCones use) : in_(in), use_(use) {
  ruled_out_ = use == UseCones::kNever || in.problem.by_distance() || in.out_of_core ||
               in.store.dims() > kMostConeDims;
}

bool ConeRule::asks_for_cones(const Floor& floor, int64_t free, Team& team) {
  if (ruled_out_) return false;
  if (use_ == UseCones::kAlways) return true;
  const int64_t d = in_.store.dims();
  if (free < kFewest || d < kFewestDims || d > kMostDims) {
    ruled_out_ = true;
    return false;
  }
  if (!std::isfinite(floor.height)) return false;  // nothing is known yet
  ruled_out_ = !pays(floor, free, team);
  return !ruled_out_;
}

// What is left of a sample, and how much less that is than of a thinner one, says what will be
// left of all.
bool ConeRule::pays(const Floor& floor, int64_t free, Team& team) const {
  const int64_t size = std::min(free, kConeSample);
  const Left thick = sample(floor, size, team), thin = sample(floor, size / kThinner, team);
  const double steps = std::log(static_cast<double>(free) / static_cast<double>(size)) /
                       std::log(static_cast<double>(kThinner));
  const auto of_all = [=](double at_size, double at_fewer) {
    return at_size > 0.0 ? at_size * std::pow(std::min(1.0, at_size / at_fewer), steps) : 0.0;
  };
  const double left =
      of_all(thick.columns, thin.columns) + kConeCost / kGroup * of_all(thick.cones, thin.cones);
  const double n = static_cast<double>(free);
  return in_.kernels.sift_cost * left * n + kLayoutCost + n / kFrameRows * kFrameCost < kGain * n;
}

ConeRule::Left ConeRule::sample(const Floor& floor, int64_t size, Team& team) const {
  const ScreenStore& store = in_.store;
  const FreeItems& items = in_.items;
  std::vector<uint32_t> free = items.all_free();
  const size_t n = static_cast<size_t>(size), d = static_cast<size_t>(store.dims());
  for (size_t i = 0; i < n; ++i) free[i] = free[i * free.size() / n];
  free.resize(n);
  near_order(in_.problem, store.vectors(), items, free, team);
  std::vector<double> v(n * d), scratch(d);
  for (size_t i = 0; i < n; ++i) {
    store.vectors().of_x(x_row(in_.problem, items, free[i]), v.data() + i * d);
    store.rotation().apply(v.data() + i * d, scratch.data());
  }
  Cones cones(store.dims(), store.x_limit(), store.y_limit());
  cones.resize({size});
  cones.build(0, v.data(), n);

  const Problem& problem = in_.problem;
  std::vector<uint32_t> rank;
  for (int64_t i = 0; i < std::min(kAskers, problem.n_y()); ++i)
    rank.push_back(static_cast<uint32_t>(i * problem.n_y() / kAskers));
  int64_t rescored = 0, alive = 0;
  YTile tile(in_, rescored);
  tile.load({problem, false, problem.y_by_norm}, rank.data(), rank.size(), true);
  std::vector<CosineScale> scale(rank.size());
  FloorSample(in_, tile).measure(floor.sampled, scale.data());
  ConeSieve sieve(cones, in_.kernels);
  for (size_t y = 0; y < rank.size(); ++y)
    alive += static_cast<int64_t>(
        sieve.alive(0, tile.query(y), tile.codes(y), scale[y].cosine(floor.height)).size());
  const double pairs = static_cast<double>(rank.size()) * static_cast<double>(cones.sets(0, 0));
  return {static_cast<double>(alive) / pairs,
          static_cast<double>(sieve.compared()) * kGroup / pairs};
}

}  // namespace gtn
