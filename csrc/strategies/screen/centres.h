// The centres of lists, and which of them are nearest to a y.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "gtn_fast/match.h"
#include "gtn_fast/parallel.h"
#include "kernels/kernels.h"
#include "strategies/common/classes.h"
#include "strategies/common/free_items.h"
#include "strategies/screen/search_inputs.h"
#include "strategies/screen/store.h"
#include "strategies/screen/tile.h"

namespace gtn {

// Centres as if they were X: packed in codes. Those of equal direction are one. A list has the
// number of its centre's item.
class Centres {
 public:
  // They stay the caller's.
  Centres(const MatrixView& centres, Team& team);

  int64_t count() const { return items_.count(); }
  int64_t alive() const { return alive_; }
  bool dropped(uint32_t list) const { return !items_.free(list); }
  // The list does not count any more.
  void drop(uint32_t list);
  void close_gaps() { store_.compact(team_); }

  const double* direction(uint32_t list) const {
    return direction_.data() + static_cast<int64_t>(list) * problem_.x.cols;
  }
  SearchInputs inputs() const { return {problem_, items_, store_, kernels(), team_, false}; }

 private:
  Team& team_;
  const Problem problem_;
  const DirectionClasses classes_;
  FreeItems items_;
  const ScreenVectors vectors_;
  ScreenStore store_;
  int64_t alive_;
  std::vector<double> direction_;
};

// Finds the lists nearest to the y's of a tile. Each thread has its own.
class NearestLists {
 public:
  explicit NearestLists(const Centres& centres);

  // Calls take(y, lists) for every y of the tile with its `wanted` nearest lists, or all there
  // are: those of highest cosine, of equal ones those of smaller number, in no certain order, but
  // about the nearest first. While take() returns false, again with twice as many.
  template <class Take>
  void find(const YTile& tile, int64_t wanted, const Take& take) {
    const size_t width = static_cast<size_t>(in_.kernels.tile_y);
    for (size_t a = 0; a < tile.size(); a += width) {
      const size_t n = std::min(width, tile.size() - a);
      collect(tile, a, n, height_);
      for (size_t j = 0; j < n; ++j) {
        bool found = settle(tile, a + j, j, wanted, height_);
        adapt(found);
        for (int64_t more = wanted;; more *= 2) {
          if (!found) search(tile, a + j, more);
          if (take(a + j, nearest_)) break;
          found = false;
        }
      }
    }
  }

 private:
  // A list and its cosine, known but for an error.
  struct Entry {
    double cosine;
    uint32_t list;
  };
  void collect(const YTile& tile, size_t first, size_t n, double height);
  void collect_narrow(const Frame& frame, size_t n);
  bool settle(const YTile& tile, size_t y, size_t j, int64_t wanted, double height);
  void settle_close(const YTile& tile, size_t y, size_t j, size_t wanted, double beaten);
  void search(const YTile& tile, size_t y, int64_t wanted);
  void adapt(bool found);

  const Centres& centres_;
  const SearchInputs in_;
  // Lists are collected whose cosine is so much above that of the y with the mean of the centres:
  // mostly a few more than are wanted.
  double height_;
  double needed_ = 0.0;  // by the last y
  double spread_ = 0.0;  // of what y's need
  // By y of a call of the kernel: what was collected, how far that may be from the cosines, the
  // cosine with the mean.
  std::vector<std::vector<Entry>> found_;
  std::vector<double> error_, base_;
  std::vector<uint32_t> nearest_;
  std::vector<Hit> hits_;
};

}  // namespace gtn
