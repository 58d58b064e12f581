// The rotation and the store of free x's against what their headers promise: bounds
// hold, each free item has its column, narrow frames keep their directions.
#include <algorithm>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "strategies/common/classes.h"
#include "strategies/screen/layout.h"
#include "strategies/screen/rotation.h"
#include "strategies/screen/store.h"
#include "tests/screen/screen_util.h"

namespace gtn::test {
namespace {

// --- Rotation ------------------------------------------------------------------

long double long_dot(const std::vector<double>& a, const std::vector<double>& b) {
  long double sum = 0.0L;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<long double>(a[i]) * b[i];
  return sum;
}

TEST_CASE("rotation: within its error, the same bits on every level") {
  std::mt19937_64 rng(5);
  std::normal_distribution<double> normal;
  for (const int64_t d : {1, 2, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 127, 128, 257, 1024}) {
    std::vector<std::vector<double>> rotated_before;
    on_every_level([&](const SimdLevel& level) {
      const Rotation rotation(d, *level.kernels);
      std::vector<double> scratch(static_cast<size_t>(d));
      std::vector<std::vector<double>> v, rotated;
      std::mt19937_64 own(77);
      for (int i = 0; i < 12; ++i) {
        v.emplace_back(static_cast<size_t>(d));
        for (double& x : v.back())
          x = (i % 3 == 2 ? std::ldexp(1.0, static_cast<int>(own() % 60)) : 1.0) * normal(own);
        if (i % 4 == 3) std::fill(v.back().begin() + 1, v.back().end(), 0.0);  // one axis
        rotated.push_back(v.back());
        rotation.apply(rotated.back().data(), scratch.data());
        if (d < 8) CHECK_MESSAGE(rotated.back() == v.back(), "d=", d, " is not rotated");
      }
      for (size_t a = 0; a < v.size(); ++a)
        for (size_t b = 0; b <= a; ++b) {
          const double off = static_cast<double>(
              std::fabs(long_dot(rotated[a], rotated[b]) - long_dot(v[a], v[b])));
          const double norms =
              std::sqrt(static_cast<double>(long_dot(v[a], v[a]) * long_dot(v[b], v[b])));
          CHECK_MESSAGE(off <= rotation.error() * norms, "d=", d, ": off by ", off / norms,
                        ", allowed ", rotation.error());
        }
      if (!rotated_before.empty()) CHECK_MESSAGE(rotated == rotated_before, "rotates otherwise");
      rotated_before = rotated;
      // A lone axis is spread over its block: no coordinate keeps it all.
      if (d >= 16) {
        double top = 0.0;
        for (const double x : rotated[3]) top = std::max(top, std::fabs(x));
        CHECK_MESSAGE(top < 0.8 * std::fabs(v[3][0]), "d=", d, ": an axis stays one");
      }
    });
  }
}

// --- ScreenStore ---------------------------------------------------------------

// A y as ScreenSearch quantises it.
struct Query {
  std::vector<double> direction, rotated;
  std::vector<int8_t> code;
  double scale = 0.0, code_norm = 0.0, rest = 0.0;
  int64_t offset = 0;

  Query(const Problem& p, uint32_t row, const ScreenStore& store, const Kernels& k)
      : direction(static_cast<size_t>(store.dims())),
        code(static_cast<size_t>(store.steps()) * kStepDims, 0) {
    row_direction(p.y, row, p.y_scale[row], direction.data());
    rotated = direction;
    std::vector<double> scratch(direction.size());
    store.rotation().apply(rotated.data(), scratch.data());
    double largest = 0.0, square = 0.0;
    for (const double v : rotated) largest = std::max(largest, std::fabs(v));
    scale = largest / store.y_limit();
    const double rest2 =
        k.quantise(rotated.data(), store.dims(), scale, store.y_limit(), code.data(), &square);
    code_norm = std::sqrt(square) * (1.0 + 1e-9);
    rest = std::sqrt(rest2) * (1.0 + 1e-9) + store.slack();
    for (const int8_t c : code) offset += int64_t{c} * store.x_limit();
  }
};

// Every (y, column): the exact cosine lies within the bounds.
void check_bounds(const Problem& p, const FreeItems& items, const ScreenStore& store,
                  const Kernels& k, const std::string& what) {
  const int64_t d = p.x.cols;
  std::vector<double> x(static_cast<size_t>(d));
  double worst = 0.0;  // share of the error that was needed
  for (uint32_t row = 0; row < p.y.rows; ++row) {
    if (p.y_scale[row].zero()) continue;
    const Query q(p, row, store, k);
    for (size_t f = 0; f < store.frames().size(); ++f) {
      const Frame& frame = store.frames()[f];
      const double base = k.ordered_dot(q.rotated.data(), store.center(f), d);
      const double unit = q.scale * frame.scale;
      const double error = q.code_norm * frame.residual + q.rest * frame.radius + store.slack();
      const ScreenPanel panel = store.panel(frame.first_group, frame.groups());
      for (int64_t c = 0; c < frame.columns; ++c) {
        const int64_t column = frame.first_group * kGroup + c;
        if (store.dead(column)) continue;
        const uint32_t x_row = p.x_by_norm[items.any_rank(store.item_at(column))];
        row_direction(p.x, x_row, p.x_scale[x_row], x.data());
        const double exact = k.ordered_dot(q.direction.data(), x.data(), d);
        CHECK_MESSAGE(exact <= base + frame.radius + store.slack(), what, ": beyond its frame");
        if (frame.scale == 0.0) {
          const double* group = store.exact_group(column / kGroup);
          CHECK_MESSAGE(store.least_head(column / kGroup) <= items.head(store.item_at(column)),
                        what, ": a smaller head");
          for (int64_t i = 0; i < d; ++i)
            CHECK_MESSAGE(group[i * kGroup + c % kGroup] == x[static_cast<size_t>(i)], what,
                          ": stored direction");
          continue;
        }
        int64_t score = -q.offset;
        for (int64_t i = 0; i < d; ++i)
          score += int64_t{q.code[static_cast<size_t>(i)]} *
                   panel.codes[((c / kGroup * panel.steps + i / kStepDims) * kGroup + c % kGroup) *
                                   kStepDims +
                               i % kStepDims];
        const double value = base + unit * static_cast<double>(score);
        CHECK_MESSAGE((value - error <= exact && exact <= value + error), what, ": ", digits(exact),
                      " is not within ", error, " of ", digits(value));
        worst = std::max(worst, std::fabs(exact - value) / error);
      }
    }
  }
  CHECK_MESSAGE(worst <= 1.0, what, ": ", worst);
}

// Each free item is in one column, and nothing else is.
void check_columns(const FreeItems& items, const ScreenStore& store, const std::string& what) {
  std::vector<int> seen(static_cast<size_t>(items.count()), 0);
  int64_t live = 0;
  for (const Frame& frame : store.frames())
    for (int64_t c = 0; c < int64_t{frame.groups()} * kGroup; ++c) {
      const int64_t column = frame.first_group * kGroup + c;
      CHECK_MESSAGE((c < frame.columns || store.dead(column)), what, ": padding can hit");
      if (store.dead(column)) continue;
      ++seen[store.item_at(column)];
      ++live;
    }
  CHECK_MESSAGE(live <= store.columns(), what, ": ", live, " columns");
  for (uint32_t i = 0; i < items.count(); ++i)
    CHECK_MESSAGE(seen[i] == (items.free(i) ? 1 : 0), what, ": item ", i, " in ", seen[i],
                  " columns");
}

// Frames of any size, in any order.
Layout random_layout(int64_t items, std::mt19937_64& rng) {
  Layout layout;
  for (int64_t i = 0; i < items; ++i) layout.items.push_back(static_cast<uint32_t>(i));
  std::shuffle(layout.items.begin(), layout.items.end(), rng);
  for (int64_t at = 0; at < items; at += 1 + static_cast<int64_t>(rng() % 90))
    layout.frame_begin.push_back(at);
  layout.frame_begin.push_back(items);
  layout.one_center = rng() % 2;
  return layout;
}

void check_store(Matrix& x, Matrix& y, std::mt19937_64& rng, const std::string& kind) {
  Team team(2);
  const Problem p = make_problem(x, y, team);
  const DirectionClasses classes = direction_classes(p, team);
  on_every_level([&](const SimdLevel& level) {
    const Kernels& k = *level.kernels;
    const std::string what = kind + " d=" + std::to_string(x.cols);
    FreeItems items(classes);
    const ScreenVectors vectors(p, team);
    ScreenStore store(p, vectors, items, k);
    const bool own = rng() % 2;
    const Layout layout =
        own ? make_layout(p, vectors, items, team, true, store.narrow(), rng() % 2)
            : random_layout(items.count(), rng);
    CHECK_MESSAGE(static_cast<int64_t>(layout.items.size()) == items.count(), what,
                  ": items laid out more than once");
    store.pack(layout, team);
    check_columns(items, store, what);
    check_bounds(p, items, store, k, what);
    for (int round = 0; round < 3; ++round) {
      for (uint32_t i = 0; i < items.count(); ++i)
        if (items.free(i) && rng() % 2) {
          while (items.free(i)) items.take(i);
          store.kill(i);
        }
      check_columns(items, store, what + " killed");
      store.compact(team);
      check_columns(items, store, what + " compacted");
    }
    check_bounds(p, items, store, k, what + " compacted");
  });
}

TEST_CASE("store: each free item has its column, every cosine is within its bounds") {
  std::mt19937_64 rng(23);
  uint64_t seed = 500;
  for (int kind = 0; kind < static_cast<int>(Kind::kCount); ++kind)
    for (const int64_t d : {1, 2, 5, 16, 33, 100, 257}) {
      if (kReduced && d > 40) continue;
      const Kind name = static_cast<Kind>(kind);
      Matrix x = make_matrix(150, d, name, 0, ++seed, kind % 2 == 0, kind % 3 == 0);
      Matrix y = make_matrix(12, d, name, 1, seed);
      check_store(x, y, rng, kind_name(name));
    }
  for (int round = 0; round < (kReduced ? 5 : 40); ++round) {
    const int64_t d = 1 + static_cast<int64_t>(rng() % 120);
    Matrix x = mixed_matrix(200, d, rng, rng() % 2, 0);
    Matrix y = mixed_matrix(15, d, rng, false, 1);
    if (round % 2)
      for (int64_t r = 0; r < y.rows; ++r)
        for (int64_t c = 0; c < d; ++c) y(r, c) = x(r, c);
    check_store(x, y, rng, "mixture " + std::to_string(round));
  }
}

}  // namespace

}  // namespace gtn::test
