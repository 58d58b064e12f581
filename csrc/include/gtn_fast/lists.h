// Candidate lists made elsewhere (an index, a GPU, other processes): evaluated exactly and
// resolved here, by the same rules as the engine's own.
#pragma once

#include <cstdint>
#include <vector>

#include "gtn_fast/matrix.h"

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

// From where on a list may lack x's that were free when it was made: it holds all that are
// better than (cosine, rank), rank being that of a norm order (ties go to the smaller).
struct ListLevel {
  double cosine;
  uint32_t rank;
};

// Lists i = begin..n-1 choose in order, each the best of its candidates that is not `taken`
// (by cosine, then by x_rank), if it is within the list's level. Stops before the first list
// that has none such ("dry"): returns its place (n if there is none). Choices before it are
// in chosen[] and marked in taken[]. `dry` gets its place and, looking ahead, those of others
// that would probably be dry too, for all to be searched again together.
int64_t resolve_lists(const ListsView& lists, const double* cosine, const ListLevel* level,
                      const uint32_t* x_rank, uint8_t* taken, int64_t begin, int64_t* chosen,
                      double* chosen_cosine, std::vector<int64_t>& dry);

}  // namespace gtn
