// What can still be chosen: of each direction class its head, the member of smallest free rank.
#pragma once

#include <cstdint>
#include <vector>

#include "strategies/common/classes.h"

namespace gtn {

// An item is a class of DirectionClasses. To take an item is to take its head.
class FreeItems {
 public:
  explicit FreeItems(const DirectionClasses& classes) : classes_(classes), head_(classes.first) {}

  int64_t count() const { return classes_.count(); }
  bool free(uint32_t item) const { return head_[item] != kNoRank; }
  // All that are free, ascending.
  std::vector<uint32_t> all_free() const {
    std::vector<uint32_t> found;
    for (uint32_t item = 0; item < head_.size(); ++item)
      if (free(item)) found.push_back(item);
    return found;
  }
  uint32_t head(uint32_t item) const { return head_[item]; }
  // Any rank of the class: all have the same direction.
  uint32_t any_rank(uint32_t item) const {
    return classes_.all_distinct() ? item : classes_.first[item];
  }

  uint32_t take(uint32_t item) {
    const uint32_t rank = head_[item];
    head_[item] = classes_.after(rank);
    return rank;
  }
  void undo(uint32_t item, uint32_t rank) { head_[item] = rank; }

 private:
  const DirectionClasses& classes_;
  std::vector<uint32_t> head_;
};

// A row of X that has the item's direction.
inline uint32_t x_row(const Problem& problem, const FreeItems& items, uint32_t item) {
  return problem.x_by_norm[items.any_rank(item)];
}

}  // namespace gtn
