// Candidate lists made elsewhere (an index, a GPU, other processes): evaluated exactly and
// resolved here, by the same rules as the engine's own.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "gtn_fast/matrix.h"
#include "gtn_fast/order.h"

namespace gtn {

class Team;

// A block of lists, n x k, row-major.
struct ListsView {
  int64_t n = 0, k = 0;
  const int64_t* x_row = nullptr;  // -1: no candidate here
};

// cosine[i * k + j] = exact cosine of row y_row[i] of Y and candidate j of list i; -inf where
// there is none. Rows of X are visited in address order. Throws std::invalid_argument for a
// row out of range.
void evaluate_lists(const MatrixView& x, const MatrixView& y, const int64_t* y_row,
                    const ListsView& lists, double* cosine, Team& team);

// The order in which a y prefers x's: by cosine, ties to the smaller rank in the norm order.
inline bool better(double cosine_a, uint32_t rank_a, double cosine_b, uint32_t rank_b) {
  return cosine_a > cosine_b || (cosine_a == cosine_b && rank_a < rank_b);
}

// A list is complete down to its level: every x that was free when the list was made and that
// the level admits is in it. The default admits all.
struct ListLevel {
  double cosine = -std::numeric_limits<double>::infinity();
  uint32_t rank = kNoRank;

  bool admits(double c, uint32_t r) const { return c > cosine || (c == cosine && r <= rank); }
};

// Lists begin..n-1 choose in order, each the best of its candidates that is not `taken`, if the
// list's level admits it. Stops before the first list that has none such ("dry"): returns its
// place (n if there is none). Choices before it are in chosen[] and marked in taken[]. `dry`
// gets its place and, looking ahead, those of others that are probably dry too, for all to be
// searched again together. With a `bound` (kAnyCosine: none) a list that is complete down to it
// and has no free candidate of such a cosine chooses none: -1 and NaN.
int64_t resolve_lists(const ListsView& lists, const double* cosine, const ListLevel* level,
                      const uint32_t* x_rank, uint8_t* taken, int64_t begin, int64_t* chosen,
                      double* chosen_cosine, std::vector<int64_t>& dry, double bound = kAnyCosine);

}  // namespace gtn
