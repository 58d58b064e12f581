// Where lists start, so that the first panels do not flood them.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "strategies/screen/search_inputs.h"
#include "strategies/screen/tile.h"

namespace gtn {

// The cosines of one y with X: heights count in units of `unit` from `mean`.
struct CosineScale {
  double mean = 0.0, unit = 1.0;
  double height(double cosine) const { return (cosine - mean) / unit; }
  double cosine(double height) const { return mean + height * unit; }
};

// One height for all y's: below it their lists take nothing.
struct Floor {
  double height = -std::numeric_limits<double>::infinity();
  // Units are the deviations of every y's cosines on a sample of X; else 1.
  bool sampled = false;
};

// One thread's. Measures the y's of a tile.
class FloorSample {
 public:
  FloorSample(const SearchInputs& in, const YTile& tile);
  // scale[y] for every y of the tile. Without a sample the mean is the y's cosine with the mean
  // of the packed x's.
  void measure(bool sampled, CosineScale* scale);

 private:
  void sample_scores(CosineScale* scale);

  const SearchInputs in_;
  const YTile& tile_;
  std::vector<Hit> hits_;
};

// Chooses the next block's floor from where the lists of the last block ended: most y's find
// enough above it, and few pairs below it need a second look.
class FloorRule {
 public:
  const Floor& floor() const { return floor_; }
  // `level`, by y: the cosine at which the list of the last block ended. `survivors`: of all
  // searches so far. `may_sample`: X is spread evenly over its frames. True if units have
  // changed: the next block should be small, since its lists start anywhere.
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
