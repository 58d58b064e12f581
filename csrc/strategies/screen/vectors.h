// What is screened: vectors whose dot product is the value of a pair, but for a shift.
//
// By cosine they are the directions. By distance, with c near the middle of X, u = x - c and
// v = y - c,
//   -|x - y|^2 = 2 u . v - |u|^2 - |v|^2 = x' . y' - |v|^2
//   x' = (u / r, b |u / r|^2) / f,   y' = r f (2 v, -r / b)
// Here r, b and f are powers of two: r >= |u| and f^2 >= 1 + b^2 make |x'| <= 1, and b balances
// the last coordinate against the others. Neither they nor c change the answer.
#pragma once

#include <cstdint>
#include <vector>

#include "gtn_fast/match.h"

namespace gtn {

class ScreenVectors {
 public:
  ScreenVectors(const Problem& problem, Team& team);

  int64_t dims() const { return dims_; }
  // Of a row of X: at most 1 long.
  void of_x(int64_t row, double* out) const;

  // Value = x' . y' - shift; length >= |y'|. All that is rounded on the way changes the value by
  // at most `roundings` times the slack (ScreenStore::slack()) of vectors that are at most 1 long.
  struct Query {
    double shift, length, roundings;
  };
  // v: the point of a y, which becomes y'.
  Query of_y(double* v) const;

 private:
  void find_centre();
  void find_radius(Team& team);
  void find_balance();

  const Problem& problem_;
  const int64_t dims_;
  std::vector<double> centre_;        // c; empty by cosine
  double radius_ = 1.0;               // r
  double balance_ = 1.0, fit_ = 1.0;  // b, f
};

}  // namespace gtn
