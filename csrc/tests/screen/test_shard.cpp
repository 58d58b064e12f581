// Several screeners, each of a shard of X, lists merged and resolved, against the loop.
#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "gtn_fast/lists.h"
#include "gtn_fast/screener.h"
#include "tests/test_util.h"

namespace gtn::test {
namespace {

MatrixView part_of(const MatrixView& all, int64_t first, int64_t rows) {
  MatrixView v = all;
  v.all.data = all.row(first);
  v.rows = rows;
  return v;
}

// The rows of y at `first` and after, by norm, in a matrix of their own.
Matrix block_of(Matrix& y, const Problem& p, size_t first, size_t n) {
  Matrix block(static_cast<int64_t>(n), y.cols, y.is_float);
  for (size_t i = 0; i < n; ++i)
    for (int64_t c = 0; c < y.cols; ++c)
      block(static_cast<int64_t>(i), c) = y(p.y_by_norm[first + i], c);
  return block;
}

struct Merged {
  std::vector<int64_t> rows;
  std::vector<double> cosine, deep;
  std::vector<ListLevel> level;
};

class Shards {
 public:
  Shards(Matrix& x, const Problem& p, int count, int threads) : rank_(p.x_by_norm.size()) {
    for (size_t r = 0; r < p.x_by_norm.size(); ++r)
      rank_[p.x_by_norm[r]] = static_cast<uint32_t>(r);
    for (int s = 0; s < count; ++s) {
      const int64_t begin = x.rows * s / count, end = x.rows * (s + 1) / count;
      if (begin == end) continue;
      screeners_.push_back(std::make_unique<Screener>(
          part_of(p.x, begin, end - begin), Rows{}, rank_.data() + begin, begin, threads, nullptr));
      begin_.push_back(begin);
    }
    begin_.push_back(x.rows);
  }

  const std::vector<uint32_t>& rank() const { return rank_; }

  Merged search(Matrix& block, int wanted, int64_t places, bool again) {
    const size_t n = static_cast<size_t>(block.rows), k = static_cast<size_t>(places);
    const size_t all = k * screeners_.size();
    Merged merged{std::vector<int64_t>(n * all), std::vector<double>(n * all),
                  std::vector<double>(n, -std::numeric_limits<double>::infinity()),
                  std::vector<ListLevel>(n)};
    for (size_t s = 0; s < screeners_.size(); ++s) {
      std::vector<uint32_t> row(n * k), level_rank(n);
      std::vector<double> cosine(n * k), level(n), deep(n);
      screeners_[s]->search(
          block.view(), wanted, again,
          {places, row.data(), cosine.data(), level.data(), level_rank.data(), deep.data()});
      for (size_t i = 0; i < n; ++i) {
        for (size_t j = 0; j < k; ++j) {
          const uint32_t x = row[i * k + j];
          merged.rows[i * all + s * k + j] = x == ShardLists::kNone ? -1 : int64_t{x};
          merged.cosine[i * all + s * k + j] = cosine[i * k + j];
        }
        ListLevel& best = merged.level[i];
        if (level[i] > best.cosine || (level[i] == best.cosine && level_rank[i] < best.rank))
          best = {level[i], level_rank[i]};
        merged.deep[i] = std::max(merged.deep[i], deep[i]);
      }
    }
    if (!again)
      for (auto& s : screeners_) s->learn(merged.deep.data(), block.rows);
    return merged;
  }

  void take(uint32_t row) {
    size_t s = 0;
    while (begin_[s + 1] <= int64_t{row}) ++s;
    screeners_[s]->take(&row, 1);
  }

 private:
  std::vector<uint32_t> rank_;
  std::vector<std::unique_ptr<Screener>> screeners_;
  std::vector<int64_t> begin_;
};

Assignment match_shards(Matrix& x, Matrix& y, const Problem& p, int count, int64_t block,
                        int wanted) {
  Shards shards(x, p, count, 1 + count % 2);
  std::vector<uint8_t> taken(p.x_by_norm.size(), 0);
  Assignment out;
  for (size_t done = 0; done < p.y_by_norm.size();) {
    // A search that starts at a dry list finds its y a choice; so each round settles one.
    const size_t n = std::min(static_cast<size_t>(block), p.y_by_norm.size() - done);
    Matrix ys = block_of(y, p, done, n);
    Merged lists = shards.search(ys, wanted, wanted + 2, false);
    std::vector<int64_t> chosen(n), dry;
    std::vector<double> cosine(n);
    const auto resolve = [&](Merged& m, size_t rows) {
      const int64_t k = static_cast<int64_t>(m.rows.size() / rows);
      return static_cast<size_t>(resolve_lists(
          {static_cast<int64_t>(rows), k, m.rows.data()}, m.cosine.data(), m.level.data(),
          shards.rank().data(), taken.data(), 0, chosen.data(), cosine.data(), dry));
    };
    size_t settled = resolve(lists, n);
    if (settled == 0) {
      Matrix first = block_of(y, p, done, 1);
      Merged again = shards.search(first, wanted, wanted + 2, true);
      settled = resolve(again, 1);
      CHECK_MESSAGE(settled == 1, "a search found nothing");
      if (settled == 0) return out;
    }
    for (size_t i = 0; i < settled; ++i) {
      out.x_row.push_back(static_cast<uint32_t>(chosen[i]));
      out.cosine.push_back(cosine[i]);
      shards.take(static_cast<uint32_t>(chosen[i]));
    }
    done += settled;
  }
  return out;
}

}  // namespace

TEST_CASE("shards, merged, agree with the loop") {
  Team one(1);
  uint64_t seed = 900;
  for (int kind = 0; kind < static_cast<int>(Kind::kCount); ++kind)
    for (const int64_t d : {1, 3, 33})
      for (const bool zeros : {false, true}) {
        const int64_t n = kReduced ? 60 : 150;
        Matrix x = make_matrix(n, d, static_cast<Kind>(kind), 0, ++seed, d == 3, zeros);
        Matrix y = make_matrix(n - 10, d, static_cast<Kind>(kind), 1, seed, d == 3, zeros);
        const Problem p = make_problem(x, y, one);
        const Assignment want = brute_force(p);
        for (const int count : {1, 2, 3, 7})
          expect_equal(match_shards(x, y, p, count, 5 * count, 1 + count % 3), want,
                       std::string("shards of ") + kind_name(static_cast<Kind>(kind)) +
                           " d=" + std::to_string(d) + " count=" + std::to_string(count));
      }
}

}  // namespace gtn::test
