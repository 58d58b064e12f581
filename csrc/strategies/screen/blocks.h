// The free x's packed for screening, and the lists of one block of y's after the other.
//
// What a matching in one process (screen.cpp) and a shard of one (shard.cpp) share: when the
// packed x's are compacted or laid out anew, how a block is cut into tiles, where lists start.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "gtn_fast/match.h"
#include "strategies/common/free_items.h"
#include "strategies/screen/block_lists.h"
#include "strategies/screen/cone_rule.h"
#include "strategies/screen/floor.h"
#include "strategies/screen/probing.h"
#include "strategies/screen/search.h"
#include "strategies/screen/store.h"

namespace gtn {

class ScreenBlocks {
 public:
  // `items` has at least one item. A search reads problem.y as it is then.
  // `out_of_core`, `scratch` and `cones` as in Options.
  ScreenBlocks(const Problem& problem, FreeItems& items, Team& team, bool out_of_core = false,
               const std::string& scratch = "", UseCones cones = UseCones::kNever);

  // Closes gaps when enough columns are dead; lays the free x's out anew when few are left. To be
  // called before a block, while items are free.
  void refresh();
  // From now on a search looks at the nearest lists alone: see Probing. The lists are made now, of
  // what is free.
  void use_lists(const MatrixView& centres);
  // Null before use_lists().
  Probing* probing() { return probing_.get(); }

  // Places per list: room for candidates that the bounds cannot tell from the wanted ones.
  static int places(int wanted) { return 4 * wanted + 16; }

  // Makes lists for the y's of lists.y_rank, after lists.reset(places(wanted), ...); `certain`
  // candidates of each are evaluated and in certain order. Lists start at the floor, but not
  // when their y's are searched for `again`.
  void search(BlockLists& lists, int wanted, int certain, bool again);
  // Evaluates what list i holds in reserve. To be called on that thread of the team.
  void deepen(BlockLists& lists, size_t i, int thread) {
    searches_[static_cast<size_t>(thread)].deepen_list(lists, i);
  }

  // Chooses the next block's floor: see FloorRule::learn(). True if that block should be small.
  bool set_floor(const BlockLists& lists, const std::vector<double>& level);

  // The item's last member was taken.
  void kill(uint32_t item) {
    if (packed()) store_.kill(item);
    if (probing_) probing_->kill(item);
    --items_free_;
  }
  bool packed() const { return laid_out_ > 0; }
  int64_t items_free() const { return items_free_; }

  void report_counters(Report& report) const;
  void report_store(Report& report) const;
  double seconds_pack() const { return seconds_pack_; }
  double seconds_search() const { return seconds_search_; }

 private:
  ScreenCounters counters() const;
  void pack(const Layout& layout);
  bool refresh_cones();

  const Problem& problem_;
  FreeItems& items_;
  Team& team_;
  const bool out_of_core_;
  const ScreenVectors vectors_;
  ScreenStore store_;
  std::deque<ScreenSearch> searches_;  // one per thread
  std::unique_ptr<Probing> probing_;
  int64_t items_free_;
  int64_t laid_out_ = 0;
  bool neighbours_ = false, cones_ = false;

  FloorRule floor_rule_;
  ConeRule cone_rule_;

  int64_t packs_ = 0, compactions_ = 0, peak_bytes_ = 0;
  double seconds_pack_ = 0.0, seconds_search_ = 0.0;
};

}  // namespace gtn
