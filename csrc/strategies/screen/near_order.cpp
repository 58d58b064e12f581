#include "strategies/screen/near_order.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "gtn_fast/parallel.h"
#include "kernels/kernels.h"
#include "strategies/screen/row_exact.h"

namespace gtn {
namespace {

constexpr int64_t kAxisSample = 64;  // x's from which the direction of a cut is taken
constexpr int kRounds = 2;           // of power iteration
constexpr int64_t kLoad = 4096;      // items whose vectors a thread reads at once
constexpr size_t kLanes = 4;         // sums that run side by side

using Range = std::pair<int64_t, int64_t>;

// Vectors in float, that will do for an order, side by side as they are cut: every cut writes
// the two sides from one copy into the other.
class Runs {
 public:
  Runs(size_t n, size_t d) : d_((d + kLanes - 1) / kLanes * kLanes), key_(n) {
    for (Copy& copy : copies_) {
      copy.rows.resize(n * d_);
      copy.item.resize(n);
    }
  }

  float* row(int copy, int64_t i) {
    return copies_[copy].rows.data() + static_cast<size_t>(i) * d_;
  }
  uint32_t& item(int copy, int64_t i) { return copies_[copy].item[static_cast<size_t>(i)]; }

  // Cuts the range of that copy and writes it to the other; returns where the right side begins.
  int64_t cut(int copy, Range range, std::vector<float>& scratch) {
    const auto [begin, end] = range;
    find_axis(copy, range, scratch);
    const float* const axis = scratch.data();
    for (int64_t i = begin; i < end; ++i) {
      const float position = dot(row(copy, i), axis);
      // No number comes of a file that somebody writes to, and may not lead out of an array.
      key_[static_cast<size_t>(i)] = {std::isnan(position) ? 0.0f : position,
                                      static_cast<uint32_t>(i)};
    }
    int64_t left = kGroup;  // a whole run: the larger part, if they are not equal
    while (2 * left < end - begin) left *= 2;
    left = std::min(left, end - begin);
    const auto first = key_.begin() + begin;
    std::nth_element(first, first + left, key_.begin() + end,
                     [](const Key& a, const Key& b) { return a.position < b.position; });
    for (int64_t i = begin; i < end; ++i) {
      const uint32_t from = key_[static_cast<size_t>(i)].place;
      std::copy_n(row(copy, from), d_, row(1 - copy, i));
      item(1 - copy, i) = item(copy, from);
    }
    return begin + left;
  }

  // Cuts until runs are groups; leaves the items in copy 0.
  void cut_all(int copy, Range range, std::vector<float>& scratch) {
    const auto [begin, end] = range;
    if (end - begin <= kGroup) {
      if (copy != 0)
        for (int64_t i = begin; i < end; ++i) item(0, i) = item(copy, i);
      return;
    }
    const int64_t middle = cut(copy, range, scratch);
    cut_all(1 - copy, {begin, middle}, scratch);
    cut_all(1 - copy, {middle, end}, scratch);
  }

 private:
  struct Key {
    float position;  // along the axis
    uint32_t place;  // in the copy
  };
  struct Copy {
    std::vector<float> rows;
    std::vector<uint32_t> item;
  };

  float dot(const float* a, const float* b) const {
    float lane[kLanes] = {};
    for (size_t k = 0; k < d_; k += kLanes)
      for (size_t j = 0; j < kLanes; ++j) lane[j] += a[k + j] * b[k + j];
    return (lane[0] + lane[2]) + (lane[1] + lane[3]);
  }

  // The approximate principal axis of the range, at the start of `scratch`.
  void find_axis(int copy, Range range, std::vector<float>& scratch) {
    const int64_t n = range.second - range.first, count = std::min(n, kAxisSample);
    scratch.assign((static_cast<size_t>(count) + 3) * d_, 0.0f);
    float *axis = scratch.data(), *next = axis + d_, *mean = next + d_, *sample = mean + d_;
    for (int64_t i = 0; i < count; ++i) {
      const float* v = row(copy, range.first + i * n / count);
      for (size_t k = 0; k < d_; ++k) mean[k] += v[k] / static_cast<float>(count);
    }
    float far = -1.0f;
    for (int64_t i = 0; i < count; ++i) {
      const float* v = row(copy, range.first + i * n / count);
      float* const s = sample + static_cast<size_t>(i) * d_;
      for (size_t k = 0; k < d_; ++k) s[k] = v[k] - mean[k];
      const float square = dot(s, s);
      if (square <= far) continue;
      far = square;
      std::copy_n(s, d_, axis);
    }
    for (int r = 0; r < kRounds; ++r) {
      std::fill_n(next, d_, 0.0f);
      for (int64_t i = 0; i < count; ++i) {
        const float* s = sample + static_cast<size_t>(i) * d_;
        const float weight = dot(s, axis);
        for (size_t k = 0; k < d_; ++k) next[k] += weight * s[k];
      }
      const float norm = std::sqrt(dot(next, next));
      if (!(norm > 0.0f)) return;  // all equal: any cut will do
      for (size_t k = 0; k < d_; ++k) axis[k] = next[k] / norm;
    }
  }

  const size_t d_;
  Copy copies_[2];
  std::vector<Key> key_;
};

}  // namespace

void near_order(const Problem& problem, const ScreenVectors& vectors, const FreeItems& items,
                std::vector<uint32_t>& order, Team& team) {
  const int64_t n = static_cast<int64_t>(order.size());
  const size_t d = static_cast<size_t>(vectors.dims());
  Runs runs(order.size(), d);
  team.for_chunks(n, kLoad, [&](int64_t begin, int64_t end, int) {
    std::vector<double> v(d);
    for (int64_t i = begin; i < end; ++i) {
      prefetch_walk(problem, items, order.data(), static_cast<size_t>(i), static_cast<size_t>(n));
      vectors.of_x(x_row(problem, items, order[static_cast<size_t>(i)]), v.data());
      for (size_t k = 0; k < d; ++k) runs.row(0, i)[k] = static_cast<float>(v[k]);
      runs.item(0, i) = order[static_cast<size_t>(i)];
    }
  });
  // Level by level until there is work for all threads.
  std::vector<Range> ranges{{0, n}};
  int copy = 0;
  for (bool more = true; more && static_cast<int>(ranges.size()) < 4 * team.size();
       copy = 1 - copy) {
    more = std::any_of(ranges.begin(), ranges.end(),
                       [](const Range& r) { return r.second - r.first > kGroup; });
    if (!more) break;
    std::vector<Range> next(2 * ranges.size());
    team.for_chunks(static_cast<int64_t>(ranges.size()), 1, [&](int64_t r, int64_t, int) {
      std::vector<float> scratch;
      const Range& range = ranges[static_cast<size_t>(r)];
      const int64_t middle = runs.cut(copy, range, scratch);
      next[static_cast<size_t>(2 * r)] = {range.first, middle};
      next[static_cast<size_t>(2 * r + 1)] = {middle, range.second};
    });
    ranges.swap(next);
  }
  team.for_chunks(static_cast<int64_t>(ranges.size()), 1, [&](int64_t r, int64_t, int) {
    std::vector<float> scratch;
    runs.cut_all(copy, ranges[static_cast<size_t>(r)], scratch);
  });
  for (int64_t i = 0; i < n; ++i) order[static_cast<size_t>(i)] = runs.item(0, i);
}

}  // namespace gtn
