// Screening by codes: every pair of a y and a column gets a score, few come through.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "strategies/screen/cone_sieve.h"
#include "strategies/screen/search_inputs.h"
#include "strategies/screen/tile.h"

namespace gtn {

// How far the value of a y with a column of the frame may be from what their codes say:
// Cauchy-Schwarz on what the codes leave out, of the columns and of the y.
inline double score_error(const YTile::Query& q, const Frame& frame) {
  return q.code_norm * frame.residual + q.rest * frame.radius + q.slack;
}

// The smallest integer score that reaches this one is it rounded up. Rounded down it is as small
// or smaller, and stays so whatever the divisions before round to, since that is off by far less
// than one.
inline int32_t score_threshold(double score) {
  const double floor = std::floor(score);  // NaN cannot occur, -inf and +inf clamp
  if (floor <= -static_cast<double>(kScoreLimit)) return -kScoreLimit;
  if (floor >= static_cast<double>(kScoreLimit)) return kScoreLimit;
  return static_cast<int32_t>(floor);
}

// Compares the codes of a frame with those of a tile's y's, and offers to the lists what the
// bound cannot rule out. Each thread has its own.
class CodeScreen {
 public:
  CodeScreen(const SearchInputs& in, YTile& tile, ScreenCounters& counters);

  // Screens frame f, which has codes, for those y's of the tile. `raised`: the lists have seen
  // another frame, so that their thresholds rule out most pairs. Returns how many groups were
  // screened. The other groups are better evaluated exactly: their codes would tell these y's
  // too little.
  int32_t screen(size_t f, const std::vector<uint32_t>& ys, bool raised);

 private:
  // What a y needs to know of the frame: cosine <= base + unit * (score - offset) + error.
  struct View {
    double base, unit, error;
  };
  // A pair that came through: the codes' value of the cosine, and once resolved the item, and the
  // row of X from which an estimate will be made. kNoRank: no estimate, since the codes say more.
  struct Pending {
    uint32_t y, column;
    double value;
    uint32_t item, row;
  };
  void look_at(size_t f, const std::vector<uint32_t>& ys);
  int32_t integer_threshold(size_t y);
  int64_t screen_panel(const ScreenPanel& panel, int64_t first_column,
                       const std::vector<uint32_t>& ys);
  void set_aside(int n, const uint32_t* ys, int64_t first_column);
  void screen_alive(size_t f, const std::vector<uint32_t>& ys);
  void resolve_pending();
  int64_t offer_pending();
  bool estimate(const Pending& pending, double* cosine) const;

  const SearchInputs in_;
  YTile& tile_;
  ScreenCounters& counters_;
  const double estimate_error_;  // of estimate(), at most; infinite where none is made
  int frames_to_skip_ = 0;       // so many frames are given up without a trial
  std::vector<View> view_;
  std::vector<int32_t> threshold_;
  const int8_t* codes_ = nullptr;  // of the y's that the frame serves
  std::vector<Hit> hits_;
  ConeSieve sieve_;
  std::vector<uint32_t> column_;
  std::vector<int32_t> score_;
  std::vector<Pending> pending_;
};

}  // namespace gtn
