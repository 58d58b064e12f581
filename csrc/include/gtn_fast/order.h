// The order of choice: rows by norm ascending, equal norms by row number.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "gtn_fast/direction.h"

namespace gtn {

class Team;

constexpr uint32_t kNoRank = 0xFFFFFFFF;  // no row has it

// The least cosine that will do, if any will.
constexpr double kAnyCosine = -std::numeric_limits<double>::infinity();

// rank -> row, of `rows`. A stable parallel radix sort on the norms' bit patterns
// (non-negative doubles order like unsigned integers). At most 2^32 - 2 rows.
std::vector<uint32_t> norm_order(const std::vector<RowScale>& scales, const Rows& rows, Team& team);

}  // namespace gtn
