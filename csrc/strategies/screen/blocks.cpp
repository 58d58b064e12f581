#include "strategies/screen/blocks.h"

#include <algorithm>

#include "kernels/kernels.h"
#include "strategies/common/clock.h"
#include "strategies/screen/layout.h"

namespace gtn {
namespace {

// Y's that a thread searches for at once, at most, but for the rounding to the kernel's width.
constexpr int kSearchTile = 384;
constexpr int kProbingTile = 1024;      // where few of them share a frame
constexpr double kCompactShare = 0.05;  // dead columns at which gaps are closed
// Free x's, as a share of those last laid out, at which a new layout pays: frames of neighbours
// become tighter, even ones as large as they were.
constexpr double kNeighbourRelayout = 0.5;
constexpr double kEvenRelayout = 0.2;
constexpr double kConeRelayout = 0.6;

}  // namespace

ScreenBlocks::ScreenBlocks(const Problem& problem, FreeItems& items, Team& team, bool out_of_core,
                           const std::string& scratch, UseCones cones)
    : problem_(problem),
      items_(items),
      team_(team),
      out_of_core_(out_of_core),
      vectors_(problem, team),
      store_(problem, vectors_, items, kernels(), scratch),
      items_free_(items.count()),
      cone_rule_({problem, items, store_, kernels(), team, out_of_core},
                 scratch.empty() ? cones : UseCones::kNever) {
  const SearchInputs inputs{problem, items, store_, kernels(), team, out_of_core};
  for (int t = 0; t < team.size(); ++t) searches_.emplace_back(inputs);
}

void ScreenBlocks::refresh() {
  const auto start = Clock::now();
  const double free = static_cast<double>(items_free_);
  const double share = store_.neighbours() ? kNeighbourRelayout : kEvenRelayout;
  if (refresh_cones()) {
    // Columns stay where they are until the next layout.
  } else if (!probing_ && (laid_out_ == 0 || free < share * static_cast<double>(laid_out_))) {
    // X only thins out: what was spread too evenly for neighbours stays so.
    const bool try_neighbours = laid_out_ == 0 || store_.neighbours();
    pack(make_layout(problem_, vectors_, items_, team_, try_neighbours, store_.narrow(),
                     out_of_core_));
  } else if (free <= (1.0 - kCompactShare) * static_cast<double>(store_.columns())) {
    store_.compact(team_);
    ++compactions_;
  }
  seconds_pack_ += seconds_since(start);
}

// Lays the free x's out for cones, where they pay, or evenly where they do no more. False if there
// are none.
bool ScreenBlocks::refresh_cones() {
  const bool had = !store_.cones().empty();
  if (probing_ || (store_.neighbours() && laid_out_ > 0)) return false;
  if (had && static_cast<double>(items_free_) >= kConeRelayout * static_cast<double>(laid_out_))
    return true;
  if (cone_rule_.asks_for_cones(floor_rule_.floor(), items_free_, team_)) {
    pack(make_cone_layout(problem_, vectors_, items_, team_));
    cones_ = true;
  } else if (had) {
    pack(make_layout(problem_, vectors_, items_, team_, false, store_.narrow(), out_of_core_));
  }
  return !store_.cones().empty();
}

void ScreenBlocks::use_lists(const MatrixView& centres) {
  const auto start = Clock::now();
  probing_.reset();
  probing_ = std::make_unique<Probing>(centres, problem_, items_, team_);
  pack(probing_->layout());
  seconds_pack_ += seconds_since(start);
}

void ScreenBlocks::pack(const Layout& layout) {
  store_.pack(layout, team_);
  laid_out_ = items_free_;
  neighbours_ = neighbours_ || store_.neighbours();
  peak_bytes_ = std::max(peak_bytes_, store_.bytes());
  ++packs_;
}

void ScreenBlocks::search(BlockLists& lists, int wanted, int certain, bool again) {
  const auto start = Clock::now();
  const Floor* const floor = again ? nullptr : &floor_rule_.floor();
  const int64_t n = static_cast<int64_t>(lists.y_rank.size());
  // As many equal tiles for every thread, of a multiple of the kernel's width.
  const int64_t share = (n + team_.size() - 1) / team_.size();
  const int64_t most = probing_ ? kProbingTile : kSearchTile;
  const int64_t rounds = (share + most - 1) / most;
  const int64_t even = (share + rounds - 1) / rounds;
  const int64_t width = kernels().tile_y;
  const int64_t tile = (even + width - 1) / width * width;
  team_.for_chunks(n, tile, [&](int64_t begin, int64_t end, int thread) {
    ScreenSearch& search = searches_[static_cast<size_t>(thread)];
    search.search(lists, static_cast<size_t>(begin), static_cast<size_t>(end), wanted, certain,
                  floor, probing_.get(), thread);
  });
  seconds_search_ += seconds_since(start);
}

bool ScreenBlocks::set_floor(const BlockLists& lists, const std::vector<double>& level) {
  return floor_rule_.learn(lists.scale, level, counters().survivors, store_.fair());
}

ScreenCounters ScreenBlocks::counters() const {
  ScreenCounters total;
  for (const ScreenSearch& s : searches_) total += s.counters();
  return total;
}

void ScreenBlocks::report_counters(Report& report) const {
  const ScreenCounters total = counters();
  report.add("pairs_screened", static_cast<double>(total.screened));
  report.add("pairs_skipped", static_cast<double>(total.skipped));
  report.add("survivors", static_cast<double>(total.survivors));
  report.add("pairs_estimated", static_cast<double>(total.estimated));
  report.add("pairs_rescored", static_cast<double>(total.rescored));
}

void ScreenBlocks::report_store(Report& report) const {
  report.add("packs", static_cast<double>(packs_));
  report.add("frames_of_neighbours", neighbours_ ? 1.0 : 0.0);
  report.add("cones", cones_ ? 1.0 : 0.0);
  report.add("compactions", static_cast<double>(compactions_));
  report.add("distinct_directions", static_cast<double>(items_.count()));
  report.add("store_bytes", static_cast<double>(peak_bytes_));
}

}  // namespace gtn
