// X's grouped by bitwise equal direction, or by distance equal rows (-0.0 counts as +0.0: no
// cosine and no distance sees the sign of a zero). Members of a class have the same cosine with
// everything, so of a class only the free member of smallest rank, its head, can ever be chosen.
#pragma once

#include <cstdint>
#include <vector>

#include "gtn_fast/match.h"
#include "gtn_fast/order.h"

namespace gtn {

class Team;

struct DirectionClasses {
  // Classes are numbered by their first ranks: class c's first head has rank
  // first[c], ascending. With no two directions equal, class = rank.
  std::vector<uint32_t> first;
  // By rank: the next rank of the same class, kNoRank after the last. Empty when
  // no two directions are equal.
  std::vector<uint32_t> next;
  std::vector<uint32_t> class_of_rank;  // by rank; empty like `next`
  uint32_t zero_class = kNoRank;        // the class of the zero directions, if any

  int64_t count() const { return static_cast<int64_t>(first.size()); }
  bool all_distinct() const { return next.empty(); }
  uint32_t class_of(uint32_t rank) const { return all_distinct() ? rank : class_of_rank[rank]; }
  // The head that follows once `rank`, a head, is taken.
  uint32_t after(uint32_t rank) const { return all_distinct() ? kNoRank : next[rank]; }
};

// O(n d): hash, radix sort, exact comparison of directions with equal hashes.
DirectionClasses direction_classes(const Problem& problem, Team& team);

// The smallest free rank, for zero y's, which tie with every x.
class SmallestFree {
 public:
  explicit SmallestFree(int64_t n) : taken_(static_cast<size_t>(n), 0) {}
  void take(uint32_t rank) { taken_[rank] = 1; }
  uint32_t get() {  // kNoRank if all are taken
    while (next_ < taken_.size() && taken_[next_]) ++next_;
    return next_ < taken_.size() ? static_cast<uint32_t>(next_) : kNoRank;
  }

 private:
  std::vector<uint8_t> taken_;
  size_t next_ = 0;
};

}  // namespace gtn
