// The screening strategy: blocks of y's, short lists, resolution in order.
//
// For any d. A block's lists are made in parallel against the x's free at its
// start (screen_search), then the y's choose in order, each the best of its list
// that is still free. A y whose list ran dry gets a new one; what was chosen after
// it is taken back and chosen again, so that the outcome is the sequential one.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>

#include "gtn_fast/match.h"
#include "kernels/kernels.h"
#include "strategies/classes.h"
#include "strategies/screen_layout.h"
#include "strategies/screen_search.h"
#include "strategies/screen_store.h"

namespace gtn {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

constexpr int kPilot = 256;             // y's of the first block
constexpr int64_t kSmallestBlock = 32;  // when lists collide
constexpr int64_t kLargestBlock = 32768;
constexpr int kListLength = 3;  // candidates wanted a y
constexpr int kLongestList = 160;
constexpr int kTile = 192;                  // y's a thread searches at once
constexpr int kNeighbourTile = 768;         // where each frame serves few of them
constexpr int64_t kFlood = 90;              // survivors a y that are worth a closer look
constexpr int kFloods = 4;                  // blocks in a row
constexpr double kCompactShare = 0.05;      // of the columns dead
constexpr double kNeighbourRelayout = 0.5;  // of the columns laid out: tighter frames
constexpr double kEvenRelayout = 0.2;       // larger ones

class ScreenMatcher {
 public:
  ScreenMatcher(const Problem& problem, const Options& options, Team& team, Report& report,
                Assignment& out)
      : problem_(problem),
        options_(options),
        team_(team),
        report_(report),
        classes_(direction_classes(problem, team)),
        items_(classes_),
        store_(problem, items_, kernels(), options.scratch),
        n_y_(problem.n_y()),
        items_free_(items_.count()),
        wanted_(options.list_length > 0
                    ? static_cast<int>(std::min<int64_t>(options.list_length, kLongestList))
                    : kListLength),
        result_(out) {
    for (int t = 0; t < team.size(); ++t)
      searches_.emplace_back(problem, items_, store_, kernels(), team);
  }

  void run() {
    int64_t done = match_zero_rows();
    block_ = options_.block > 0 ? options_.block : kPilot;
    while (done < n_y_) {
      refresh_store();
      const int64_t n = std::min(block_, n_y_ - done);
      match_block(done, n);
      done += n;
      team_.settle(done);
    }
    write_report();
  }

 private:
  struct Choice {
    uint32_t item, rank;
    bool tie;  // another free x of its list had the same cosine
  };

  // Zero y's choose first and tie with every x: they take the smallest ranks.
  int64_t match_zero_rows() {
    int64_t done = 0;
    for (; done < n_y_; ++done) {
      if (!problem_.y_scale[problem_.y_by_norm[static_cast<size_t>(done)]].zero()) break;
      const uint32_t rank = static_cast<uint32_t>(done);
      const uint32_t item = classes_.class_of(rank);
      items_.take(item);
      if (!items_.free(item)) --items_free_;
      result_.x_row[static_cast<size_t>(done)] = problem_.x_by_norm[rank];
      result_.cosine[static_cast<size_t>(done)] = 0.0;
    }
    return done;
  }

  // Closes gaps when enough columns are dead; lays out anew when few are left.
  void refresh_store() {
    const auto start = Clock::now();
    const double free = static_cast<double>(items_free_);
    const double share = store_.neighbours() ? kNeighbourRelayout : kEvenRelayout;
    if (laid_out_ == 0 || free < share * static_cast<double>(laid_out_)) {
      // X only thins out: what was spread too evenly for neighbours stays so.
      const bool try_neighbours = laid_out_ == 0 || store_.neighbours();
      store_.pack(make_layout(problem_, items_, team_, try_neighbours, store_.narrow(),
                              options_.out_of_core),
                  team_);
      laid_out_ = items_free_;
      neighbours_ = neighbours_ || store_.neighbours();
      peak_bytes_ = std::max(peak_bytes_, store_.bytes());
      ++packs_;
    } else if (free <= (1.0 - kCompactShare) * static_cast<double>(store_.columns())) {
      store_.compact(team_);
      ++compactions_;
    }
    seconds_pack_ += seconds_since(start);
  }

  // Room for what the bounds cannot tell apart from the wanted ones.
  int places() const { return 4 * wanted_ + 16; }

  void match_block(int64_t first, int64_t n) {
    lists_.reset(places(), static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i)
      lists_.y_rank[static_cast<size_t>(i)] = static_cast<uint32_t>(first + i);
    search(lists_, floor_);
    set_floor();
    resolve(first, static_cast<size_t>(n));
    adapt(first + n, n);
  }

  void search(BlockLists& lists, const Floor& floor) {
    const auto start = Clock::now();
    const int64_t n = static_cast<int64_t>(lists.y_rank.size());
    // As many equal tiles for every thread, of a multiple of the kernel's width.
    const int64_t share = (n + team_.size() - 1) / team_.size();
    const int64_t most = store_.neighbours() ? kNeighbourTile : kTile;
    const int64_t rounds = (share + most - 1) / most;
    const int64_t even = (share + rounds - 1) / rounds;
    const int64_t tile = (even + kMaxTileY - 1) / kMaxTileY * kMaxTileY;
    team_.for_chunks(n, tile, [&](int64_t begin, int64_t end, int thread) {
      searches_[static_cast<size_t>(thread)].search(lists, static_cast<size_t>(begin),
                                                    static_cast<size_t>(end), wanted_, floor);
    });
    seconds_search_ += seconds_since(start);
  }

  // Where the next block's lists may start: most y's find enough above it, and few
  // pairs below it need a second look.
  void set_floor() {
    std::vector<double> heights;
    for (size_t i = 0; i < lists_.state.size(); ++i) {
      const double height = (lists_.state[i].deep_level.cosine - lists_.mean[i]) / lists_.unit[i];
      // A list that never rose above the floor asks for a lower one.
      heights.push_back(height > floor_.height + 1e-9 ? height : floor_.height - spread_);
    }
    const auto tenth = heights.begin() + static_cast<int64_t>(heights.size() / 10);
    std::nth_element(heights.begin(), tenth, heights.end());
    const double low = *tenth;
    const auto middle = heights.begin() + static_cast<int64_t>(heights.size() / 2);
    std::nth_element(heights.begin(), middle, heights.end());
    spread_ = std::max(0.0, *middle - low) + 1e-12;
    floor_.height = low - 0.5 * spread_;
    if (!std::isfinite(floor_.height)) floor_ = Floor{};
    sample_if_flooded();
  }

  // One height for all y's is cheapest where all see X alike; where they do not,
  // each y's deviation from its mean is measured first.
  void sample_if_flooded() {
    int64_t survivors = 0;
    for (const ScreenSearch& s : searches_) survivors += s.counters.survivors;
    const int64_t n = static_cast<int64_t>(lists_.state.size());
    const bool flooded = survivors - survivors_before_ > kFlood * n;
    floods_ = flooded ? floods_ + 1 : 0;
    if (floods_ == kFloods && !floor_.sampled && !store_.neighbours()) {
      floor_ = Floor{-1e9, true};
      block_ = std::min<int64_t>(block_, kPilot);
    }
    survivors_before_ = survivors;
  }

  // The y's choose in order; position i of the block takes the best free of its
  // list. Runs ahead over dry lists to find all of them, then steps back.
  void resolve(int64_t first, size_t n) {
    chosen_.resize(n);
    where_.assign(n, -1);
    size_t begin = 0;
    while (begin < n) {
      const auto start = Clock::now();
      dry_.clear();
      for (size_t i = begin; i < n; ++i)
        if (!choose(i)) dry_.push_back(i);
      const size_t end = dry_.empty() ? n : dry_.front();
      for (size_t i = n; i-- > end;) take_back(i);
      for (size_t i = begin; i < end; ++i) commit(first, i);
      begin = end;
      seconds_resolve_ += seconds_since(start);
      if (!dry_.empty()) refill();
    }
  }

  bool choose(size_t i) {
    const auto [lists, at] = list_of(i);
    const Candidate* list = lists->list(at);
    const ListState& state = lists->state[at];
    const int count = state.exact;
    chosen_[i].rank = kNoRank;
    for (int c = 0; c < count; ++c) {
      if (!items_.free(list[c].item)) continue;
      // Heads move on as members are taken: among equal cosines look again.
      Candidate best = list[c];
      bool tie = false;
      for (int e = c + 1; e < count && list[e].cosine == best.cosine; ++e) {
        if (!items_.free(list[e].item)) continue;
        tie = true;
        if (items_.head(list[e].item) < items_.head(best.item)) best = list[e];
      }
      if (!state.level.admits(best.cosine, items_.head(best.item))) return false;
      cosine_of(i) = best.cosine;
      chosen_[i] = {best.item, items_.take(best.item), tie};
      return true;
    }
    return false;
  }

  double& cosine_of(size_t i) { return result_.cosine[static_cast<size_t>(lists_.y_rank[i])]; }

  void take_back(size_t i) {
    if (chosen_[i].rank != kNoRank) items_.undo(chosen_[i].item, chosen_[i].rank);
  }

  void commit(int64_t first, size_t i) {
    const Choice& choice = chosen_[i];
    result_.x_row[static_cast<size_t>(first) + i] = problem_.x_by_norm[choice.rank];
    ties_ += choice.tie;
    if (!items_.free(choice.item)) {
      store_.kill(choice.item);
      --items_free_;
    }
  }

  // New lists for all that ran dry, against what is free now: from what their
  // old ones hold in reserve, else by a new search.
  void refill() {
    ++refills_;
    dry_total_ += static_cast<int64_t>(dry_.size());
    team_.for_chunks(static_cast<int64_t>(dry_.size()), 8, [&](int64_t b, int64_t e, int thread) {
      for (int64_t k = b; k < e; ++k) {
        const auto [lists, at] = list_of(dry_[static_cast<size_t>(k)]);
        if (lists->state[at].exact < lists->state[at].total)
          searches_[static_cast<size_t>(thread)].deepen_list(*lists, at);
      }
    });
    std::erase_if(dry_, [&](size_t i) {
      if (!choose(i)) return false;
      take_back(i);
      return true;
    });
    if (dry_.empty()) return;
    searched_again_ += static_cast<int64_t>(dry_.size());
    BlockLists next;
    next.reset(places(), dry_.size());
    for (size_t k = 0; k < dry_.size(); ++k) next.y_rank[k] = lists_.y_rank[dry_[k]];
    search(next, Floor{});
    // The x's free now include the first one's best: nothing found is a wrong bound.
    if (next.state.front().total == 0) throw std::logic_error("screen: a search found nothing");
    merge_refilled(next);
  }

  std::pair<BlockLists*, size_t> list_of(size_t i) {
    if (where_[i] >= 0) return {&refilled_, static_cast<size_t>(where_[i])};
    return {&lists_, i};
  }

  void merge_refilled(BlockLists& next) {
    const size_t old = refilled_.y_rank.size();
    if (old == 0)
      refilled_ = std::move(next);
    else
      append(refilled_, next);
    for (size_t k = 0; k < dry_.size(); ++k) where_[dry_[k]] = static_cast<int64_t>(old + k);
  }

  static void append(BlockLists& to, const BlockLists& from) {
    to.y_rank.insert(to.y_rank.end(), from.y_rank.begin(), from.y_rank.end());
    to.candidates.insert(to.candidates.end(), from.candidates.begin(), from.candidates.end());
    to.mean.insert(to.mean.end(), from.mean.begin(), from.mean.end());
    to.state.insert(to.state.end(), from.state.begin(), from.state.end());
  }

  void adapt(int64_t done, int64_t n) {
    refilled_ = BlockLists{};
    const int64_t dry = searched_again_ - searched_before_;
    searched_before_ = searched_again_;
    if (options_.block > 0) return;
    const int64_t largest = (problem_.n_x() - done) / 32;
    if (dry * 10 > n) {
      if (options_.list_length == 0 && wanted_ < kLongestList)
        wanted_ = std::min(kLongestList, 2 * wanted_);
      block_ = std::max(kSmallestBlock, block_ / 2);
    } else if (dry * 50 < n) {
      block_ = block_ * 4;
    }
    block_ = std::min({block_, std::max(largest, kSmallestBlock), kLargestBlock});
  }

  void write_report() {
    ScreenCounters total;
    for (const ScreenSearch& s : searches_) total += s.counters;
    report_.add("pairs_screened", static_cast<double>(total.screened));
    report_.add("pairs_skipped", static_cast<double>(total.skipped));
    report_.add("survivors", static_cast<double>(total.survivors));
    report_.add("pairs_rescored", static_cast<double>(total.rescored));
    report_.add("ties", static_cast<double>(ties_));
    report_.add("lists_dry", static_cast<double>(dry_total_));
    report_.add("searched_again", static_cast<double>(searched_again_));
    report_.add("refills", static_cast<double>(refills_));
    report_.add("packs", static_cast<double>(packs_));
    report_.add("frames_of_neighbours", neighbours_ ? 1.0 : 0.0);
    report_.add("compactions", static_cast<double>(compactions_));
    report_.add("distinct_directions", static_cast<double>(items_.count()));
    report_.add("store_bytes", static_cast<double>(peak_bytes_));
    report_.add("seconds_pack", seconds_pack_);
    report_.add("seconds_search", seconds_search_);
    report_.add("seconds_resolve", seconds_resolve_);
  }

  const Problem& problem_;
  const Options& options_;
  Team& team_;
  Report& report_;
  const DirectionClasses classes_;
  FreeItems items_;
  ScreenStore store_;
  std::vector<ScreenSearch> searches_;
  const int64_t n_y_;
  int64_t items_free_;
  int64_t laid_out_ = 0;
  bool neighbours_ = false;

  int64_t block_ = 0;
  int wanted_;
  Floor floor_;
  double spread_ = 0.0;
  int64_t survivors_before_ = 0;
  int floods_ = 0;
  BlockLists lists_, refilled_;
  std::vector<int64_t> where_;  // place in refilled_, -1: in lists_
  std::vector<Choice> chosen_;
  std::vector<size_t> dry_;
  Assignment& result_;

  int64_t ties_ = 0, dry_total_ = 0, searched_again_ = 0, searched_before_ = 0, refills_ = 0,
          packs_ = 0, compactions_ = 0, peak_bytes_ = 0;
  double seconds_pack_ = 0, seconds_search_ = 0, seconds_resolve_ = 0;
};

}  // namespace

void match_screen(const Problem& problem, const Options& options, Team& team, Report& report,
                  Assignment& out) {
  ScreenMatcher(problem, options, team, report, out).run();
}

}  // namespace gtn
