// X in lists around given centres, for a search that looks at the nearest lists alone.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "gtn_fast/match.h"
#include "gtn_fast/parallel.h"
#include "strategies/common/free_items.h"
#include "strategies/screen/block_lists.h"
#include "strategies/screen/search_inputs.h"
#include "strategies/screen/store.h"

namespace gtn {

// An item is in the list of the centre of highest cosine; a y probes the lists of the centres of
// highest cosine. Both by the rule of the engine: exact cosines, of equal ones the centre of
// smaller norm, then of smaller row. So nothing depends on the instruction set.
class Probing {
 public:
  // Lists of what is free. Centres of equal direction are one. They stay the caller's.
  Probing(const MatrixView& centres, const Problem& problem, const FreeItems& items, Team& team);
  ~Probing();

  // Frames by list; a long list has several.
  const Layout& layout() const { return layout_; }
  // A y probes so many lists; if none of them has an item left, and there is no min_cosine, twice
  // as many, and so on.
  void set_probed(int64_t probed) { probed_ = probed; }
  // The frames for each of lists.y_rank.
  void find(const BlockLists& lists, Probes& out);
  void kill(uint32_t item) { --live_[list_of_[item]]; }
  // Lists without an item do not count any more.
  void drop_empty();
  double seconds() const { return seconds_; }

 private:
  class Centres;
  void assign();
  void make_layout();
  // Of the nearest lists, best first, how many to probe; 0 if more must be known.
  int64_t probes_of(const Candidate* nearest, int64_t known) const;

  const Problem& problem_;
  const FreeItems& items_;
  std::unique_ptr<Centres> centres_;
  int64_t probed_ = 1;
  std::vector<uint32_t> list_of_;      // by item
  std::vector<int64_t> live_;          // by list: items that are left
  std::vector<uint32_t> first_frame_;  // by list, and one more
  Layout layout_;
  std::vector<std::vector<uint32_t>> probed_lists_;  // by y of a portion
  double seconds_ = 0.0;
};

}  // namespace gtn
