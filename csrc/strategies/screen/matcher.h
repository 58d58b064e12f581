// The screening strategy's loop: blocks of y's, short lists, turns in order.
//
// A block's lists are made in parallel against the x's free at its start (blocks.h), then the y's
// choose in order (turns.h). A y whose list ran dry gets a new one; what was chosen after it is
// taken back and chosen again, so that the outcome is the sequential one.
#pragma once

#include <cstdint>
#include <vector>

#include "gtn_fast/block_policy.h"
#include "gtn_fast/match.h"
#include "strategies/common/classes.h"
#include "strategies/common/turns.h"
#include "strategies/screen/blocks.h"

namespace gtn {

class ScreenMatcher {
 public:
  // `out` has room for all y's.
  ScreenMatcher(const Problem& problem, const Options& options, const BlockPolicy& policy,
                Team& team, Assignment& out);

  // The y's before turn `stop` that have not chosen yet do so.
  void match_until(int64_t stop);

  int64_t done() const { return done_; }  // turns that are over
  int64_t free() const { return free_; }  // x's that were not taken
  ScreenBlocks& blocks() { return blocks_; }
  void report(Report& report) const;

 private:
  struct Taken {
    uint32_t item;
    Choice choice;
  };
  void match_zero_rows(int64_t stop);
  void match_block(int64_t n);
  Choice best_of(int64_t i) const;
  bool choose(int64_t i);
  void take_back(int64_t i);
  void commit(int64_t first, int64_t i);
  void refill();
  void search_again();

  const Problem& problem_;
  Team& team_;
  const DirectionClasses classes_;
  FreeItems items_;
  ScreenBlocks blocks_;
  int64_t done_ = 0;
  int64_t free_;

  BlockPolicy policy_;
  BlockLists lists_, again_;
  std::vector<double> level_;  // by list of the block: where it ends
  std::vector<Taken> taken_;   // by list of the block
  std::vector<int64_t> dry_;
  Assignment& result_;

  int64_t ties_ = 0, dry_total_ = 0, searched_again_ = 0, refills_ = 0;
  double seconds_resolve_ = 0;
};

}  // namespace gtn
