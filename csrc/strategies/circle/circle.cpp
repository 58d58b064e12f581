// d = 2: the best free x is one of the nearest free directions on either side.
//
// The distinct directions lie sorted by angle; a shrinking bitmap finds the
// nearest free ones. Rounding blurs the order of near angles, so each side is
// walked until a cosine has fallen below the best by more than rounding can hide.
#include <algorithm>

#include "strategies/circle/bitmap.h"
#include "strategies/circle/index.h"
#include "strategies/common/classes.h"
#include "strategies/common/clock.h"

namespace gtn {
namespace {

// If p lies at least as far from y as q by their keys, then
//   cosine(p) <= cosine(q) + kSlack
// for the computed cosines: each of three keys misplaces an angle by at most
// kAngleError = 3.6e-15, stored directions have norms within 5e-16 of 1, and
// ordered_dot is off by at most 1.2e-15. The sum is below 1.5e-14.
constexpr double kSlack = 2e-14;

constexpr int kAhead = 12;  // y's whose neighbours are being fetched

class Circle {
 public:
  Circle(const Problem& problem, CircleIndex index, Team& team)
      : problem_(problem),
        team_(team),
        index_(std::move(index)),
        free_(std::max<int64_t>(1, index_.count)) {
    if (index_.count == 0) free_.erase(0);
    // Only zero y's ask for ranks across classes.
    if (problem.any_zero_y()) prepare_zero_y();
  }

  // False if the walks exceed their budget: then the directions are so crowded
  // that another strategy must do it.
  bool run(Assignment& out) {
    const int64_t n = problem_.n_y();
    const uint64_t budget = 64 * static_cast<uint64_t>(n) + 100000;
    for (int64_t i = 0; i < n; ++i) {
      if (i % 4096 == 0) {
        team_.check();
        if (team_.control()) team_.control()->done.store(i, std::memory_order_relaxed);
      }
      if (cosines > budget) return false;
      if (i + kAhead < n) prefetch(i + kAhead);
      const uint32_t rank = settle(i, out.cosine[static_cast<size_t>(i)]);
      out.x_row[static_cast<size_t>(i)] = rank;
    }
    // Ranks become rows in a pass of its own, where cache misses overlap.
    team_.for_chunks(n, 1 << 14, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        uint32_t& x = out.x_row[static_cast<size_t>(i)];
        if (x != kNoRow) x = problem_.x_by_norm[x];
      }
    });
    team_.settle(n);
    return true;
  }

  uint64_t cosines = 0;
  uint64_t ties = 0;

 private:
  struct Best {
    double cosine = -2.0;
    uint32_t rank = kNoRank;
    int64_t entry = -1;  // -1: a zero row
  };

  int64_t left_of(int64_t p) const {  // cyclic; -1 only when nothing is free
    const int64_t found = free_.at_or_before(p - 1);
    return found >= 0 ? found : free_.at_or_before(index_.count - 1);
  }
  int64_t right_of(int64_t p) const {
    const int64_t found = free_.at_or_after(p);
    return found >= 0 ? found : free_.at_or_after(0);
  }

  void prefetch(int64_t i) const {
    const int64_t p = index_.y_position[i];
    const int64_t a = left_of(p), b = right_of(p);
    if (a < 0) return;
    __builtin_prefetch(&index_.entries[a]);
    __builtin_prefetch(&index_.entries[b]);
  }

  double offer(const double* y, int64_t entry, Best& best) {
    const CircleEntry& x = index_.entries[entry];
    const double cosine = y[0] * x.c + y[1] * x.s;  // ordered_dot for d = 2
    ++cosines;
    if (cosine > best.cosine || (cosine == best.cosine && x.head < best.rank)) {
      ties += cosine == best.cosine;
      best = {cosine, x.head, entry};
    } else {
      ties += cosine == best.cosine;
    }
    return cosine;
  }

  // Decides turn i and takes the x; returns its rank, or kNoRow.
  uint32_t settle(int64_t i, double& cosine) {
    const double* y = index_.y_direction.get() + 2 * i;
    if (y[0] == 0.0 && y[1] == 0.0) return settle_zero(cosine);
    Best best;
    const int64_t a = left_of(index_.y_position[i]), b = right_of(index_.y_position[i]);
    if (a >= 0) walk(y, a, b, best);
    if (zero_head_ < index_.zero_ranks.size()) {
      const uint32_t rank = index_.zero_ranks[zero_head_];
      if (0.0 > best.cosine || (0.0 == best.cosine && rank < best.rank)) best = {0.0, rank, -1};
    }
    if (best.rank == kNoRank || best.cosine < problem_.min_cosine) return settle_none(cosine);
    take(best.entry, best.rank);
    cosine = best.cosine;
    return best.rank;
  }

  // Offers the free entries from a leftwards and from b rightwards until what
  // is between them, on the far side, cannot matter.
  void walk(const double* y, int64_t a, int64_t b, Best& best) {
    double left = offer(y, a, best);
    if (a == b) return;
    double right = offer(y, b, best);
    for (;;) {
      if (left + kSlack >= best.cosine) {
        a = left_of(a);
        if (a == b) return;
        left = offer(y, a, best);
      } else if (right + kSlack >= best.cosine) {
        b = right_of(b + 1);
        if (a == b) return;
        right = offer(y, b, best);
      } else {
        return;
      }
    }
  }

  void take(int64_t entry, uint32_t rank) {
    if (smallest_) smallest_->take(rank);
    if (entry < 0) {
      ++zero_head_;
      return;
    }
    const uint32_t next = index_.next.empty() ? kNoRank : index_.next[rank];
    if (next == kNoRank) {
      free_.erase(entry);
    } else {
      index_.entries[entry].head = next;
    }
  }

  void prepare_zero_y() {
    smallest_ = std::make_unique<SmallestFree>(problem_.n_x());
    entry_of_rank_.assign(static_cast<size_t>(problem_.n_x()), -1);
    for (int64_t e = 0; e < index_.count; ++e)
      for (uint32_t r = index_.entries[e].head; r != kNoRank;
           r = index_.next.empty() ? kNoRank : index_.next[r])
        entry_of_rank_[r] = e;
  }

  uint32_t settle_none(double& cosine) {
    cosine = std::numeric_limits<double>::quiet_NaN();
    return kNoRow;
  }

  uint32_t settle_zero(double& cosine) {
    const uint32_t rank = smallest_->get();
    if (rank == kNoRank || 0.0 < problem_.min_cosine) return settle_none(cosine);
    cosine = 0.0;
    take(entry_of_rank_[rank], rank);  // the head of its class, being the smallest of all
    return rank;
  }

  const Problem& problem_;
  Team& team_;
  CircleIndex index_;
  ShrinkingSet free_;
  size_t zero_head_ = 0;
  std::unique_ptr<SmallestFree> smallest_;
  std::vector<int64_t> entry_of_rank_;
};

}  // namespace

void match_circle(const Problem& problem, const Options& options, Team& team, Report& report,
                  Assignment& out) {
  const auto start = Clock::now();
  CircleIndex index = build_circle_index(problem, team);
  const double directions = static_cast<double>(index.count);
  Circle circle(problem, std::move(index), team);
  report.add("seconds_build", seconds_since(start));
  const auto resolve = Clock::now();
  const bool finished = circle.run(out);
  report.add("seconds_resolve", seconds_since(resolve));
  report.add("directions", directions);
  report.add("exact_cosines", static_cast<double>(circle.cosines));
  report.add("ties", static_cast<double>(circle.ties));
  report.add("crowded", finished ? 0.0 : 1.0);
  if (!finished) match_tree(problem, options, team, report, out);
}

}  // namespace gtn
