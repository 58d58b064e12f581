// d = 2 to 16, by distance from 1: nearest free direction, or row, by a space-partitioning tree.
//
// A block of y's is searched in parallel on the tree as it stands; each keeps a
// short list of its best x's. The block is then settled in order: a y takes the
// best of its list that is still free, if that is certain to be its best overall,
// and searches the tree again otherwise.
#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

#include "engine/radix.h"
#include "kernels/levels.h"
#include "strategies/common/clock.h"
#include "strategies/common/fetch.h"
#include "strategies/common/turns.h"
#include "strategies/tree/index.h"

namespace gtn {
namespace {

// A y's hits for turns.h: slots by their heads.
struct HitList {
  static constexpr bool kBestFirst = true;
  const TreeHit* hits;
  int64_t n;
  const TreeIndex& index;

  int64_t size() const { return n; }
  double cosine(int64_t c) const { return hits[c].cosine; }
  uint32_t rank(int64_t c) const { return index.head(hits[c].slot); }
};

class TreeMatch {
 public:
  TreeMatch(const Problem& problem, const Options& options, Team& team, Assignment& out)
      : problem_(problem),
        options_(options),
        team_(team),
        d_(problem.x.cols),
        search_(problem.by_distance() ? simd_active().search->by_distance[d_]
                                      : simd_active().search->by_cosine[d_]),
        stats_(static_cast<size_t>(team.size())),
        out_(out) {
    const Clock::time_point start = Clock::now();
    make_spread();
    if (problem.by_distance()) measure_range();
    classes_ = direction_classes(problem, team);
    index_ = TreeIndex::make(d_, problem.metric);
    index_->build(problem, classes_, team);
    if (classes_.zero_class != kNoRank) zero_head_ = classes_.first[classes_.zero_class];
    if (problem.any_zero_y()) {
      smallest_ = std::make_unique<SmallestFree>(problem.n_x());
      slot_of_class_.resize(static_cast<size_t>(classes_.count()));
      locate_classes();
    }
    if (options.list_length > 0)
      list_ = static_cast<int>(std::min<int64_t>(options.list_length, kTreeMaxList));
    build_seconds_ = seconds_since(start);
  }

  void run() {
    const int64_t n = problem_.n_y();
    for (int64_t first = 0; first < n;) {
      if (index_->live() == 0 && zero_head_ == kNoRank) {
        out_.take_none(first, n);
        team_.settle(n);
        return;
      }
      if (index_->live() * 5 < index_->slots() * 3 && index_->slots() > 4 * kTreeLeaf) rebuild();
      const int64_t size = std::min(block_size(), n - first);
      search_block(first, size);
      settle_block(first, size);
      settled_ = first += size;
      team_.settle(first);
    }
  }

  void add_to(Report& report) const {
    TreeStats sum;
    for (const Stats& s : stats_) {
      sum.nodes += s.counts.nodes;
      sum.leaves += s.counts.leaves;
    }
    report.add("directions", static_cast<double>(classes_.count()));
    report.add("nodes_visited", static_cast<double>(sum.nodes));
    report.add("exact_cosines", static_cast<double>(sum.leaves) * kTreeLeaf);
    report.add("refills", static_cast<double>(refills_));
    report.add("ties", static_cast<double>(ties_));
    report.add("rebuilds", static_cast<double>(rebuilds_));
    report.add("blocks", static_cast<double>(blocks_));
    report.add("seconds_build", build_seconds_);
    report.add("seconds_search", search_seconds_);
    report.add("seconds_resolve", resolve_seconds_);
  }

 private:
  struct alignas(128) Stats {  // one a thread, on lines of its own
    TreeStats counts;
  };

  struct List {
    int count = 0;
    bool complete = false;  // it holds every free class
    bool zero = false;      // y is zero: no list
  };

  int64_t block_size() const {
    if (options_.block > 0) return options_.block;
    // Few directions with many members last long: their blocks need not be tiny.
    const int64_t members = (problem_.n_x() - settled_) / block_share_;
    return std::clamp<int64_t>(std::max(index_->live() / block_share_, std::min(members, kFew)), 1,
                               1 << 18);
  }

  void rebuild() {
    const Clock::time_point start = Clock::now();
    index_->rebuild(team_);
    if (smallest_) locate_classes();
    ++rebuilds_;
    build_seconds_ += seconds_since(start);
  }

  void locate_classes() {
    for (int64_t slot = 0; slot < index_->slots(); ++slot)
      slot_of_class_[classes_.class_of(index_->head(static_cast<uint32_t>(slot)))] =
          static_cast<uint32_t>(slot);
  }

  // Tables for spatial_key(): coordinate c's cell number with its bits d apart.
  void make_spread() {
    cell_bits_ = static_cast<int>(std::clamp<int64_t>(32 / d_, 1, 10));
    spread_.assign(static_cast<size_t>(d_ << cell_bits_), 0);
    for (int64_t c = 0; c < d_; ++c)
      for (int64_t cell = 0; cell < int64_t{1} << cell_bits_; ++cell)
        for (int b = 0; b < cell_bits_; ++b)
          spread_[static_cast<size_t>((c << cell_bits_) + cell)] |=
              static_cast<uint32_t>((cell >> b) & 1) << (b * d_ + c);
  }

  // Cells over the range of some x's: of directions it is known.
  void measure_range() {
    constexpr int64_t kSample = 1024;
    std::vector<double> row(static_cast<size_t>(d_));
    low_ = std::numeric_limits<double>::max();
    high_ = -low_;
    const int64_t n = problem_.n_x(), count = std::min(n, kSample);
    for (int64_t i = 0; i < count; ++i) {
      problem_.x_point(problem_.x_by_norm[static_cast<size_t>(i * n / count)], row.data());
      for (const double v : row) {
        low_ = std::min(low_, v);
        high_ = std::max(high_, v);
      }
    }
  }

  // Interleaves the leading bits of the coordinates: near y's get near keys.
  uint32_t spatial_key(const double* y) const {
    const double cells = static_cast<double>(int64_t{1} << cell_bits_);
    uint32_t key = 0;
    for (int64_t c = 0; c < d_; ++c) {
      // From 0 to 1, also where all of the range is one number.
      const double place = (std::clamp(y[c], low_, high_) - low_) / std::max(high_ - low_, kTiny);
      const int64_t cell = static_cast<int64_t>(std::min(place * cells, cells - 1.0));
      key |= spread_[static_cast<size_t>((c << cell_bits_) + cell)];
    }
    return key;
  }

  void search_block(int64_t first, int64_t size) {
    const Clock::time_point start = Clock::now();
    if (size > capacity_ || hits_.size() < static_cast<size_t>(size * list_)) {
      capacity_ = std::max(size, capacity_);
      y_.resize(static_cast<size_t>(capacity_ * d_));
      lists_.resize(static_cast<size_t>(capacity_));
      hits_.resize(static_cast<size_t>(capacity_ * list_));
      order_ = uninitialized<uint64_t>(capacity_);
      scratch_ = uninitialized<uint64_t>(capacity_);
    }
    team_.for_chunks(size, 1 << 10, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        fetch_ahead(problem_.y, problem_.y_scale, problem_.y_by_norm, first + i);
        const size_t row = problem_.y_by_norm[static_cast<size_t>(first + i)];
        double* y = &y_[static_cast<size_t>(i * d_)];
        lists_[static_cast<size_t>(i)].zero = problem_.zero_y(static_cast<uint32_t>(row));
        problem_.y_point(static_cast<int64_t>(row), y);
        order_[i] = (static_cast<uint64_t>(spatial_key(y)) << 32) | static_cast<uint64_t>(i);
      }
    });
    const uint64_t* order = radix_sort_high32(order_.get(), scratch_.get(), size, team_);
    team_.for_chunks(size, 32, [&](int64_t begin, int64_t end, int thread) {
      TreeStats& stats = stats_[static_cast<size_t>(thread)].counts;
      for (int64_t j = begin; j < end; ++j) {
        const int64_t i = static_cast<int64_t>(order[j] & 0xFFFFFFFF);
        if (j + kAhead < end) fetch(static_cast<int64_t>(order[j + kAhead] & 0xFFFFFFFF));
        List& list = lists_[static_cast<size_t>(i)];
        list.complete = list.zero;
        list.count = 0;
        if (list.zero) continue;
        TreeHit* const hits = &hits_[static_cast<size_t>(i * list_)];
        list.count = search_(index_->view(), &y_[static_cast<size_t>(i * d_)], list_, hits, &stats);
        list.complete = list.count < list_;
      }
    });
    ++blocks_;
    search_seconds_ += seconds_since(start);
  }

  // Neighbours in space are no neighbours in memory.
  void fetch(int64_t i) const {
    __builtin_prefetch(&y_[static_cast<size_t>(i * d_)]);
    __builtin_prefetch(&lists_[static_cast<size_t>(i)]);
    __builtin_prefetch(&hits_[static_cast<size_t>(i * list_)]);
  }

  void settle_block(int64_t first, int64_t size) {
    const Clock::time_point start = Clock::now();
    const uint64_t refills_before = refills_;
    for (int64_t i = 0; i < size; ++i) {
      if (i % 16 == 0) team_.check();
      settle(first + i, i);
    }
    if (options_.list_length == 0) adapt(refills_ - refills_before, size);
    resolve_seconds_ += seconds_since(start);
  }

  // Many y's after the same few x's: longer lists, smaller blocks.
  void adapt(uint64_t refills, int64_t size) {
    if (size < 256) return;
    const double share = static_cast<double>(refills) / static_cast<double>(size);
    if (share > 0.1) {
      if (list_ < 8)
        list_ *= 2;
      else
        block_share_ = std::min<int64_t>(block_share_ * 2, 1024);
    } else if (share < 0.005) {
      if (block_share_ > kBlockShare)
        block_share_ /= 2;
      else if (list_ > kList)
        list_ /= 2;
    }
  }

  void settle(int64_t turn, int64_t i) {
    TreeHit chosen{0.0, kNoRank, kNoRank};
    if (lists_[static_cast<size_t>(i)].zero) {
      chosen.rank = smallest_->get();
      if (chosen.rank != kNoRank) {
        const uint32_t c = classes_.class_of(chosen.rank);
        if (c != classes_.zero_class) chosen.slot = slot_of_class_[c];
      }
    } else {
      if (!from_list(i, chosen)) chosen = search_again(i);
      // A zero x has cosine 0 with every y.
      if (zero_head_ != kNoRank && (chosen.rank == kNoRank || chosen.cosine < 0.0 ||
                                    (chosen.cosine == 0.0 && zero_head_ < chosen.rank)))
        chosen = {0.0, zero_head_, kNoRank};
    }
    // There are as many x's as y's, unless there is a bound: what finds none has read numbers that
    // changed meanwhile.
    if (chosen.rank == kNoRank && problem_.min_cosine == kAnyCosine)
      throw std::logic_error("tree: a search found nothing");
    if (chosen.rank == kNoRank || chosen.cosine < problem_.min_cosine) {
      out_.take_none(turn, turn + 1);
      return;
    }
    if (chosen.slot == kNoRank) {
      zero_head_ = classes_.after(chosen.rank);
    } else {
      index_->take(chosen.slot, classes_.after(chosen.rank));
    }
    if (smallest_) smallest_->take(chosen.rank);
    out_.take(turn, problem_.x_by_norm[chosen.rank], problem_.handed_out(chosen.cosine));
  }

  // The best of the list by present heads, if one reaches the bound; false unless it is certainly
  // the best of all. What is not on the list was, when searched, behind the list's last entry, and
  // a head's rank only grows: that entry is the list's level.
  bool from_list(int64_t i, TreeHit& chosen) {
    const List& list = lists_[static_cast<size_t>(i)];
    const TreeHit* hits = hits_.data() + i * list_;
    ListLevel level;
    if (!list.complete) level = {hits[list.count - 1].cosine, hits[list.count - 1].rank};
    const Choice choice = best_free(HitList{hits, list.count, *index_}, level, problem_.min_cosine);
    ties_ += choice.tie;
    if (choice.none) return true;
    if (choice.dry()) return list.complete;
    chosen = {choice.cosine, choice.rank, hits[choice.place].slot};
    return true;
  }

  TreeHit search_again(int64_t i) {
    ++refills_;
    TreeHit hit{0.0, kNoRank, kNoRank};
    search_(index_->view(), &y_[static_cast<size_t>(i * d_)], 1, &hit, &stats_[0].counts);
    return hit;
  }

  static constexpr int kList = 2;
  static constexpr int64_t kAhead = 2;
  static constexpr double kTiny = std::numeric_limits<double>::min();
  static constexpr int64_t kFew = 2048;
  static constexpr int64_t kBlockShare = 16;

  const Problem& problem_;
  const Options& options_;
  Team& team_;
  int64_t d_;
  TreeSearch search_;
  std::vector<Stats> stats_;
  DirectionClasses classes_;
  std::unique_ptr<TreeIndex> index_;
  uint32_t zero_head_ = kNoRank;
  std::unique_ptr<SmallestFree> smallest_;  // only if there are zero y's
  std::vector<uint32_t> slot_of_class_;     // likewise

  int list_ = kList;
  int64_t block_share_ = kBlockShare;  // a block is the free set's 1 / block_share_
  int cell_bits_ = 1;
  double low_ = -1.0, high_ = 1.0;  // of coordinates
  std::vector<uint32_t> spread_;
  int64_t capacity_ = 0;
  std::vector<double> y_;
  std::vector<List> lists_;
  std::vector<TreeHit> hits_;
  std::unique_ptr<uint64_t[]> order_, scratch_;

  Assignment& out_;
  int64_t settled_ = 0;
  uint64_t refills_ = 0, ties_ = 0, rebuilds_ = 0, blocks_ = 0;
  double build_seconds_ = 0.0, search_seconds_ = 0.0, resolve_seconds_ = 0.0;
};

}  // namespace

void match_tree(const Problem& problem, const Options& options, Team& team, Report& report,
                Assignment& out) {
  const int64_t least = problem.by_distance() ? 1 : 2;
  if (problem.x.cols < least || problem.x.cols > kTreeMaxDim)
    throw std::invalid_argument("tree needs d = " + std::to_string(least) + " to 16");
  TreeMatch tree(problem, options, team, out);
  tree.run();
  tree.add_to(report);
}

}  // namespace gtn
