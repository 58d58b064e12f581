#include "strategies/common/classes.h"

#include <algorithm>
#include <bit>
#include <memory>

#include "engine/radix.h"

namespace gtn {
namespace {

constexpr int64_t kRowsGrain = 1 << 14;
constexpr int64_t kGrainValues = 1 << 16;  // where rows are read

uint64_t mix(uint64_t h) {
  h ^= h >> 32;
  h *= 0xD6E8FEB86659FD93;
  h ^= h >> 32;
  return h;
}

// Of a point, -0.0 like +0.0. Several chains side by side: one alone would wait for
// its multiplications.
uint32_t hash_of(const std::vector<double>& u) {
  constexpr size_t kChains = 4;
  uint64_t h[kChains] = {};
  const auto take = [&](size_t chain, double v) {
    h[chain] = mix(h[chain] + 0x9E3779B97F4A7C15 + std::bit_cast<uint64_t>(v + 0.0));
  };
  size_t i = 0;
  for (; i + kChains <= u.size(); i += kChains)
    for (size_t c = 0; c < kChains; ++c) take(c, u[i + c]);
  for (size_t c = 0; i + c < u.size(); ++c) take(c, u[i + c]);
  uint64_t all = 0;
  for (const uint64_t chain : h) all = mix(all + chain);
  return static_cast<uint32_t>(all >> 16);
}

class Builder {
 public:
  Builder(const Problem& problem, Team& team) : problem_(problem), team_(team), n_(problem.n_x()) {}

  DirectionClasses build() {
    const std::unique_ptr<uint64_t[]> first = uninitialized<uint64_t>(n_);
    const std::unique_ptr<uint64_t[]> second = uninitialized<uint64_t>(n_);
    hash_all(first.get());
    items_ = radix_sort_high32(first.get(), second.get(), n_, team_);
    if (!any_equal_hash()) return singles();
    return grouped();
  }

 private:
  void direction(uint32_t rank, double* out) const {
    const int64_t row = problem_.x_by_norm[rank];
    problem_.x_point(row, out);
    for (int64_t i = 0; i < problem_.x.cols; ++i) out[i] += 0.0;  // -0.0 becomes +0.0
  }

  // items[rank] = hash << 32 | rank. Rows are read where they lie, in row order.
  void hash_all(uint64_t* items) {
    const std::vector<uint32_t>& by_norm = problem_.x_by_norm;
    std::vector<uint32_t> hash(static_cast<size_t>(problem_.x.rows));
    std::vector<uint8_t> takes_part;  // empty: all
    if (n_ < problem_.x.rows) {
      takes_part.resize(hash.size());
      for (const uint32_t row : by_norm) takes_part[row] = 1;
    }
    const int64_t grain = std::max<int64_t>(1, kGrainValues / problem_.x.cols);
    team_.for_chunks(problem_.x.rows, grain, [&](int64_t begin, int64_t end, int) {
      std::vector<double> u(static_cast<size_t>(problem_.x.cols));
      for (int64_t row = begin; row < end; ++row) {
        if (!takes_part.empty() && !takes_part[static_cast<size_t>(row)]) continue;
        problem_.x_point(row, u.data());
        hash[static_cast<size_t>(row)] = hash_of(u);
      }
    });
    team_.for_chunks(n_, kRowsGrain, [&](int64_t begin, int64_t end, int) {
      for (int64_t rank = begin; rank < end; ++rank)
        items[rank] = (static_cast<uint64_t>(hash[by_norm[static_cast<size_t>(rank)]]) << 32) |
                      static_cast<uint64_t>(rank);
    });
  }

  bool same_hash(int64_t i, int64_t j) const { return (items_[i] >> 32) == (items_[j] >> 32); }
  uint32_t rank_at(int64_t i) const { return static_cast<uint32_t>(items_[i]); }

  bool any_equal_hash() const {
    for (int64_t i = 1; i < n_; ++i)
      if (same_hash(i, i - 1)) return true;
    return false;
  }

  DirectionClasses singles() const {
    DirectionClasses classes;
    classes.first.resize(static_cast<size_t>(n_));
    for (int64_t r = 0; r < n_; ++r)
      classes.first[static_cast<size_t>(r)] = static_cast<uint32_t>(r);
    find_zero(classes);
    return classes;
  }

  DirectionClasses grouped() {
    DirectionClasses classes;
    classes.next.assign(static_cast<size_t>(n_), kNoRank);
    // Until the classes are numbered: the first rank of the rank's class.
    std::vector<uint32_t>& leader = classes.class_of_rank;
    leader.resize(static_cast<size_t>(n_));
    team_.for_chunks(n_, kRowsGrain, [&](int64_t begin, int64_t end, int) {
      int64_t i = begin;  // a run belongs to the chunk that it begins in
      while (i > 0 && i < end && same_hash(i, i - 1)) ++i;
      while (i < end) {
        int64_t stop = i + 1;
        while (stop < n_ && same_hash(stop, i)) ++stop;
        link_run(i, stop, classes.next, leader);
        i = stop;
      }
    });
    for (int64_t r = 0; r < n_; ++r) {
      const uint32_t rank = static_cast<uint32_t>(r);
      if (leader[rank] == rank) {
        leader[rank] = static_cast<uint32_t>(classes.count());
        classes.first.push_back(rank);
      } else {
        leader[rank] = leader[leader[rank]];  // a smaller rank, numbered already
      }
    }
    if (classes.count() == n_) return singles();
    find_zero(classes);
    return classes;
  }

  // Links the equal directions among ranks of equal hash, which are ascending.
  void link_run(int64_t begin, int64_t end, std::vector<uint32_t>& next,
                std::vector<uint32_t>& leader) const {
    if (end - begin == 1) {
      leader[rank_at(begin)] = rank_at(begin);
      return;
    }
    struct Group {
      std::vector<double> direction;
      uint32_t leader, last;
    };
    std::vector<Group> groups;  // nearly always one
    std::vector<double> u(static_cast<size_t>(problem_.x.cols));
    for (int64_t i = begin; i < end; ++i) {
      if ((i - begin) % kRowsGrain == 0) team_.check();
      const uint32_t rank = rank_at(i);
      direction(rank, u.data());
      const auto found = std::find_if(groups.begin(), groups.end(),
                                      [&](const Group& g) { return g.direction == u; });
      if (found == groups.end()) {
        groups.push_back({u, rank, rank});
        leader[rank] = rank;
      } else {
        next[found->last] = rank;
        found->last = rank;
        leader[rank] = found->leader;
      }
    }
  }

  // Zero rows, and only they, have norm 0: they come first.
  void find_zero(DirectionClasses& classes) const {
    if (!problem_.by_distance() && problem_.x_scale[problem_.x_by_norm.front()].zero())
      classes.zero_class = classes.class_of(0);
  }

  const Problem& problem_;
  Team& team_;
  int64_t n_;
  const uint64_t* items_ = nullptr;  // sorted; lives as long as build() runs
};

}  // namespace

DirectionClasses direction_classes(const Problem& problem, Team& team) {
  return Builder(problem, team).build();
}

}  // namespace gtn
