// The arithmetic of the problem, defined to the last bit.
//
//   m = max |x_i|,  u = x / m,  n = sqrt(u . u),  direction = u / n,  norm = m * n
//
// A cosine is ordered_dot() of two directions. A zero row has m = n = norm = 0
// and direction zero. A squared distance is ordered_dot(x - y, x - y) of the rows as they are,
// in double, each difference rounded once. Every decision of every strategy is made on these
// values; anything cheaper may only rule candidates out, with a bound.
//
// ordered_dot(a, b, d) sums in one fixed order on every instruction set:
//   lane[j] = a[j]*b[j] + a[j+8]*b[j+8] + ...   (left to right, j = 0..7, no FMA)
//   s[j] = lane[j] + lane[j+4]   (j = 0..3)
//   t[j] = s[j] + s[j+2]         (j = 0..1)
//   result = t[0] + t[1]
// Lanes without an element count as 0.
#pragma once

#include <cstdint>
#include <vector>

#include "gtn_fast/matrix.h"

namespace gtn {

class Team;

// What turns a stored row into its direction and norm.
struct RowScale {
  double max_abs = 0.0;  // m
  double inner = 0.0;    // n = ||x / m||
  double norm() const { return max_abs * inner; }
  bool zero() const { return max_abs == 0.0; }
};

// All values must be finite (checked at the API).
RowScale row_scale(const MatrixView& a, int64_t row, double* scratch_u);

// out[0..cols) = (x_i / m) / n; all zeros for a zero row.
void row_direction(const MatrixView& a, int64_t row, const RowScale& scale, double* out);

// out[0..cols) = the row as it is, in double.
void row_values(const MatrixView& a, int64_t row, double* out);

// The fixed-order dot product, on the instruction set chosen at start.
double ordered_dot(const double* a, const double* b, int64_t d);

// Scales by row, in parallel; of the others than `rows` none is computed.
std::vector<RowScale> row_scales(const MatrixView& a, const Rows& rows, Team& team);

}  // namespace gtn
