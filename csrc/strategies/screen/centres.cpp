#include "strategies/screen/centres.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

#include "strategies/screen/code_screen.h"

namespace gtn {
namespace {

constexpr double kAnyHeight = -std::numeric_limits<double>::infinity();
constexpr int64_t kFrame = 4096;  // columns
// The height falls by so many times what it rises by: so one y in about as many finds too few
// lists above it.
constexpr double kFall = 12.0;
constexpr double kStep = 0.02;    // a rise, in spreads
constexpr double kMemory = 0.02;  // weight of a y in the spread
constexpr double kFirstSpread = 0.01;
constexpr double kSecond = 4.0;  // so many spreads lower for those: mostly enough

Problem problem_of(const MatrixView& centres, Team& team) {
  Problem problem;
  problem.x = centres;
  problem.x_scale = row_scales(centres, {}, team);
  problem.x_by_norm = norm_order(problem.x_scale, {}, team);
  return problem;
}

}  // namespace

Centres::Centres(const MatrixView& centres, Team& team)
    : team_(team),
      problem_(problem_of(centres, team)),
      classes_(direction_classes(problem_, team)),
      items_(classes_),
      vectors_(problem_, team),
      store_(problem_, vectors_, items_, kernels()),
      alive_(items_.count()) {
  Layout layout;
  layout.one_center = true;
  layout.items.resize(static_cast<size_t>(count()));
  std::iota(layout.items.begin(), layout.items.end(), 0);
  for (int64_t begin = 0; begin < count(); begin += kFrame) layout.frame_begin.push_back(begin);
  layout.frame_begin.push_back(count());
  store_.pack(layout, team);
  direction_.resize(layout.items.size() * static_cast<size_t>(centres.cols));
  for (const uint32_t list : layout.items) {
    const uint32_t row = x_row(problem_, items_, list);
    row_direction(centres, row, problem_.x_scale[row],
                  direction_.data() + int64_t{list} * centres.cols);
  }
}

void Centres::drop(uint32_t list) {
  while (items_.free(list)) items_.take(list);
  store_.kill(list);
  --alive_;
}

NearestLists::NearestLists(const Centres& centres)
    : centres_(centres),
      in_(centres.inputs()),
      height_(kAnyHeight),
      found_(static_cast<size_t>(in_.kernels.tile_y)),
      error_(found_.size()),
      base_(found_.size()) {}

// Collects, for the y's first..first+n-1, all lists of such a height, and a few more.
void NearestLists::collect(const YTile& tile, size_t first, size_t n, double height) {
  const ScreenStore& store = in_.store;
  for (size_t j = 0; j < n; ++j) {
    found_[j].clear();
    error_[j] = 0.0;
    base_[j] = in_.kernels.ordered_dot(tile.rotated(first + j), store.mean(), store.dims());
  }
  for (const Frame& frame : store.frames()) {
    if (frame.scale == 0.0) {
      collect_narrow(frame, n);
      continue;
    }
    double unit[kMaxTileY];
    int32_t threshold[kMaxTileY];
    for (size_t j = 0; j < n; ++j) {
      const YTile::Query& q = tile.query(first + j);
      unit[j] = q.scale * frame.scale;
      const double error = score_error(q, frame);
      threshold[j] = score_threshold((height - error) / unit[j] + q.offset);
      error_[j] = std::max(error_[j], error);
    }
    const int32_t per_panel = in_.kernels.panel_groups(store.steps());
    for (int32_t g = 0; g < frame.groups(); g += per_panel) {
      const int64_t group = frame.first_group + g;
      const ScreenPanel panel = store.panel(group, std::min(per_panel, frame.groups() - g));
      hits_.resize(std::max(hits_.size(), n * static_cast<size_t>(panel.groups) * kGroup));
      const int n_hits = in_.kernels.screen(panel, tile.codes(first), threshold,
                                            static_cast<int>(n), hits_.data());
      for (int h = 0; h < n_hits; ++h) {
        const Hit& hit = hits_[static_cast<size_t>(h)];
        const double above = unit[hit.y] * (hit.score - tile.query(first + hit.y).offset);
        found_[hit.y].push_back({base_[hit.y] + above, store.item_at(group * kGroup + hit.x)});
      }
    }
  }
}

// The centres are too near each other for codes.
void NearestLists::collect_narrow(const Frame& frame, size_t n) {
  const int64_t first = frame.first_group * kGroup;
  for (size_t j = 0; j < n; ++j) {
    error_[j] = std::max(error_[j], frame.radius + in_.store.slack());
    for (int64_t column = first; column < first + frame.columns; ++column)
      if (!in_.store.dead(column)) found_[j].push_back({base_[j], in_.store.item_at(column)});
  }
}

// The lists nearest to y, if those collected for it down to `height` are enough to be certain.
bool NearestLists::settle(const YTile& tile, size_t y, size_t j, int64_t wanted, double height) {
  std::vector<Entry>& entries = found_[j];
  const size_t n = static_cast<size_t>(std::min(wanted, centres_.alive()));
  needed_ = height - spread_;
  if (entries.size() < n) return false;
  const auto first_n = entries.begin() + static_cast<int64_t>(n);
  std::nth_element(entries.begin(), first_n - 1, entries.end(),
                   [](const Entry& a, const Entry& b) { return a.cosine > b.cosine; });
  const double last = entries[n - 1].cosine;
  needed_ = last - error_[j] - 2.0 * in_.store.slack() - base_[j];
  if (needed_ < height) return false;  // others of that height were not collected
  double beaten = kAnyHeight;
  for (auto e = first_n; e != entries.end(); ++e) beaten = std::max(beaten, e->cosine);
  if (beaten + error_[j] >= last - error_[j]) settle_close(tile, y, j, n, beaten);
  const auto top = std::max_element(
      entries.begin(), first_n, [](const Entry& a, const Entry& b) { return a.cosine < b.cosine; });
  std::iter_swap(entries.begin(), top);
  nearest_.clear();
  for (auto e = entries.begin(); e != first_n; ++e) nearest_.push_back(e->list);
  return true;
}

// Some of the first `wanted` may not belong there: others come as near as `beaten`, as far as
// is known. What is that close is evaluated.
void NearestLists::settle_close(const YTile& tile, size_t y, size_t j, size_t wanted,
                                double beaten) {
  std::vector<Entry>& entries = found_[j];
  const double twice = 2.0 * error_[j], last = entries[wanted - 1].cosine;
  const auto first_n = entries.begin() + static_cast<int64_t>(wanted);
  const auto close = std::partition(entries.begin(), first_n,
                                    [=](const Entry& e) { return e.cosine > beaten + twice; });
  const auto end = std::partition(first_n, entries.end(),
                                  [=](const Entry& e) { return e.cosine + twice >= last; });
  for (auto e = close; e != end; ++e)
    e->cosine =
        in_.kernels.ordered_dot(tile.point(y), centres_.direction(e->list), in_.store.dims());
  std::nth_element(close, first_n - 1, end, [](const Entry& a, const Entry& b) {
    return better(a.cosine, a.list, b.cosine, b.list);
  });
}

void NearestLists::search(const YTile& tile, size_t y, int64_t wanted) {
  double height = height_ - kSecond * spread_;
  collect(tile, y, 1, height);
  if (settle(tile, y, 0, wanted, height)) return;
  collect(tile, y, 1, kAnyHeight);
  settle(tile, y, 0, wanted, kAnyHeight);
}

void NearestLists::adapt(bool found) {
  if (height_ == kAnyHeight) {
    height_ = needed_;
    spread_ = kFirstSpread;
  }
  spread_ += kMemory * (std::fabs(needed_ - height_) - spread_);
  height_ += kStep * spread_ * (found ? 1.0 : -kFall);
}

}  // namespace gtn
