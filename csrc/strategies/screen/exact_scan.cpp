#include "strategies/screen/exact_scan.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gtn {

ExactScan::ExactScan(const SearchInputs& in, YTile& tile, ScreenCounters& counters)
    : in_(in),
      tile_(tile),
      counters_(counters),
      values_(in.problem.by_distance() ? in.kernels.nearness_group : in.kernels.ordered_dot_group) {
}

void ExactScan::scan_narrow(const Frame& frame, const std::vector<uint32_t>& ys) {
  set_bars(ys);
  const ScreenStore& store = in_.store;
  const int64_t end = frame.first_group + frame.groups();
  for (int64_t g = frame.first_group; g < end; ++g) {
    in_.team.check();
    const double* next = g + 1 < end ? store.exact_group(g + 1) : nullptr;
    scan({store.exact_group(g), g * kGroup, store.least_head(g)}, next, ys);
  }
  counters_.rescored += static_cast<int64_t>(ys.size()) * frame.columns;
}

void ExactScan::scan_quantised(const Frame& frame, int32_t g, const std::vector<uint32_t>& ys) {
  set_bars(ys);
  counters_.rescored += static_cast<int64_t>(ys.size()) * (frame.columns - g * kGroup);
  for (; g < frame.groups(); ++g) {
    in_.team.check();
    const int64_t first = (frame.first_group + g) * kGroup;
    scan({make_points(first), first, 0}, nullptr, ys);
  }
}

// A dead column gets NaNs: they reach no bar.
const double* ExactScan::make_points(int64_t first_column) {
  const Problem& problem = in_.problem;
  const size_t d = static_cast<size_t>(problem.x.cols);
  points_.resize(d * kGroup);
  row_.resize(d);
  uint32_t rows[kGroup];
  for (int c = 0; c < kGroup; ++c) {
    const bool dead = in_.store.dead(first_column + c);
    rows[c] = dead ? kNoRank : x_row(problem, in_.items, in_.store.item_at(first_column + c));
    if (!dead) prefetch_row(problem, rows[c]);
  }
  for (int c = 0; c < kGroup; ++c) {
    if (rows[c] == kNoRank)
      std::fill(row_.begin(), row_.end(), std::numeric_limits<double>::quiet_NaN());
    else
      problem.x_point(rows[c], row_.data());
    for (size_t k = 0; k < d; ++k) points_[k * kGroup + static_cast<size_t>(c)] = row_[k];
  }
  return points_.data();
}

void ExactScan::set_bars(const std::vector<uint32_t>& ys) {
  bar_.resize(tile_.size());
  for (const uint32_t y : ys) set_bar(y);
}

void ExactScan::set_bar(size_t y) {
  const ListLevel& level = tile_.list(y).level();
  bar_[y] = {level.cosine, std::nextafter(level.cosine, std::numeric_limits<double>::infinity()),
             level.rank};
}

// The points of the `next` group, if there is one, are fetched meanwhile, a share per call
// of the kernel.
void ExactScan::scan(const Group& group, const double* next, const std::vector<uint32_t>& ys) {
  double cosine[kMaxDotY * kGroup];
  constexpr int64_t kLine = 8;  // doubles
  const int64_t d = in_.problem.x.cols;
  const int64_t to_fetch = next ? d * kGroup : 0;
  const int64_t calls = (static_cast<int64_t>(ys.size()) + kMaxDotY - 1) / kMaxDotY;
  const int64_t share = to_fetch / calls + kLine;
  int64_t fetched = 0;
  for (size_t a = 0; a < ys.size(); a += kMaxDotY) {
    const int n_y = static_cast<int>(std::min<size_t>(kMaxDotY, ys.size() - a));
    const double* y[kMaxDotY];
    double threshold[kMaxDotY];
    unsigned mask[kMaxDotY];
    for (const int64_t stop = std::min(fetched + share, to_fetch); fetched < stop; fetched += kLine)
      __builtin_prefetch(next + fetched, 0, 2);
    for (int j = 0; j < n_y; ++j) {
      const size_t i = ys[a + static_cast<size_t>(j)];
      y[j] = tile_.point(i);
      threshold[j] = group.least_head <= bar_[i].rank ? bar_[i].ties : bar_[i].beyond;
    }
    if (values_(y, n_y, group.points, d, threshold, cosine, mask) == 0) continue;
    for (int j = 0; j < n_y; ++j)
      add(ys[a + static_cast<size_t>(j)], group, cosine + j * kGroup, mask[j]);
  }
}

// Adds the columns of the mask's bits to the list of y.
void ExactScan::add(size_t y, const Group& group, const double* cosine, unsigned mask) {
  Shortlist& list = tile_.list(y);
  for (; mask != 0; mask &= mask - 1) {
    const int c = __builtin_ctz(mask);
    const uint32_t item = in_.store.item_at(group.first_column + c);
    list.add_exact(cosine[c], item, in_.items.head(item));
    if (!list.full()) continue;
    tile_.shrink_list(y);
    set_bar(y);
  }
}

}  // namespace gtn
