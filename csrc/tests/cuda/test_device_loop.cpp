// The loop for GPUs, emulated: its arithmetic, its schedule, and that the order in which threads
// propose does not matter.
#include <algorithm>
#include <numeric>
#include <thread>

#include "cuda/bodies.h"
#include "cuda/loop.h"
#include "gtn_fast/direction.h"
#include "gtn_fast/parallel.h"
#include "tests/test_util.h"

namespace gtn::test {
namespace {

using namespace gtn::cuda;

TEST_CASE("the device's arithmetic is the engine's") {
  std::mt19937_64 rng(5);
  Team team(1);
  for (int d : {1, 2, 7, 8, 9, 31, 64, 101}) {
    for (int k = 0; k < static_cast<int>(Kind::kCount); ++k) {
      for (const bool as_float : {false, true}) {
        Matrix m(20, d, as_float);
        for (int64_t r = 0; r < m.rows; ++r) fill_row(m, r, static_cast<Kind>(k), 0, rng);
        for (int64_t c = 0; c < d; ++c) m(3, c) = 0.0;
        const MatrixView view = m.view();
        const std::vector<RowScale> want = row_scales(view, {}, team);
        std::vector<double> largest(20), inner(20), a(static_cast<size_t>(d)), b(a);
        const ScaleParams scales{view.all.data, 20, d, d, !as_float, largest.data(), inner.data()};
        const cuda::Rows rows{view.all.data, largest.data(), inner.data(), d, !as_float};
        for (int64_t r = 0; r < 20; ++r) {
          scale_row(scales, r);
          const size_t at = static_cast<size_t>(r);
          CHECK(largest[at] == want[at].max_abs);
          CHECK(inner[at] == want[at].inner);
          row_direction(view, r, want[at], a.data());
          for (int c = 0; c < d; ++c) CHECK(direction_at(rows, r, c) == a[static_cast<size_t>(c)]);
        }
        for (int64_t r = 1; r < 20; ++r) {
          row_direction(view, r - 1, want[static_cast<size_t>(r - 1)], a.data());
          row_direction(view, r, want[static_cast<size_t>(r)], b.data());
          const double cosine = gtn::ordered_dot(a.data(), b.data(), d);
          CHECK(cuda::ordered_dot(a.data(), b.data(), d) == cosine);
          CHECK(cosine_with(a.data(), rows, r, d) == cosine);
        }
      }
    }
  }
}

// Lists of a block; the columns are so few that the y's take each other's.
struct Lists {
  int rows, cols;
  std::vector<int> col, length, deep_of, deep_col, deep_length, holder, dry;
  Counters counters{};

  Lists(int n, int m, uint64_t seed) : rows(n), cols(m) {
    std::mt19937_64 rng(seed);
    const auto size = [](int k) { return static_cast<size_t>(k); };
    col.resize(size(n * kList));
    length.assign(size(n), kList);
    deep_of.assign(size(n), -1);
    holder.assign(size(m), kEmpty);
    dry.assign(kMostDry, -1);
    std::vector<int> order(size(m));
    std::iota(order.begin(), order.end(), 0);
    for (int row = 0; row < n; ++row) {
      std::shuffle(order.begin(), order.end(), rng);
      std::copy_n(order.begin(), kList, col.begin() + row * kList);
    }
  }

  ProposeParams params() {
    return {&counters, rows,    col.data(),    length.data(), deep_of.data(),
            nullptr,   nullptr, holder.data(), dry.data(),    0};
  }

  // In turn, each the first of its list that is free; -1: none is.
  std::vector<int> in_turn() const {
    std::vector<int> taken(static_cast<size_t>(cols), kEmpty);
    for (int row = 0; row < rows; ++row)
      for (int i = 0; i < kList; ++i) {
        int& at = taken[static_cast<size_t>(col[static_cast<size_t>(row * kList + i)])];
        if (at != kEmpty) continue;
        at = row;
        break;
      }
    return taken;
  }
};

TEST_CASE("proposals come out as choices in turn, whoever comes first") {
  for (uint64_t seed = 0; seed < (kReduced ? 3 : 20); ++seed) {
    const std::vector<int> want = Lists(3000, 4000, seed).in_turn();
    // Backwards, and by threads that race.
    Lists backwards(3000, 4000, seed);
    for (int row = 2999; row >= 0; --row) propose(backwards.params(), row);
    CHECK(backwards.holder == want);
    Lists racing(3000, 4000, seed);
    const ProposeParams p = racing.params();
    {
      std::vector<std::jthread> threads;
      for (int t = 0; t < 4; ++t)
        threads.emplace_back([&p, t] {
          for (int row = t; row < 3000; row += 4) propose(p, row);
        });
    }
    CHECK(racing.holder == want);
    // Rows without a choice are those that ran dry, each of them once.
    const int chosen = static_cast<int>(
        std::count_if(want.begin(), want.end(), [](int row) { return row != kEmpty; }));
    CHECK(racing.counters.dry == 3000 - chosen);
    CHECK(backwards.counters.dry == 3000 - chosen);
  }
}

TEST_CASE("a schedule takes every turn once and leaves the last ones to the end") {
  const std::unique_ptr<Machine> machine = emulated();
  for (const auto& [x, y] : {std::pair<int64_t, int64_t>{1, 1},
                             {5000, 5000},
                             {100'000, 100'000},
                             {3'000'000, 3'000'000},
                             {3'000'000, 7},
                             {9000, 8999},
                             {20'000'000, 20'000'000}}) {
    for (const int64_t end_pairs : {int64_t{1}, int64_t{1} << 24}) {
      Shape shape;
      shape.x = x;
      shape.y = y;
      shape.d = 30;
      shape.padded = 32;
      shape.end_pairs = end_pairs;
      const Schedule made = schedule(shape, *machine);
      int64_t turn = 0;
      for (const Step& s : made.blocks) {
        CHECK(s.begin == turn);
        CHECK(s.begin % kBlockRows == 0);
        CHECK(s.cols == x - turn);
        CHECK(s.rows > 0);
        CHECK(s.rows <= s.cols);
        CHECK(int64_t{s.tiles_per_split} * s.splits * kTile >= s.cols);
        CHECK(int64_t{s.sample} * kTile <= std::max(s.cols, kTile));
        CHECK(s.nth >= 1);
        turn += s.rows;
      }
      CHECK(turn + made.end.rows == y);
      if (made.end.rows > 0) CHECK(int64_t{made.end.rows} * made.end.cols <= end_pairs);
      CHECK(made.work_bytes > 0);
    }
  }
}

TEST_CASE("every chunk of codes has a place of its own") {
  for (int padded : {16, 32, 64, 80, 192, 512}) {
    std::vector<int64_t> places;
    for (int64_t row = 0; row < 2 * kTile; ++row)
      for (int chunk = 0; chunk < padded / kChunk; ++chunk)
        places.push_back(chunk_offset(row, chunk, padded));
    std::sort(places.begin(), places.end());
    for (size_t i = 0; i < places.size(); ++i) CHECK(places[i] == static_cast<int64_t>(16 * i));
  }
}

}  // namespace
}  // namespace gtn::test
