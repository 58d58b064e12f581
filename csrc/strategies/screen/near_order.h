// An order of x's in which runs of 16 are neighbours, and runs of 256, and so on.
#pragma once

#include <cstdint>
#include <vector>

#include "gtn_fast/match.h"
#include "strategies/common/free_items.h"
#include "strategies/screen/vectors.h"

namespace gtn {

class Team;

// Puts the free items of `order` so that every run of kGroup 2^k of them that starts at a multiple
// of its length is one side of a cut across the longest axis of a larger run.
void near_order(const Problem& problem, const ScreenVectors& vectors, const FreeItems& items,
                std::vector<uint32_t>& order, Team& team);

}  // namespace gtn
