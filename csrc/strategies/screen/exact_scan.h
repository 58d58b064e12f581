// Frames that codes cannot serve: every column is evaluated exactly, a few y's at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "strategies/screen/search_inputs.h"
#include "strategies/screen/tile.h"

namespace gtn {

// Adds the exact cosines of whole groups of columns to the lists of a tile. Each thread has
// its own.
class ExactScan {
 public:
  ExactScan(const SearchInputs& in, YTile& tile, ScreenCounters& counters);

  // All of a narrow frame, from the points that the store keeps.
  void scan_narrow(const Frame& frame, const std::vector<uint32_t>& ys);
  // A frame with codes, from its group g on. Points are made from the rows of X.
  void scan_quantised(const Frame& frame, int32_t g, const std::vector<uint32_t>& ys);

 private:
  // What a cosine must reach for a list of level (ties, rank): `ties` itself if a head at hand
  // may be small enough to win a tie with the level, else `beyond`, the next number above.
  struct Bar {
    double ties, beyond;
    uint32_t rank;
  };
  // kGroup columns, none of whose heads is smaller than least_head.
  struct Group {
    const double* points;  // [dimension][column]
    int64_t first_column;
    uint32_t least_head;
  };
  void set_bar(size_t y);
  void set_bars(const std::vector<uint32_t>& ys);
  const double* make_points(int64_t first_column);
  void scan(const Group& group, const double* next, const std::vector<uint32_t>& ys);
  void add(size_t y, const Group& group, const double* cosine, unsigned mask);

  const SearchInputs in_;
  YTile& tile_;
  ScreenCounters& counters_;
  std::vector<Bar> bar_;
  decltype(Kernels::ordered_dot_group) const values_;
  std::vector<double> points_, row_;
};

}  // namespace gtn
