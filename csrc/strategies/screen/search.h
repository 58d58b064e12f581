// Short lists for a tile of y's: every free x is looked at, few are evaluated.
#pragma once

#include <cstdint>
#include <vector>

#include "strategies/screen/block_lists.h"
#include "strategies/screen/code_screen.h"
#include "strategies/screen/exact_scan.h"
#include "strategies/screen/floor.h"
#include "strategies/screen/probing.h"
#include "strategies/screen/search_inputs.h"
#include "strategies/screen/tile.h"

namespace gtn {

// Keeps its scratch between tiles. Each thread has its own.
class ScreenSearch {
 public:
  explicit ScreenSearch(const SearchInputs& in);
  ScreenSearch(const ScreenSearch&) = delete;
  ScreenSearch& operator=(const ScreenSearch&) = delete;

  // Fills lists [begin, end) with at least `wanted` candidates each, `certain` of which are
  // evaluated and in certain order. If fewer reach the floor, a list may be shorter; it is
  // complete down to the floor. Without a floor (null) nothing is measured, and every list gets
  // what it wants. With `probing`, only the nearest lists are looked at; `thread` is this one.
  void search(BlockLists& lists, size_t begin, size_t end, int wanted, int certain,
              const Floor* floor, Probing* probing, int thread);

  // Evaluates the rest of list i.
  void deepen_list(BlockLists& lists, size_t i);

  const ScreenCounters& counters() const { return counters_; }

 private:
  void start_lists(BlockLists& lists, size_t begin, int wanted, const Floor* floor);
  void visit_nearest();
  void visit_all();
  void visit_probed();
  // Every y looks first at one frame: nearest_[y].
  void visit_first();
  void visit(size_t frame, const std::vector<uint32_t>& ys);

  const SearchInputs in_;
  ScreenCounters counters_;
  YTile tile_;
  CodeScreen code_screen_;
  ExactScan exact_scan_;
  FloorSample floor_sample_;

  bool raised_ = false;            // thresholds were raised by a first look
  std::vector<uint32_t> nearest_;  // by y: the frame it looked at first, kNoRank for none
  std::vector<uint32_t> served_;   // y's that the frame can serve
  Probes probes_;
  // The y's of every frame, one frame after the other.
  std::vector<size_t> frame_end_;
  struct Probe {
    uint32_t y;
    double base;
  };
  std::vector<Probe> by_frame_;
  std::vector<uint32_t> ys_;
};

}  // namespace gtn
