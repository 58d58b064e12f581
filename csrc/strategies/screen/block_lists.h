// The lists of a block of y's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "strategies/screen/floor.h"
#include "strategies/screen/shortlist.h"

namespace gtn {

// List i belongs to the y of rank y_rank[i]. Every list has the same number of places.
struct BlockLists {
  int places = 0;
  std::vector<uint32_t> y_rank;
  std::vector<Candidate> candidates;
  std::vector<ListState> state;
  std::vector<CosineScale> scale;  // as the search that started from a floor measured it

  void reset(int places_per_list, size_t n) {
    places = places_per_list;
    y_rank.resize(n);
    candidates.resize(n * static_cast<size_t>(places));
    state.assign(n, ListState{});
    scale.assign(n, CosineScale{});
  }
  size_t size() const { return y_rank.size(); }
  Candidate* list(size_t i) { return candidates.data() + i * static_cast<size_t>(places); }
  const Candidate* list(size_t i) const {
    return candidates.data() + i * static_cast<size_t>(places);
  }
  // List i becomes list `from` of `other`, which has as many places.
  void replace(size_t i, const BlockLists& other, size_t from) {
    std::copy_n(other.list(from), places, list(i));
    state[i] = other.state[from];
  }
};

}  // namespace gtn
