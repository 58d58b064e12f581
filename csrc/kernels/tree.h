// The search in the tree strategy's index, compiled once an instruction set.
//
// The index is a complete 8-ary tree over leaves of kTreeLeaf slots. A node of
// level j has the nodes (leaves for j = 1) 8 i .. 8 i + 7 of level j - 1 below
// it, and keeps their bounding boxes side by side. A dead slot holds NaN, an
// emptied child an infinite box: neither is ever found.
#pragma once

#include <cstdint>

namespace gtn {

constexpr int kTreeFan = 8;
constexpr int kTreeLeaf = 16;
constexpr int kTreeLevels = 12;  // 8^11 leaves hold more than 2^32 slots
constexpr int kTreeMaxDim = 16;
constexpr int kTreeMaxList = 16;

// Boxes and points of leaves; by cosine rounded to float.
template <class Real>
struct TreeCells {
  // box[j]: level j's nodes, 16 d numbers each: lo[d][8], then hi[d][8].
  const Real* box[kTreeLevels] = {};
  const Real* x = nullptr;  // leaf l: x[16 d l + 16 c + slot], c < d
};

struct TreeView {
  int levels = 0;              // of inner nodes, at least 1; the root is node 0 of level `levels`
  TreeCells<float> by_cosine;  // one of the two is filled
  TreeCells<double> by_distance;
  const double* point = nullptr;   // by cosine: slot s's direction is at point[d s]
  const uint32_t* rank = nullptr;  // by slot: the head's rank
};

// If the squared distance from y to a box is above
//   (1 - cut + kTreeSlack) * kTreeStretch,
// then no direction in the box has a computed cosine of `cut` or more. For
// directions at true distance r, x . y = (|x|^2 + |y|^2 - r^2) / 2. With
// u = 2^-53 and d <= 16: a stored direction's length is off by the rounding of
// inner, 3.5 u, and of the division, u, so |x|^2 and |y|^2 are at most 1 + 10 u;
// ordered_dot rounds at most five times on a path of sums of at most 1, 5 u. The
// stretch covers the computed distance and limit, each within 20 u of itself.
constexpr double kTreeSlack = 16.0 * 0x1p-53;
constexpr double kTreeStretch = 2.0 * (1.0 + 1e-14);

// The same in float. No coordinate of a direction is above 1, so that rounding it to float moves
// it by 2^-25 at most, and a difference of two by 2^-24, and a distance by once_float; d + 2
// roundings, of differences, squares and sums, each 2^-24, are within the stretch
// twice, with the last one to float. So what was said above holds of boxes of rounded directions
// and of rounded directions themselves, if
//   (sqrt(limit) + once_float)^2 * stretch
// is the limit to their squared distance in float.
// And if k directions are at f at most in float, then the k-th best cosine allows none beyond
//   (sqrt(f) + twice_float)^2 * stretch:
// those are at R = sqrt(f) + once_float at most, up to rounding, and their cosines by 16 u
// less than 1 - R^2 / 2 at most, so that the limit above is R^2 + 64 u, its root R + 8.5e-8.
// All grow with d alone: sqrt(d) is (d + 4) / 4 at most. What y's far from all x's are left with
// depends on them (X in a cone), so they are no larger than they must be.
constexpr double tree_once_float(int d) { return (d + 4) / 4.0 * 0x1p-24; }
constexpr double tree_twice_float(int d) { return 2.0 * tree_once_float(d) + 8.5e-8; }
constexpr double tree_float_stretch(int d) { return 1.0 + (2 * d + 8) * 0x1p-24; }

// Slots that wait for their evaluation: those that are too close to tell in float, and k.
constexpr int kTreeWaiting = 2 * kTreeMaxList;

// By distance: the same of a computed squared distance to the box and of what was found so far,
// times this. No difference to a box is rounded to more than the one to a point in it, nor is
// its square; the sums, of the same d <= 16 terms at most, differ by their rounding, 32 u.
constexpr double kTreeNearStretch = 1.0 + 1e-14;

struct TreeHit {
  double cosine;  // or minus the squared distance
  uint32_t rank;
  uint32_t slot;
};

struct TreeStats {
  uint64_t nodes = 0;
  uint64_t leaves = 0;
};

// Finds the k slots of highest (ordered_dot with y, then smaller rank), or of smallest squared
// distance, best first; returns how many there are. 1 <= k <= kTreeMaxList.
using TreeSearch = int (*)(const TreeView& tree, const double* y, int k, TreeHit* best,
                           TreeStats* stats);

// By dimension; null where there is none.
struct TreeSearches {
  TreeSearch by_cosine[kTreeMaxDim + 1];
  TreeSearch by_distance[kTreeMaxDim + 1];
};

}  // namespace gtn
