// Cones around groups of neighbours: which groups of a frame can hold a column of high cosine.
//
// A cone is an axis c and the least cosine A >= 0 of it with a column of its set. For a column x
// and a y with x . y >= t > 0, the angle of y with c is at most arccos t + arccos A <= pi, so that
//   y . c >= t A - sqrt(1 - t^2) sqrt(1 - A^2)
// With c in integers, which may be any vector near the middle of the set, and P = |c| A,
// Q = |c| sqrt(1 - A^2) this is y . c - t P + s Q >= 0: a score in d + 2 dimensions, of what the
// set knows and of what y knows. Sets are groups of columns, and groups of those.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernels.h"
#include "strategies/screen/pages.h"
#include "strategies/screen/query.h"

namespace gtn {

constexpr int kConeLevels = 2;
constexpr int64_t kMostConeDims = 62;  // a y's codes fill a cache line

class Cones {
 public:
  Cones(int64_t d, int x_limit, int y_limit);

  bool empty() const { return frames_.empty(); }
  void clear() { frames_.clear(); }
  // By frame, how many columns it has. All cones must be built next.
  void resize(const std::vector<int64_t>& columns);
  // The cones of a frame, from the n vectors of its columns, which are directions.
  void build(size_t frame, const double* v, size_t n);

  // A y before a level of a frame.
  struct View {
    alignas(64) int8_t codes[64];
    int32_t threshold;
  };
  // Any set with a column of such a cosine or a greater one reaches view.threshold. False if
  // cones cannot tell: the cosine is not positive.
  bool look(size_t frame, int level, const ScreenQuery& q, const int8_t* codes, double cosine,
            View& view) const;
  ScreenPanel panel(size_t frame, int level) const;
  // Sets of a level.
  int64_t sets(size_t frame, int level) const { return frames_[frame].level[level].sets; }
  int64_t bytes() const { return static_cast<int64_t>(codes_size_); }

 private:
  // How P and Q are written: P >= least of p0 - p_unit * code, Q <= q0 + q_unit * code.
  struct Level {
    int64_t sets = 0, first_group = 0;
    double p0 = 0.0, p_unit = 1.0, q0 = 0.0, q_unit = 1.0;
    double longest = 0.0;  // axis
  };
  struct FrameCones {
    Level level[kConeLevels];
  };
  void build_level(Level& level, size_t size, const double* v, size_t n);
  void write(const Level& level, int64_t set, const int8_t* code);

  const size_t d_;
  const int32_t steps_;
  const int x_limit_, y_limit_;
  std::vector<FrameCones> frames_;
  size_t codes_size_ = 0;
  Pages codes_;
};

}  // namespace gtn
