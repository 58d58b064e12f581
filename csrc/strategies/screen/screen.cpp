// The screening strategy: blocks of y's, short lists, resolution in order.
//
// For any d. A block's lists are made in parallel against the x's free at its
// start (search.h), then the y's choose in order, each the best of its list
// that is still free. A y whose list ran dry gets a new one; what was chosen after
// it is taken back and chosen again, so that the outcome is the sequential one.
#include <algorithm>
#include <chrono>
#include <stdexcept>

#include "gtn_fast/match.h"
#include "strategies/common/classes.h"
#include "strategies/screen/blocks.h"

namespace gtn {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

constexpr int64_t kSmallestBlock = 32;  // when lists collide
constexpr int64_t kLargestBlock = 32768;
constexpr int kCertain = 2;  // candidates evaluated and in certain order a list

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
        blocks_(problem, items_, team, options.out_of_core, options.scratch),
        n_y_(problem.n_y()),
        wanted_(options.list_length > 0
                    ? static_cast<int>(std::min<int64_t>(options.list_length, kScreenLongestList))
                    : kScreenListLength),
        result_(out) {}

  void run() {
    int64_t done = match_zero_rows();
    block_ = options_.block > 0 ? options_.block : kScreenPilot;
    while (done < n_y_) {
      blocks_.refresh();
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
      if (!items_.free(item)) blocks_.kill(item);
      result_.x_row[static_cast<size_t>(done)] = problem_.x_by_norm[rank];
      result_.cosine[static_cast<size_t>(done)] = 0.0;
    }
    return done;
  }

  void match_block(int64_t first, int64_t n) {
    lists_.reset(ScreenBlocks::places(wanted_), static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i)
      lists_.y_rank[static_cast<size_t>(i)] = static_cast<uint32_t>(first + i);
    blocks_.search(lists_, wanted_, kCertain, false);
    level_.clear();
    for (const ListState& state : lists_.state) level_.push_back(state.deep_level.cosine);
    if (blocks_.set_floor(lists_, level_)) block_ = std::min<int64_t>(block_, kScreenPilot);
    resolve(first, static_cast<size_t>(n));
    adapt(first + n, n);
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
    // Not "if none is free": the block may have taken several of the class.
    if (classes_.after(choice.rank) == kNoRank) blocks_.kill(choice.item);
  }

  // New lists for all that ran dry, against what is free now: from what their
  // old ones hold in reserve, else by a new search.
  void refill() {
    ++refills_;
    dry_total_ += static_cast<int64_t>(dry_.size());
    team_.for_chunks(static_cast<int64_t>(dry_.size()), 8, [&](int64_t b, int64_t e, int thread) {
      for (int64_t k = b; k < e; ++k) {
        const auto [lists, at] = list_of(dry_[static_cast<size_t>(k)]);
        if (lists->state[at].exact < lists->state[at].total) blocks_.deepen(*lists, at, thread);
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
    next.reset(ScreenBlocks::places(wanted_), dry_.size());
    for (size_t k = 0; k < dry_.size(); ++k) next.y_rank[k] = lists_.y_rank[dry_[k]];
    blocks_.search(next, wanted_, kCertain, true);
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
    to.state.insert(to.state.end(), from.state.begin(), from.state.end());
  }

  void adapt(int64_t done, int64_t n) {
    refilled_ = BlockLists{};
    const int64_t dry = searched_again_ - searched_before_;
    searched_before_ = searched_again_;
    if (options_.block > 0) return;
    const int64_t largest = (problem_.n_x() - done) / 64;
    if (dry * 10 > n) {
      if (options_.list_length == 0 && wanted_ < kScreenLongestList)
        wanted_ = std::min(kScreenLongestList, 2 * wanted_);
      block_ = std::max(kSmallestBlock, block_ / 2);
    } else if (dry * 50 < n) {
      block_ = block_ * 4;
    }
    block_ = std::min({block_, std::max(largest, kSmallestBlock), kLargestBlock});
  }

  void write_report() {
    blocks_.report_counters(report_);
    report_.add("ties", static_cast<double>(ties_));
    report_.add("lists_dry", static_cast<double>(dry_total_));
    report_.add("searched_again", static_cast<double>(searched_again_));
    report_.add("refills", static_cast<double>(refills_));
    blocks_.report_store(report_);
    report_.add("seconds_pack", blocks_.seconds_pack());
    report_.add("seconds_search", blocks_.seconds_search());
    report_.add("seconds_resolve", seconds_resolve_);
  }

  const Problem& problem_;
  const Options& options_;
  Team& team_;
  Report& report_;
  const DirectionClasses classes_;
  FreeItems items_;
  ScreenBlocks blocks_;
  const int64_t n_y_;

  int64_t block_ = 0;
  int wanted_;
  BlockLists lists_, refilled_;
  std::vector<double> level_;
  std::vector<int64_t> where_;  // place in refilled_, -1: in lists_
  std::vector<Choice> chosen_;
  std::vector<size_t> dry_;
  Assignment& result_;

  int64_t ties_ = 0, dry_total_ = 0, searched_again_ = 0, searched_before_ = 0, refills_ = 0;
  double seconds_resolve_ = 0;
};

}  // namespace

void match_screen(const Problem& problem, const Options& options, Team& team, Report& report,
                  Assignment& out) {
  ScreenMatcher(problem, options, team, report, out).run();
}

}  // namespace gtn
