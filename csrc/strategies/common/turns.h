// How short lists choose in order: the rule by which one list takes its best free candidate,
// and the run over a block of lists that ends before the first one that cannot.
#pragma once

#include <cstdint>
#include <vector>

#include "gtn_fast/lists.h"

namespace gtn {

// What a list would take.
struct Choice {
  int64_t place = -1;  // in the list; -1: none, or the list is dry
  double cosine = 0.0;
  uint32_t rank = kNoRank;
  bool tie = false;   // another free candidate has the same cosine
  bool none = false;  // the y takes none: certainly no free x reaches the bound
  bool dry() const { return place < 0 && !none; }
};

// The best free candidate, by cosine, then by rank. The list is dry if none is free, or if its
// level does not admit the best: another x, not in the list, may be better. What is below
// `bound` is not taken: a list that is complete down to it and has nothing better takes none.
//
// `List` has size(), cosine(c) and rank(c) of candidate c (kNoRank: not free), and kBestFirst:
// whether cosines only fall along the list. Ranks need not be in order: the rank of a class
// of equal directions grows when its members are taken.
template <class List>
Choice best_free(const List& list, const ListLevel& level, double bound = kAnyCosine) {
  Choice best;
  for (int64_t c = 0; c < list.size(); ++c) {
    const double cosine = list.cosine(c);
    if (!best.dry() && cosine < best.cosine) {
      if (List::kBestFirst) break;
      continue;
    }
    const uint32_t rank = list.rank(c);
    if (rank == kNoRank) continue;
    const bool tie = !best.dry() && cosine == best.cosine;
    if (best.dry() || better(cosine, rank, best.cosine, best.rank))
      best = {c, cosine, rank, tie};
    else
      best.tie = best.tie || tie;
  }
  if (bound != kAnyCosine && (best.dry() || best.cosine < bound)) {
    best = Choice{};
    best.none = level.admits(bound, kNoRank);
    return best;
  }
  return level.admits(best.cosine, best.rank) ? best : Choice{};
}

// Lists begin..n-1 choose in order: choose(i) takes for list i, or returns false if it is dry.
// Returns the first dry list, n if there is none. The choices before it stand. Those after it
// are only made to find the other lists that are probably dry, so that all get new ones at
// once; take_back(i) undoes them, the last one first. All dry lists are in `dry`.
template <class Choose, class TakeBack>
int64_t take_turns(int64_t begin, int64_t n, const Choose& choose, const TakeBack& take_back,
                   std::vector<int64_t>& dry) {
  dry.clear();
  for (int64_t i = begin; i < n; ++i)
    if (!choose(i)) dry.push_back(i);
  if (dry.empty()) return n;
  const int64_t end = dry.front();
  auto last_dry = dry.rbegin();
  for (int64_t i = n - 1; i > end; --i) {
    if (*last_dry == i)
      ++last_dry;
    else
      take_back(i);
  }
  return end;
}

}  // namespace gtn
