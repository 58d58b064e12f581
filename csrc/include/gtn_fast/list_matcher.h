// Algorithm 1 approximately: each y chooses among the x's of the lists that are nearest to it.
#pragma once

#include <cstdint>
#include <memory>

#include "gtn_fast/match.h"

namespace gtn {

// The y's choose in order, as in match(). The lists are made around centres that someone else
// finds (k-means, say), anew as X thins out. A choice is the best free x, by exact cosine, norm and
// row, of the `probed` lists whose centres are nearest to the y; if all their x's are taken, of
// twice as many lists, and so on. With a min_cosine a y takes none as soon as the first lists have
// nothing of such a cosine. Lists, nearness and choices are exact: the answer depends on centres
// and calls, not on blocks, threads or instruction sets.
class ListMatcher {
 public:
  // Of `options` only threads, block, list_length and min_cosine matter. x and y stay the caller's
  // and unchanged. Exceptions as match().
  ListMatcher(const MatrixView& x, const MatrixView& y, const Options& options, Control* control);
  ~ListMatcher();

  // Lists of the x's that are free. The centres stay the caller's until the next call.
  void set_lists(const MatrixView& centres);
  // The y's before turn `stop` choose. Before set_lists() all x's are looked at. Lists that are
  // empty at the call do not count as probed.
  void match_until(int64_t stop, int64_t probed);
  // The cosines of what n y's, by turn, would choose now: NaN for none.
  void try_turns(const uint32_t* turns, int64_t n, int64_t probed, double* cosine);

  int64_t done() const;  // turns that are over
  int64_t free() const;  // x's that were not taken
  const Assignment& assignment() const;
  Report report() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gtn
