// X in lists around given centres, for a search that looks at the nearest lists alone.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "gtn_fast/match.h"
#include "gtn_fast/parallel.h"
#include "strategies/common/free_items.h"
#include "strategies/screen/centres.h"
#include "strategies/screen/store.h"
#include "strategies/screen/tile.h"

namespace gtn {

// By y of a tile: the frames to look at, about the nearest first.
struct Probes {
  std::vector<size_t> begin;  // y's + 1 offsets into `frame`
  std::vector<uint32_t> frame;
};

// An item is in the list of the centre of highest cosine; a y probes the lists of the centres of
// highest cosine. Both by the rule of the engine: exact cosines, of equal ones the centre of
// smaller norm, then of smaller row. So nothing depends on the instruction set.
class Probing {
 public:
  // Lists of what is free. The centres stay the caller's.
  Probing(const MatrixView& centres, const Problem& problem, const FreeItems& items, Team& team);

  // Frames by list; a long list has several.
  const Layout& layout() const { return layout_; }
  // A y probes so many lists; if none of them has an item left, and there is no min_cosine, twice
  // as many, and so on.
  void set_probed(int64_t probed) { probed_ = probed; }
  // On that thread of the team.
  void find(const YTile& tile, int thread, Probes& out);
  void kill(uint32_t item) { --live_[list_of_[item]]; }
  // Lists without an item do not count any more.
  void drop_empty();

 private:
  void assign(Team& team);
  void make_layout();
  bool enough(const std::vector<uint32_t>& lists) const;

  const Problem& problem_;
  const FreeItems& items_;
  Centres centres_;
  std::deque<NearestLists> nearest_;  // one per thread
  int64_t probed_ = 1;
  std::vector<uint32_t> list_of_;      // by item
  std::vector<int64_t> live_;          // by list: items that are left
  std::vector<uint32_t> first_frame_;  // by list, and one more
  Layout layout_;
};

}  // namespace gtn
