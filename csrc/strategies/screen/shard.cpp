// Screener: the screening engine on a shard of X.
//
// An item of the engine is a class of equal directions, represented by its head, the free
// member of smallest rank; a merge of several shards needs single x's. A list of classes is
// complete down to its level L: every class whose (cosine, head rank) is at least as good as L is
// in it. Let x be any free row of the shard, at least as good as L. The head of its class has
// the same cosine and no larger rank, so it is at least as good as L too, and the class is in the
// list. Hence the free members, admitted by L, of the classes listed are all the free x's of the
// shard that L admits. They are written best first (cosine descending, then rank). Where there is
// room for all of them, the list is complete down to L; where there is not, every x that
// is at least as good as the last one written was written before it: that one is the level.
//
// The shard's norm order is a part of X's, so comparing ranks inside the shard is comparing
// ranks of X, and a level's rank is handed out as its rank in X.
//
// Merged over all shards: an x at least as good as the highest of their levels is at least as
// good as its own shard's level, so it is in its shard's list. The union of the lists is
// complete down to the highest level.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "gtn_fast/environment.h"
#include "gtn_fast/order.h"
#include "gtn_fast/screener.h"
#include "strategies/common/classes.h"
#include "strategies/screen/blocks.h"

namespace gtn {

class Screener::Impl {
 public:
  Impl(const MatrixView& x, const Rows& rows, const uint32_t* rank, int64_t first_row, int threads,
       Control* control)
      : team_(threads, control),
        problem_(make_problem(x, rows, team_)),
        classes_(direction_classes(problem_, team_)),
        items_(classes_),
        blocks_(problem_, items_, team_),
        first_row_(first_row) {
    rank_.reserve(problem_.x_by_norm.size());
    local_rank_.assign(static_cast<size_t>(x.rows), kNoRank);
    for (const uint32_t row : problem_.x_by_norm) {
      if (!rank_.empty() && rank[row] <= rank_.back())
        throw std::invalid_argument("screener: ranks must ascend along the norm order");
      local_rank_[row] = static_cast<uint32_t>(rank_.size());
      rank_.push_back(rank[row]);
    }
  }

  void search(const MatrixView& y, int wanted, bool again, const ShardLists& out) {
    const size_t n = static_cast<size_t>(y.rows);
    if (blocks_.items_free() == 0) return write_nothing(n, out, again);
    BlockLists& lists = again ? again_ : lists_;
    // The block's own rows stand for their ranks: the order of choice is not decided here.
    problem_.y = y;
    problem_.y_scale = row_scales(y, {}, team_);
    problem_.y_by_norm.resize(n);
    std::iota(problem_.y_by_norm.begin(), problem_.y_by_norm.end(), 0);
    lists.reset(ScreenBlocks::places(wanted), n);
    std::iota(lists.y_rank.begin(), lists.y_rank.end(), 0);
    if (!again || !blocks_.packed()) blocks_.refresh();
    blocks_.search(lists, wanted, wanted, again);
    team_.for_chunks(y.rows, 256, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) write(lists, static_cast<size_t>(i), out);
    });
  }

  void learn(const double* level, int64_t n) {
    if (lists_.y_rank.empty()) return;
    if (n != static_cast<int64_t>(lists_.y_rank.size()))
      throw std::invalid_argument("screener: as many levels as the last block had rows");
    level_.assign(level, level + n);
    blocks_.set_floor(lists_, level_);
  }

  void take(const uint32_t* rows, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      const int64_t row = int64_t{rows[i]} - first_row_;
      const bool known = row >= 0 && row < static_cast<int64_t>(local_rank_.size());
      const uint32_t rank = known ? local_rank_[static_cast<size_t>(row)] : kNoRank;
      if (rank == kNoRank) throw std::invalid_argument("screener: a row that is not of the shard");
      const uint32_t item = classes_.class_of(rank);
      if (items_.head(item) != rank)
        throw std::invalid_argument("screener: a row was taken twice, or before an equal one");
      items_.take(item);
      if (!items_.free(item)) blocks_.kill(item);
    }
  }

  Report report() const {
    Report report;
    blocks_.report_counters(report);
    blocks_.report_store(report);
    report.add("seconds_pack", blocks_.seconds_pack());
    report.add("seconds_search", blocks_.seconds_search());
    return report;
  }

 private:
  static Problem make_problem(const MatrixView& x, const Rows& rows, Team& team) {
    Problem problem;
    problem.x = x;
    problem.x_scale = row_scales(x, rows, team);
    problem.x_by_norm = norm_order(problem.x_scale, rows, team);
    return problem;
  }

  // See the top of this file.
  void write(const BlockLists& lists, size_t i, const ShardLists& out) const {
    const Candidate* list = lists.list(i);
    const ListState& state = lists.state[i];
    ListLevel level = state.level;
    uint32_t* const row = out.row + static_cast<int64_t>(i) * out.places;
    double* const cosine = out.cosine + static_cast<int64_t>(i) * out.places;
    int64_t written = 0;
    const auto put = [&](double c, uint32_t rank) {
      if (!state.level.admits(c, rank)) return false;
      if (written == out.places) {
        const int64_t last = int64_t{row[written - 1]} - first_row_;
        level = {cosine[written - 1], local_rank_[static_cast<size_t>(last)]};
        return false;
      }
      row[written] = static_cast<uint32_t>(first_row_ + problem_.x_by_norm[rank]);
      cosine[written++] = c;
      return true;
    };
    bool more = true;
    for (int begin = 0, end = 0; more && begin < state.exact; begin = end) {
      const double c = list[begin].cosine;
      while (end < state.exact && list[end].cosine == c) ++end;
      if (classes_.all_distinct()) {
        for (int k = begin; more && k < end; ++k) more = put(c, items_.head(list[k].item));
      } else {
        more = put_members(list + begin, list + end, put);
      }
    }
    std::fill(row + written, row + out.places, ShardLists::kNone);
    std::fill(cosine + written, cosine + out.places, -std::numeric_limits<double>::infinity());
    out.level_cosine[i] = level.cosine;
    out.level_rank[i] = level.rank == kNoRank ? ShardLists::kNone : rank_[level.rank];
    out.deep_level[i] = state.deep_level.cosine;
  }

  // The free members of classes of one cosine, by rank.
  template <class Put>
  bool put_members(const Candidate* begin, const Candidate* end, const Put& put) const {
    std::vector<uint32_t> next;
    for (const Candidate* c = begin; c != end; ++c) next.push_back(items_.head(c->item));
    for (;;) {
      const auto least = std::min_element(next.begin(), next.end());
      if (*least == kNoRank) return true;
      if (!put(begin->cosine, *least)) return false;
      *least = classes_.after(*least);
    }
  }

  // Nothing is free: the empty lists are complete.
  void write_nothing(size_t n, const ShardLists& out, bool again) {
    constexpr double kNever = -std::numeric_limits<double>::infinity();
    std::fill_n(out.row, n * static_cast<size_t>(out.places), ShardLists::kNone);
    std::fill_n(out.cosine, n * static_cast<size_t>(out.places), kNever);
    std::fill_n(out.level_cosine, n, kNever);
    std::fill_n(out.level_rank, n, ShardLists::kNone);
    std::fill_n(out.deep_level, n, kNever);
    if (!again) lists_ = BlockLists{};
  }

  Team team_;
  Problem problem_;
  const DirectionClasses classes_;
  FreeItems items_;
  ScreenBlocks blocks_;
  const int64_t first_row_;
  std::vector<uint32_t> rank_;        // by rank in the shard: rank in X
  std::vector<uint32_t> local_rank_;  // by row of the shard; kNoRank: takes no part
  BlockLists lists_, again_;
  std::vector<double> level_;
};

Screener::Screener(const MatrixView& x, const Rows& rows, const uint32_t* rank, int64_t first_row,
                   int threads, Control* control) {
  in_default_environment(
      [&] { impl_ = std::make_unique<Impl>(x, rows, rank, first_row, threads, control); });
}
Screener::~Screener() = default;
void Screener::search(const MatrixView& y, int wanted, bool again, const ShardLists& out) {
  in_default_environment([&] { impl_->search(y, wanted, again, out); });
}
void Screener::learn(const double* level, int64_t n) {
  in_default_environment([&] { impl_->learn(level, n); });
}
void Screener::take(const uint32_t* rows, int64_t n) { impl_->take(rows, n); }
Report Screener::report() const { return impl_->report(); }

}  // namespace gtn
