// Where lists start, so that the first panels do not flood them.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "strategies/screen/search_inputs.h"
#include "strategies/screen/tile.h"

namespace gtn {

// Where the cosines of one y with X lie. A height counts in units of `unit` from `mean`.
struct CosineScale {
  double mean = 0.0, unit = 1.0;
  double height(double cosine) const { return (cosine - mean) / unit; }
  double cosine(double height) const { return mean + height * unit; }
};

// Lists take nothing below this height, which is the same for all y's.
struct Floor {
  double height = -std::numeric_limits<double>::infinity();
  // Whether a y's unit is the deviation of its cosines with a sample of X. Else it is the length
  // of its vector: 1, but by distance.
  bool sampled = false;
};

// Measures the y's of a tile. Each thread has its own.
class FloorSample {
 public:
  FloorSample(const SearchInputs& in, const YTile& tile);
  // Writes scale[y] for every y of the tile. Without a sample the mean is the cosine of y with
  // the mean of the packed x's.
  void measure(bool sampled, CosineScale* scale);

 private:
  void sample_scores(CosineScale* scale);

  const SearchInputs in_;
  const YTile& tile_;
  std::vector<Hit> hits_;
};

// Chooses the floor of the next block from where the lists of the last one ended: high enough to
// spare a second look at most pairs, low enough for most y's to find what they want above it.
class FloorRule {
 public:
  const Floor& floor() const { return floor_; }
  // `level`, by y: the cosine down to which the list of the last block is complete. `survivors`:
  // of all searches so far. `may_sample`: frames are fair samples of X. Returns true if units
  // have changed: the lists of the next block start anywhere, so it should be small.
  bool learn(const std::vector<CosineScale>& scale, const std::vector<double>& level,
             int64_t survivors, bool may_sample);

 private:
  void set_height(const std::vector<CosineScale>& scale, const std::vector<double>& level);
  bool flooded(int64_t survivors, int64_t n_y);

  Floor floor_;
  double spread_ = 0.0;
  std::vector<double> heights_;
  int64_t survivors_before_ = 0;
  int floods_ = 0;
};

}  // namespace gtn
