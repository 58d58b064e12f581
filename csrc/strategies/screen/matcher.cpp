#include "strategies/screen/matcher.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "strategies/common/clock.h"

namespace gtn {
namespace {

constexpr int kCertain = 2;  // candidates of a list that are evaluated and in certain order

// What is evaluated of a list, for turns.h: items by their heads.
struct ItemList {
  static constexpr bool kBestFirst = true;
  const Candidate* candidates;
  int64_t n;
  const FreeItems& items;

  int64_t size() const { return n; }
  double cosine(int64_t c) const { return candidates[c].cosine; }
  uint32_t rank(int64_t c) const { return items.head(candidates[c].item); }
};

}  // namespace

ScreenMatcher::ScreenMatcher(const Problem& problem, const Options& options,
                             const BlockPolicy& policy, Team& team, Assignment& out)
    : problem_(problem),
      team_(team),
      classes_(direction_classes(problem, team)),
      items_(classes_),
      blocks_(problem, items_, team, options.out_of_core, options.scratch, options.cones),
      free_(problem.n_x()),
      policy_(policy),
      result_(out) {}

void ScreenMatcher::match_until(int64_t stop) {
  match_zero_rows(stop);
  team_.settle(done_);
  while (done_ < stop) {
    if (blocks_.items_free() == 0) {
      result_.take_none(done_, stop);
      done_ = stop;
    } else {
      const int64_t n = std::min(policy_.size(), stop - done_);
      const int64_t searched_before = searched_again_;
      match_block(n);
      done_ += n;
      policy_.served(n, searched_again_ - searched_before, free_);
    }
    team_.settle(done_);
  }
}

// Zero y's choose first and tie with every x: they take the smallest ranks, if 0 will do.
void ScreenMatcher::match_zero_rows(int64_t stop) {
  for (; done_ < stop; ++done_) {
    if (!problem_.zero_y(problem_.y_by_norm[static_cast<size_t>(done_)])) break;
    if (free_ == 0 || 0.0 < problem_.min_cosine) {
      result_.take_none(done_, done_ + 1);
      continue;
    }
    --free_;
    const uint32_t rank = static_cast<uint32_t>(done_);
    const uint32_t item = classes_.class_of(rank);
    items_.take(item);
    if (!items_.free(item)) blocks_.kill(item);
    result_.take(done_, problem_.x_by_norm[rank], 0.0);
  }
}

void ScreenMatcher::match_block(int64_t n) {
  blocks_.refresh();
  lists_.reset(ScreenBlocks::places(policy_.wanted()), static_cast<size_t>(n));
  std::iota(lists_.y_rank.begin(), lists_.y_rank.end(), static_cast<uint32_t>(done_));
  blocks_.search(lists_, policy_.wanted(), kCertain, false);
  level_.clear();
  for (const ListState& state : lists_.state) level_.push_back(state.deep_level.cosine);
  if (blocks_.set_floor(lists_, level_)) policy_.start_small();
  taken_.resize(static_cast<size_t>(n));
  for (int64_t begin = 0; begin < n;) {
    const auto start = Clock::now();
    const int64_t end = take_turns(
        begin, n, [this](int64_t i) { return choose(i); }, [this](int64_t i) { take_back(i); },
        dry_);
    for (int64_t i = begin; i < end; ++i) commit(done_, i);
    begin = end;
    seconds_resolve_ += seconds_since(start);
    if (!dry_.empty()) refill();
  }
}

Choice ScreenMatcher::best_of(int64_t i) const {
  const size_t at = static_cast<size_t>(i);
  const ListState& state = lists_.state[at];
  return best_free(ItemList{lists_.list(at), state.exact, items_}, state.level,
                   problem_.min_cosine);
}

bool ScreenMatcher::choose(int64_t i) {
  const Choice choice = best_of(i);
  if (choice.dry()) return false;
  const size_t at = static_cast<size_t>(i);
  if (choice.none) {
    taken_[at] = {kNoRank, choice};
    return true;
  }
  taken_[at] = {lists_.list(at)[choice.place].item, choice};
  items_.take(taken_[at].item);
  return true;
}

void ScreenMatcher::take_back(int64_t i) {
  const Taken& taken = taken_[static_cast<size_t>(i)];
  if (!taken.choice.none) items_.undo(taken.item, taken.choice.rank);
}

void ScreenMatcher::commit(int64_t first, int64_t i) {
  const auto& [item, choice] = taken_[static_cast<size_t>(i)];
  if (choice.none) {
    result_.take_none(first + i, first + i + 1);
    return;
  }
  --free_;
  result_.take(first + i, problem_.x_by_norm[choice.rank], problem_.handed_out(choice.cosine));
  ties_ += choice.tie;
  // Not "if none is free": the block may have taken several of the class.
  if (classes_.after(choice.rank) == kNoRank) blocks_.kill(item);
}

// New lists for all that ran dry, against what is free now: from what their old ones hold in
// reserve, else by a new search.
void ScreenMatcher::refill() {
  ++refills_;
  dry_total_ += static_cast<int64_t>(dry_.size());
  team_.for_chunks(static_cast<int64_t>(dry_.size()), 8, [&](int64_t b, int64_t e, int thread) {
    for (int64_t k = b; k < e; ++k) {
      const size_t i = static_cast<size_t>(dry_[static_cast<size_t>(k)]);
      if (lists_.state[i].exact < lists_.state[i].total) blocks_.deepen(lists_, i, thread);
    }
  });
  std::erase_if(dry_, [&](int64_t i) { return !best_of(i).dry(); });
  if (!dry_.empty()) search_again();
}

void ScreenMatcher::search_again() {
  searched_again_ += static_cast<int64_t>(dry_.size());
  again_.reset(lists_.places, dry_.size());
  for (size_t k = 0; k < dry_.size(); ++k)
    again_.y_rank[k] = lists_.y_rank[static_cast<size_t>(dry_[k])];
  blocks_.search(again_, policy_.wanted(), kCertain, true);
  // The x's free now include the first one's best: nothing found is a wrong bound, unless
  // nothing reaches min_cosine.
  if (again_.state.front().total == 0 && problem_.min_cosine == kAnyCosine)
    throw std::logic_error("screen: a search found nothing");
  for (size_t k = 0; k < dry_.size(); ++k) lists_.replace(static_cast<size_t>(dry_[k]), again_, k);
}

void ScreenMatcher::report(Report& report) const {
  blocks_.report_counters(report);
  report.add("ties", static_cast<double>(ties_));
  report.add("lists_dry", static_cast<double>(dry_total_));
  report.add("searched_again", static_cast<double>(searched_again_));
  report.add("refills", static_cast<double>(refills_));
  blocks_.report_store(report);
  report.add("seconds_pack", blocks_.seconds_pack());
  report.add("seconds_search", blocks_.seconds_search());
  report.add("seconds_resolve", seconds_resolve_);
}

}  // namespace gtn
