// Which x's to pack side by side.
#pragma once

#include "gtn_fast/match.h"
#include "strategies/screen/store.h"

namespace gtn {

class Team;

// Even frames in item order, or, where X is clustered or of low effective
// dimension, small frames of neighbours found by recursive bisection.
// `try_neighbours` false: even frames without a look. Neighbours within a radius of
// `narrow` are not parted by distance but by norm: see ScreenStore::narrow().
// `in_runs`: even frames of runs of rows that lie side by side in X, for an X in files.
Layout make_layout(const Problem& problem, const FreeItems& items, Team& team, bool try_neighbours,
                   double narrow, bool in_runs);

}  // namespace gtn
