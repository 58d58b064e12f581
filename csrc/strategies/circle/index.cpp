#include "strategies/circle/index.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/radix.h"
#include "strategies/common/classes.h"
#include "strategies/common/fetch.h"

namespace gtn {
namespace {

constexpr int64_t kGrain = 1 << 14;
constexpr uint64_t kZeroKey = uint64_t{1} << 63;  // above every angle

// Directions and angle keys in rank order.
void rank_directions(const MatrixView& a, const std::vector<RowScale>& scale,
                     const std::vector<uint32_t>& by_norm, double* direction, uint64_t* key,
                     Team& team) {
  team.for_chunks(static_cast<int64_t>(by_norm.size()), kGrain,
                  [&](int64_t begin, int64_t end, int) {
                    for (int64_t rank = begin; rank < end; ++rank) {
                      fetch_ahead(a, scale, by_norm, rank);
                      const size_t row = by_norm[static_cast<size_t>(rank)];
                      double* u = direction + 2 * rank;
                      row_direction(a, static_cast<int64_t>(row), scale[row], u);
                      u[0] += 0.0;  // -0.0 becomes +0.0
                      u[1] += 0.0;
                      key[rank] = scale[row].zero() ? kZeroKey : angle_key(u[0], u[1]);
                    }
                  });
}

// Sorted ranks and their keys; equal keys are few and get sorted by direction.
struct SortedX {
  const double* direction;
  std::vector<uint32_t> order;
  std::unique_ptr<uint64_t[]> key;  // by position

  bool same_direction(uint32_t a, uint32_t b) const {
    return direction[2 * size_t{a}] == direction[2 * size_t{b}] &&
           direction[2 * size_t{a} + 1] == direction[2 * size_t{b} + 1];
  }
  bool less(uint32_t a, uint32_t b) const {
    const double* u = direction + 2 * size_t{a};
    const double* v = direction + 2 * size_t{b};
    if (u[0] != v[0]) return u[0] < v[0];
    if (u[1] != v[1]) return u[1] < v[1];
    return a < b;
  }
};

// Makes equal directions neighbours, in rank order. False if there are none.
bool gather_equal(SortedX& x, int64_t n) {
  bool any = false;
  for (int64_t i = 0; i < n;) {
    int64_t stop = i + 1;
    while (stop < n && x.key[stop] == x.key[i]) ++stop;
    if (stop - i > 1) {
      const auto less = [&](uint32_t a, uint32_t b) { return x.less(a, b); };
      if (!std::is_sorted(x.order.begin() + i, x.order.begin() + stop, less))
        std::sort(x.order.begin() + i, x.order.begin() + stop, less);
      for (int64_t j = i + 1; j < stop && !any; ++j)
        any =
            x.same_direction(x.order[static_cast<size_t>(j - 1)], x.order[static_cast<size_t>(j)]);
    }
    i = stop;
  }
  return any;
}

// One entry a direction; fills `next` and shortens `key` to the entries' keys.
void merge_equal(SortedX& x, int64_t n, int64_t n_x, CircleIndex& index) {
  index.next.assign(static_cast<size_t>(n_x), kNoRank);
  int64_t count = 0;
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t rank = x.order[static_cast<size_t>(i)];
    if (i > 0 && x.same_direction(x.order[static_cast<size_t>(i - 1)], rank)) {
      index.next[x.order[static_cast<size_t>(i - 1)]] = rank;
    } else {
      const double* u = x.direction + 2 * size_t{rank};
      index.entries[count] = {u[0], u[1], rank};
      x.key[count++] = x.key[i];
    }
  }
  index.count = count;
}

// Positions of the y's among the entries: a table over the keys' top bits, then
// a binary search inside one of its buckets.
void place_y(int64_t n_y, const uint64_t* x_key, const uint64_t* y_key, CircleIndex& index,
             Team& team) {
  const int bits =
      std::clamp(static_cast<int>(std::bit_width(static_cast<uint64_t>(index.count))), 1, 24);
  const int shift = 63 - bits;
  const int64_t buckets = int64_t{1} << bits;
  std::vector<uint32_t> start(static_cast<size_t>(buckets) + 1, static_cast<uint32_t>(index.count));
  int64_t bucket = 0;
  for (int64_t i = 0; i < index.count; ++i)
    for (const int64_t of_key = static_cast<int64_t>(x_key[i] >> shift); bucket <= of_key; ++bucket)
      start[static_cast<size_t>(bucket)] = static_cast<uint32_t>(i);
  team.for_chunks(n_y, kGrain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const uint64_t key = y_key[i];
      if (key == kZeroKey) {
        index.y_position[i] = static_cast<uint32_t>(index.count);
        continue;
      }
      const size_t b = static_cast<size_t>(key >> shift);
      index.y_position[i] = static_cast<uint32_t>(
          std::lower_bound(x_key + start[b], x_key + start[b + 1], key) - x_key);
    }
  });
}

}  // namespace

uint64_t angle_key(double c, double s) {
  // The diamond angle from -pi/2: continuous, increasing, slope 1/2 to 1.
  const double a = s / (std::fabs(c) + std::fabs(s));
  const double t = c >= 0.0 ? 1.0 + a : 3.0 - a;
  const uint64_t key = static_cast<uint64_t>(t * 0x1p61);
  return std::min(key, (uint64_t{1} << 63) - 1);
}

CircleIndex build_circle_index(const Problem& problem, Team& team) {
  const int64_t n_x = problem.n_x(), n_y = problem.n_y();
  CircleIndex index;
  std::unique_ptr<double[]> direction = uninitialized<double>(2 * n_x);
  std::unique_ptr<uint64_t[]> key = uninitialized<uint64_t>(n_x);
  rank_directions(problem.x, problem.x_scale, problem.x_by_norm, direction.get(), key.get(), team);
  SortedX x{direction.get(), stable_order(key.get(), n_x, team), uninitialized<uint64_t>(n_x)};
  team.for_chunks(n_x, kGrain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) x.key[i] = key[x.order[static_cast<size_t>(i)]];
  });
  const int64_t n = std::lower_bound(x.key.get(), x.key.get() + n_x, kZeroKey) - x.key.get();
  index.zero_ranks.assign(x.order.begin() + n, x.order.end());

  index.entries = uninitialized<CircleEntry>(n);
  if (gather_equal(x, n)) {
    merge_equal(x, n, n_x, index);
  } else {
    index.count = n;
    team.for_chunks(n, kGrain, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const uint32_t rank = x.order[static_cast<size_t>(i)];
        const double* u = x.direction + 2 * size_t{rank};
        index.entries[i] = {u[0], u[1], rank};
      }
    });
  }

  index.y_direction = uninitialized<double>(2 * n_y);
  index.y_position = uninitialized<uint32_t>(n_y);
  std::unique_ptr<uint64_t[]> y_key = uninitialized<uint64_t>(n_y);
  rank_directions(problem.y, problem.y_scale, problem.y_by_norm, index.y_direction.get(),
                  y_key.get(), team);
  place_y(n_y, x.key.get(), y_key.get(), index, team);
  return index;
}

}  // namespace gtn
