// Which x's to pack side by side.
#pragma once

#include "gtn_fast/match.h"
#include "strategies/screen/store.h"

namespace gtn {

class Team;

// Even frames, each a fair sample of X; or, where X is clustered or of low effective dimension,
// small frames of neighbours, found by recursive bisection. `try_neighbours` false: even frames
// without a look at X. Neighbours within a radius of `narrow` (ScreenStore::narrow()) are parted
// by norm, not by distance. `in_runs`: even frames of runs of rows that lie side by side in X,
// for an X in files.
Layout make_layout(const Problem& problem, const ScreenVectors& vectors, const FreeItems& items,
                   Team& team, bool try_neighbours, double narrow, bool in_runs);

// Frames of groups of neighbours, with cones.
Layout make_cone_layout(const Problem& problem, const ScreenVectors& vectors,
                        const FreeItems& items, Team& team);

}  // namespace gtn
