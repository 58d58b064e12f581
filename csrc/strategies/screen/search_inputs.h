// What every part of a search reads, and what it counts.
#pragma once

#include <cstdint>
#include <vector>

#include "gtn_fast/match.h"
#include "gtn_fast/parallel.h"
#include "kernels/kernels.h"
#include "strategies/common/free_items.h"
#include "strategies/screen/store.h"

namespace gtn {

// Whose lists are made, by rank. Borrowed.
struct Askers {
  const Problem& problem;
  bool of_x;                            // rows of its X, not of its Y
  const std::vector<uint32_t>& row_of;  // by rank
  void point(uint32_t row, double* out) const {
    of_x ? problem.x_point(row, out) : problem.y_point(row, out);
  }
};

// Borrowed: all of it outlives the search.
struct SearchInputs {
  const Problem& problem;
  const FreeItems& items;
  const ScreenStore& store;
  const Kernels& kernels;
  const Team& team;
  bool out_of_core;  // rows of X lie in files
};

struct ScreenCounters {
  int64_t screened = 0;   // pairs scored in low precision
  int64_t skipped = 0;    // pairs ruled out by their frame alone
  int64_t survivors = 0;  // pairs whose bound reached the threshold
  int64_t estimated = 0;  // of those, evaluated in float
  int64_t rescored = 0;   // pairs evaluated exactly
  void operator+=(const ScreenCounters& other) {
    screened += other.screened;
    skipped += other.skipped;
    survivors += other.survivors;
    estimated += other.estimated;
    rescored += other.rescored;
  }
};

}  // namespace gtn
