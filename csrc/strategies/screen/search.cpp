#include "strategies/screen/search.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace gtn {

ScreenSearch::ScreenSearch(const SearchInputs& in)
    : in_(in),
      tile_(in, counters_.rescored),
      code_screen_(in, tile_, counters_),
      exact_scan_(in, tile_, counters_),
      floor_sample_(in, tile_) {}

void ScreenSearch::search(BlockLists& lists, size_t begin, size_t end, int wanted, int certain,
                          const Floor* floor, Probing* probing, int thread) {
  const Problem& problem = in_.problem;
  tile_.load({problem, false, problem.y_by_norm}, lists.y_rank.data() + begin, end - begin,
             probing == nullptr);
  start_lists(lists, begin, wanted, floor);
  nearest_.assign(tile_.size(), kNoRank);
  raised_ = false;
  if (probing) {
    probing->find(tile_, thread, probes_);
    visit_probed();
  } else {
    visit_all();
  }
  for (size_t y = 0; y < tile_.size(); ++y)
    lists.state[begin + y] = tile_.finish_list(y, certain, lists.places, lists.list(begin + y));
}

void ScreenSearch::visit_all() {
  if (!in_.store.fair()) visit_nearest();
  ys_.resize(tile_.size());
  std::iota(ys_.begin(), ys_.end(), 0);
  for (size_t f = 0; f < in_.store.frames().size(); ++f) {
    visit(f, ys_);
    raised_ = true;
  }
}

// Frame after frame, each for the y's that probe it: they share its codes. Bases are found y by
// y: the centres of all frames lie nearer in memory than all y's do.
void ScreenSearch::visit_probed() {
  const size_t n = tile_.size();
  const std::vector<size_t>& from = probes_.begin;
  frame_end_.assign(in_.store.frames().size() + 1, 0);
  for (const uint32_t f : probes_.frame) ++frame_end_[f + 1];
  std::partial_sum(frame_end_.begin(), frame_end_.end(), frame_end_.begin());
  by_frame_.resize(from[n]);
  for (uint32_t y = 0; y < n; ++y)
    for (size_t p = from[y]; p < from[y + 1]; ++p) {
      const uint32_t f = probes_.frame[p];
      const double base = tile_.base(f, y);
      by_frame_[frame_end_[f]++] = {y, base};
      if (p > from[y]) continue;
      nearest_[y] = f;
      tile_.set_base(y, base);
    }
  visit_first();
  for (size_t f = 0, first = 0; f + 1 < frame_end_.size(); first = frame_end_[f++]) {
    if (first == frame_end_[f]) continue;
    ys_.clear();
    for (size_t i = first; i < frame_end_[f]; ++i) {
      ys_.push_back(by_frame_[i].y);
      tile_.set_base(by_frame_[i].y, by_frame_[i].base);
    }
    visit(f, ys_);
  }
}

void ScreenSearch::start_lists(BlockLists& lists, size_t begin, int wanted, const Floor* floor) {
  CosineScale* const scale = lists.scale.data() + begin;
  if (floor) floor_sample_.measure(floor->sampled, scale);
  for (size_t y = 0; y < tile_.size(); ++y) {
    double from = in_.problem.min_cosine;  // what is below will not be taken
    if (floor) from = std::max(from, scale[y].cosine(floor->height));
    tile_.start_list(y, wanted, from);
  }
}

void ScreenSearch::deepen_list(BlockLists& lists, size_t i) {
  const Problem& problem = in_.problem;
  std::vector<double> point(static_cast<size_t>(problem.y.cols));
  problem.y_point(problem.y_by_norm[lists.y_rank[i]], point.data());
  RowExact values(problem, in_.items, in_.kernels, point.data(), counters_.rescored);
  deepen(values, lists.list(i), lists.state[i]);
}

// Every y looks first at the frame whose centre is nearest: what it finds there raises its
// threshold for all the rest. Of frames that are as good as equally near it takes the first,
// which has the smallest heads.
void ScreenSearch::visit_nearest() {
  const size_t n = tile_.size();
  std::vector<double> top(tile_.bases(0), tile_.bases(0) + n);
  std::vector<uint32_t> best(n, 0);
  for (uint32_t f = 1; f < in_.store.frames().size(); ++f)
    for (size_t y = 0; y < n; ++y) {
      const double base = tile_.bases(f)[y];
      const bool better = base > top[y] + 2.0 * tile_.query(y).slack;
      best[y] = better ? f : best[y];
      top[y] = better ? base : top[y];
    }
  nearest_ = best;
  visit_first();
}

void ScreenSearch::visit_first() {
  std::vector<std::pair<uint32_t, uint32_t>> first;  // frame, y
  for (uint32_t y = 0; y < tile_.size(); ++y)
    if (nearest_[y] != kNoRank) first.emplace_back(nearest_[y], y);
  std::sort(first.begin(), first.end());
  for (size_t begin = 0, end = 0; begin < first.size(); begin = end) {
    const uint32_t frame = first[begin].first;
    ys_.clear();
    for (; end < first.size() && first[end].first == frame; ++end) {
      ys_.push_back(first[end].second);
      nearest_[ys_.back()] = kNoRank;  // for visit()
    }
    visit(frame, ys_);
    for (const uint32_t y : ys_) nearest_[y] = frame;
  }
  raised_ = true;
}

// Drops the y's that the frame cannot serve, then screens the frame, or evaluates it if codes
// cannot tell its columns apart.
void ScreenSearch::visit(size_t f, const std::vector<uint32_t>& ys) {
  const Frame& frame = in_.store.frames()[f];
  const double* const base = tile_.bases(f);
  served_.clear();
  for (const uint32_t y : ys) {
    const YTile::Query& q = tile_.query(y);
    const double reach = frame.radius * q.length + q.slack;
    if (base[y] + reach >= tile_.list(y).threshold() && nearest_[y] != f) served_.push_back(y);
  }
  const int64_t served = static_cast<int64_t>(served_.size());
  counters_.skipped += (static_cast<int64_t>(ys.size()) - served) * frame.columns;
  counters_.screened += served * frame.columns;
  if (served == 0) return;
  if (frame.scale == 0.0) {
    exact_scan_.scan_narrow(frame, served_);
    return;
  }
  const int32_t screened = code_screen_.screen(f, served_, raised_);
  if (screened < frame.groups()) exact_scan_.scan_quantised(frame, screened, served_);
}

}  // namespace gtn
