// The screening strategy through match() against the brute-force loop, by
// equality, on every instruction set; its parts (short lists, rotation, store)
// against what their headers promise.
#include <algorithm>
#include <limits>
#include <set>

#include "kernels/kernels.h"
#include "strategies/classes.h"
#include "strategies/rotation.h"
#include "strategies/screen_layout.h"
#include "strategies/screen_store.h"
#include "strategies/shortlist.h"
#include "tests/test_util.h"

namespace gtn::test {
namespace {

// --- match() -------------------------------------------------------------------

constexpr int64_t kBlocks[] = {0, 1, 7, 64, 1000};
constexpr int64_t kLists[] = {0, 1, 3};
constexpr int64_t kWays = 3 * std::size(kBlocks) * std::size(kLists);

// Way w of kWays: 1 to 3 threads, all blocks, all lengths of list.
Options way(int64_t w) {
  Options options;
  options.strategy = Strategy::kScreen;
  options.threads = 1 + static_cast<int>(w % 3);
  options.block = kBlocks[w / 3 % std::size(kBlocks)];
  options.list_length = kLists[w / 3 / std::size(kBlocks) % std::size(kLists)];
  return options;
}

Assignment run_match(const MatrixView& x, const MatrixView& y, const Options& options,
                     Report& report) {
  const size_t n = static_cast<size_t>(y.rows);
  std::vector<int64_t> x_index(n), order(n);
  std::vector<double> cosine(n);
  Control control;
  match(x, y, options, control, x_index.data(), cosine.data(), order.data(), report);
  GTN_CHECK(control.done == y.rows, "progress ends at %lld",
            static_cast<long long>(control.done.load()));
  Assignment out;
  for (const int64_t row : order) {
    out.x_row.push_back(static_cast<uint32_t>(x_index[static_cast<size_t>(row)]));
    out.cosine.push_back(cosine[static_cast<size_t>(row)]);
  }
  return out;
}

double reported(const Report& report, const std::string& name) {
  for (const auto& [key, value] : report.values)
    if (key == name) return value;
  GTN_CHECK(false, "the report lacks %s", name.c_str());
  return 0.0;
}

// On every level, `count` ways from `first` on; reports of all runs.
std::vector<Report> check_screen(Matrix& x, Matrix& y, int64_t first, int64_t count,
                                 const std::string& what) {
  const Simd active = simd_active();
  simd_force("scalar");
  Team one(1);
  const Assignment want = brute_force(make_problem(x, y, one));
  std::vector<Report> reports;
  for (const Simd level : simd_usable()) {
    simd_force(simd_name(level));
    for (int64_t w = first; w < first + count; ++w) {
      const Options options = way(w % kWays);
      reports.emplace_back();
      const Assignment got = run_match(x.view(), y.view(), options, reports.back());
      expect_equal(got, want,
                   what + " n_x=" + std::to_string(x.rows) + " n_y=" + std::to_string(y.rows) +
                       " d=" + std::to_string(x.cols) + " float=" + std::to_string(x.is_float) +
                       " " + simd_name(level) + " threads=" + std::to_string(options.threads) +
                       " block=" + std::to_string(options.block) +
                       " list=" + std::to_string(options.list_length));
    }
    first += count;  // each level meets other ways
  }
  simd_force(simd_name(active));
  return reports;
}

void test_kinds() {
  int64_t w = 0;
  uint64_t seed = 100;
  const std::vector<int64_t> dims =
      kReduced ? std::vector<int64_t>{1, 5, 33} : std::vector<int64_t>{1, 2, 5, 16, 33, 100, 257};
  for (int k = 0; k < static_cast<int>(Kind::kCount); ++k)
    for (const int64_t d : dims)
      for (const bool as_float : {false, true})
        for (const bool zeros : {false, true}) {
          const Kind kind = static_cast<Kind>(k);
          const int64_t n_x = kReduced ? 100 : d > 50 ? 160 : 260;
          Matrix x = make_matrix(n_x, d, kind, 0, ++seed, as_float, zeros);
          Matrix y = make_matrix(zeros ? n_x / 2 : n_x, d, kind, 1, seed, as_float, zeros);
          check_screen(x, y, w, kReduced ? 1 : 2, kind_name(kind));
          w += 7;  // coprime to kWays: all ways come up
        }
}

void test_smallest() {
  for (const int64_t d : {1, 3, 64})
    for (const int64_t n_x : {1, 2, 17}) {
      Matrix x = make_matrix(n_x, d, Kind::kGrid, 0, 9, true);
      Matrix y = make_matrix(1, d, Kind::kGrid, 1, 9, true);
      check_screen(x, y, n_x, 9, "smallest");
    }
}

void test_equal_ys() {
  for (const int64_t d : {2, 16, 100})
    for (const Kind kind : {Kind::kGaussian, Kind::kRays, Kind::kGrid}) {
      Matrix x = make_matrix(160, d, kind, 0, 21, true);
      Matrix y = make_matrix(160, d, kind, 1, 21, true);
      for (int64_t r = 1; r < y.rows; ++r)
        for (int64_t c = 0; c < d; ++c) y(r, c) = y(0, c);
      check_screen(x, y, d, kReduced ? 3 : 9, std::string("equal y's, ") + kind_name(kind));
      // Powers of two: norms differ, directions do not.
      for (int64_t r = 0; r < y.rows; ++r)
        for (int64_t c = 0; c < d; ++c) y(r, c) = std::ldexp(y(r, c), static_cast<int>(r % 40));
      check_screen(x, y, 5, 3, std::string("y's on one ray, ") + kind_name(kind));
    }
}

// Every row picks its own structure: a ray with noise of 1e-2 to 1e-17, a copy, a
// cluster, a cone, a zero row, integers, anything.
Matrix mixed_matrix(int64_t n, int64_t d, std::mt19937_64& rng, bool as_float, int which) {
  std::normal_distribution<double> normal;
  Matrix m(n, d, as_float);
  const double noise = std::pow(10.0, -2.0 - static_cast<double>(rng() % 16));
  const uint64_t shapes = rng() % 7 + 1, rays = rng() % 4 + 1;
  for (int64_t r = 0; r < n; ++r) {
    const double scale = std::pow(2.0, static_cast<double>(rng() % 9) - 4.0);
    const uint64_t shape = rng() % shapes, ray = rng() % rays;
    const int64_t twin = static_cast<int64_t>(rng() % static_cast<uint64_t>(r + 1));
    for (int64_t c = 0; c < d; ++c) {
      const double v = normal(rng);
      const double on_ray = std::cos(static_cast<double>(9 * ray + 2) * (1.7 + double(c)));
      m(r, c) = scale * (shape == 0   ? v
                         : shape == 1 ? on_ray + noise * v
                         : shape == 2 ? m(twin, c) / scale
                         : shape == 3 ? double(which == 0) * 30.0 + v
                         : shape == 4 ? on_ray + 0.05 * v
                         : shape == 5 ? double(rng() % 3) - 1.0
                                      : double(rng() % 2) * on_ray);
    }
  }
  return m;
}

void test_random_mixtures() {
  constexpr int64_t kDims[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 31, 33, 64, 100, 129};
  std::mt19937_64 rng(2024);
  const int rounds = kReduced ? 20 : 120;
  for (int round = 0; round < rounds; ++round) {
    const int64_t d = kDims[rng() % std::size(kDims)];
    const int64_t n_x = 1 + static_cast<int64_t>(rng() % (round % 10 == 0 ? 900 : 300));
    const int64_t n_y =
        round % 3 == 0 ? 1 + static_cast<int64_t>(rng() % static_cast<uint64_t>(n_x)) : n_x;
    const bool as_float = rng() % 2;
    Matrix x = mixed_matrix(n_x, d, rng, as_float, 0);
    Matrix y = mixed_matrix(n_y, d, rng, rng() % 2, 1);
    if (rng() % 4 == 0)  // y's that are x's: cosines near 1
      for (int64_t r = 0; r < n_y; ++r)
        for (int64_t c = 0; c < d; ++c) y(r, c) = x(n_x - 1 - r, c);
    check_screen(x, y, static_cast<int64_t>(rng() % kWays), 2, "mixture " + std::to_string(round));
  }
}

// Large enough for frames of neighbours, compaction and new layouts.
void test_clusters() {
  constexpr int64_t kClusters = 6;
  const int64_t n = kReduced ? 2200 : 2600;
  std::mt19937_64 rng(31);
  std::normal_distribution<double> normal;
  for (const int64_t d : {16, 33, 100})
    // Wide clusters, clusters at the resolution of the type, and both.
    for (const double noise : {0.02, 1e-7, 1e-15, 0.0}) {
      if (d == 100 && (kReduced || noise != 0.0)) continue;
      const bool as_float = noise == 1e-7;
      Matrix x(n, d, as_float), y(n - 100, d, as_float), centers(kClusters, d);
      for (double& v : centers.f64) v = normal(rng);
      for (Matrix* m : {&x, &y})
        for (int64_t r = 0; r < m->rows; ++r) {
          const int64_t cluster = static_cast<int64_t>(rng() % kClusters);
          const double own = noise != 0.0 ? noise : cluster % 2 ? 1e-15 : 0.05;
          for (int64_t c = 0; c < d; ++c)
            (*m)(r, c) = centers(cluster, c) + (m == &x ? own : 0.05) * normal(rng);
        }
      const std::vector<Report> reports = check_screen(
          x, y, d, 1, "clusters of " + std::to_string(noise) + " (" + std::to_string(d) + ")");
      for (const Report& report : reports) {
        GTN_CHECK(reported(report, "frames_of_neighbours") == 1.0, "d=%lld noise=%g",
                  static_cast<long long>(d), noise);
        GTN_CHECK(reported(report, "packs") >= 2.0, "d=%lld noise=%g", static_cast<long long>(d),
                  noise);
        GTN_CHECK(reported(report, "compactions") >= 1.0, "d=%lld noise=%g",
                  static_cast<long long>(d), noise);
      }
    }
}

// Spread evenly: one centre serves many, several even frames, several blocks.
void test_even_frames() {
  const int64_t n = kReduced ? 2300 : 4500;
  for (const Kind kind : {Kind::kGaussian, Kind::kOrthant, Kind::kDuplicates}) {
    Matrix x = make_matrix(n, 40, kind, 0, 8, true);
    Matrix y = make_matrix(n - 200, 40, kind, 1, 8, true);
    check_screen(x, y, kind == Kind::kOrthant ? 4 : 0, kReduced ? 1 : 2,
                 std::string("even, ") + kind_name(kind));
  }
}

// Once the wide part is taken, what is left is too narrow for codes and does not
// fill more than one frame: no sample of scores exists there.
void test_narrow_remainder() {
  std::mt19937_64 rng(1);
  std::normal_distribution<double> normal;
  for (const int64_t d : {4, 16}) {
    Matrix x(1800, d), y(1500, d);
    for (int64_t r = 0; r < x.rows; ++r)
      for (int64_t c = 0; c < d; ++c) {
        const double first = c == 0 ? 1.0 : 0.0, v = normal(rng);
        x(r, c) = r < 700 ? v + 2.0 * first : 1e-15 * v - first;
        if (r < y.rows) y(r, c) = normal(rng) + 2.0 * first;
      }
    check_screen(x, y, 0, 1, "narrow remainder");
  }
}

// --- Shortlist -----------------------------------------------------------------

struct TableExact final : Exact {
  std::vector<double> value;
  std::vector<uint32_t> heads;
  double cosine(uint32_t item) override { return value[item]; }
  void prefetch(uint32_t) override {}
  uint32_t head(uint32_t item) const override { return heads[item]; }
};

// Values with many ties, values that differ in their last bit, or any.
TableExact random_values(size_t n, uint64_t shape, std::mt19937_64& rng) {
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  TableExact table;
  for (size_t i = 0; i < n; ++i) {
    double v = uniform(rng);
    if (shape == 0) v = static_cast<double>(rng() % 4) / 4.0;
    if (shape == 1) v = 0.5 + static_cast<double>(rng() % 6) * 0x1p-53;
    if (shape == 2) v = 0.25;
    table.value.push_back(v);
    table.heads.push_back(static_cast<uint32_t>(i));
  }
  std::shuffle(table.heads.begin(), table.heads.end(), rng);
  return table;
}

struct ListCase {
  size_t n;
  int wanted, least, most;
  double width, floor;
  std::string text() const {
    return "n=" + std::to_string(n) + " wanted=" + std::to_string(wanted) +
           " least=" + std::to_string(least) + " most=" + std::to_string(most) +
           " width=" + std::to_string(width) + " floor=" + std::to_string(floor);
  }
};

// Every item a level admits stands in front, exact and in the total order.
void check_complete(const TableExact& table, const std::vector<uint32_t>& sorted,
                    const std::vector<Candidate>& list, int32_t exact, const Level& level,
                    const std::string& what) {
  size_t admitted = 0;
  while (admitted < sorted.size() &&
         level.admits(table.value[sorted[admitted]], table.heads[sorted[admitted]]))
    ++admitted;
  GTN_CHECK(static_cast<size_t>(exact) == admitted, "%s: %d exact, %zu admitted", what.c_str(),
            exact, admitted);
  for (size_t i = 0; i < admitted && i < static_cast<size_t>(exact); ++i)
    GTN_CHECK(list[i].item == sorted[i] && list[i].cosine == table.value[sorted[i]],
              "%s: place %zu", what.c_str(), i);
}

void check_shortlist(const ListCase& c, uint64_t shape, std::mt19937_64& rng, Shortlist& list) {
  TableExact table = random_values(c.n, shape, rng);
  std::uniform_real_distribution<double> uniform(0.0, c.width);
  std::vector<uint32_t> sorted;
  for (uint32_t i = 0; i < c.n; ++i) sorted.push_back(i);
  std::sort(sorted.begin(), sorted.end(), [&](uint32_t a, uint32_t b) {
    return better(table.value[a], table.heads[a], table.value[b], table.heads[b]);
  });
  list.reset(c.wanted, c.floor);
  for (uint32_t i = 0; i < c.n; ++i) {
    const double v = table.value[i];
    if (i % 5 == 4 || c.width == 0.0) {
      if (v >= list.threshold()) list.add_exact(v, i, table.heads[i]);
    } else {
      const double upper = v + uniform(rng), lower = v - uniform(rng);
      if (upper >= list.threshold()) list.add(upper, lower, i);
    }
    if (list.full()) list.shrink(table, 1.0);
  }
  // One place more than there is room for shows a write past the end.
  std::vector<Candidate> out(static_cast<size_t>(c.most) + 1, {-7.0, 777});
  ListState state = list.finish(table, c.least, c.most, out.data());
  const std::string what = c.text() + " shape=" + std::to_string(shape);
  GTN_CHECK(0 <= state.exact && state.exact <= state.total && state.total <= c.most, "%s: %d of %d",
            what.c_str(), state.exact, state.total);
  GTN_CHECK(out.back().item == 777, "%s: writes past the end", what.c_str());
  check_complete(table, sorted, out, state.exact, state.level, what);
  // A search has to get at least its y's best, or the y would search for ever.
  GTN_CHECK(state.exact > 0 || table.value[sorted[0]] < c.floor, "%s: nothing", what.c_str());
  std::set<uint32_t> items;
  for (int32_t i = 0; i < state.total; ++i) {
    const Candidate& candidate = out[static_cast<size_t>(i)];
    GTN_CHECK(items.insert(candidate.item).second, "%s: twice", what.c_str());
    GTN_CHECK(candidate.cosine >= table.value[candidate.item], "%s: not a bound", what.c_str());
  }
  for (const uint32_t item : sorted)
    if (state.deep_level.admits(table.value[item], table.heads[item]))
      GTN_CHECK(items.count(item) == 1, "%s: incomplete above the deep level", what.c_str());
  const int32_t before = state.exact;
  deepen(table, out.data(), state);
  GTN_CHECK(state.exact >= before && state.exact == state.total, "%s: deepened from %d to %d",
            what.c_str(), before, state.exact);
  check_complete(table, sorted, out, state.exact, state.level, what + " deepened");
  // All the wanted ones, if the bounds and ties leave them room.
  const int roomy = 4 * c.wanted + 16;
  if (shape == 3 && c.width < 1e-6 && c.most >= roomy) {
    int reach = 0;
    for (const double v : table.value) reach += v >= c.floor;
    GTN_CHECK(state.exact >= std::min(c.wanted, reach), "%s: %d of the wanted", what.c_str(),
              state.exact);
  }
}

void test_shortlist() {
  std::mt19937_64 rng(17);
  Shortlist list;  // kept between lists, as a search does
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  for (const size_t n : {1u, 2u, 5u, 31u, 32u, 33u, 200u, 321u, 1500u})
    for (const int wanted : {1, 2, 4, 40})
      for (const double width : {0.0, 1e-16, 1e-9, 0.01, 0.3, 3.0})
        for (const double floor : {kNone, -1e9, 0.5, 0.9, 2.0})
          for (uint64_t shape = 0; shape < 4; ++shape)
            for (const int most : {1, 2, 3, 4 * wanted + 16}) {
              if (kReduced && rng() % 4 != 0) continue;
              for (const int least : {1, 3})
                check_shortlist({n, wanted, least, most, width, floor}, shape, rng, list);
            }
}

// --- Rotation ------------------------------------------------------------------

long double long_dot(const std::vector<double>& a, const std::vector<double>& b) {
  long double sum = 0.0L;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<long double>(a[i]) * b[i];
  return sum;
}

void test_rotation() {
  std::mt19937_64 rng(5);
  std::normal_distribution<double> normal;
  for (const int64_t d : {1, 2, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 127, 128, 257, 1024}) {
    std::vector<std::vector<double>> rotated_before;
    for (const Simd level : simd_usable()) {
      const Rotation rotation(d, kernels(level));
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
        if (d < 8)
          GTN_CHECK(rotated.back() == v.back(), "d=%d is not rotated", static_cast<int>(d));
      }
      for (size_t a = 0; a < v.size(); ++a)
        for (size_t b = 0; b <= a; ++b) {
          const double off = static_cast<double>(
              std::fabs(long_dot(rotated[a], rotated[b]) - long_dot(v[a], v[b])));
          const double norms =
              std::sqrt(static_cast<double>(long_dot(v[a], v[a]) * long_dot(v[b], v[b])));
          GTN_CHECK(off <= rotation.error() * norms, "d=%d: off by %g, allowed %g",
                    static_cast<int>(d), off / norms, rotation.error());
        }
      if (!rotated_before.empty())
        GTN_CHECK(rotated == rotated_before, "%s rotates otherwise", simd_name(level));
      rotated_before = rotated;
      // A lone axis is spread over its block: no coordinate keeps it all.
      if (d >= 16) {
        double top = 0.0;
        for (const double x : rotated[3]) top = std::max(top, std::fabs(x));
        GTN_CHECK(top < 0.8 * std::fabs(v[3][0]), "d=%d: an axis stays one", static_cast<int>(d));
      }
    }
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
        GTN_CHECK(exact <= base + frame.radius + store.slack(), "%s: beyond its frame",
                  what.c_str());
        if (frame.scale == 0.0) {
          const double* group = store.exact_group(frame, static_cast<int32_t>(c / kGroup));
          for (int64_t i = 0; i < d; ++i)
            GTN_CHECK(group[i * kGroup + c % kGroup] == x[static_cast<size_t>(i)],
                      "%s: stored direction", what.c_str());
          continue;
        }
        int64_t score = -q.offset;
        for (int64_t i = 0; i < d; ++i)
          score += int64_t{q.code[static_cast<size_t>(i)]} *
                   panel.codes[((c / kGroup * panel.steps + i / kStepDims) * kGroup + c % kGroup) *
                                   kStepDims +
                               i % kStepDims];
        const double value = base + unit * static_cast<double>(score);
        GTN_CHECK(value - error <= exact && exact <= value + error,
                  "%s: %.17g is not within %g of %.17g", what.c_str(), exact, error, value);
        worst = std::max(worst, std::fabs(exact - value) / error);
      }
    }
  }
  GTN_CHECK(worst <= 1.0, "%s: %g", what.c_str(), worst);
}

// Each free item is in one column, and nothing else is.
void check_columns(const FreeItems& items, const ScreenStore& store, const std::string& what) {
  std::vector<int> seen(static_cast<size_t>(items.count()), 0);
  int64_t live = 0;
  for (const Frame& frame : store.frames())
    for (int64_t c = 0; c < int64_t{frame.groups()} * kGroup; ++c) {
      const int64_t column = frame.first_group * kGroup + c;
      GTN_CHECK(c < frame.columns || store.dead(column), "%s: padding can hit", what.c_str());
      if (store.dead(column)) continue;
      ++seen[store.item_at(column)];
      ++live;
    }
  GTN_CHECK(live <= store.columns(), "%s: %lld columns", what.c_str(),
            static_cast<long long>(live));
  for (uint32_t i = 0; i < items.count(); ++i)
    GTN_CHECK(seen[i] == (items.free(i) ? 1 : 0), "%s: item %u in %d columns", what.c_str(), i,
              seen[i]);
}

// Frames of any size, in any order.
Layout random_layout(int64_t items, std::mt19937_64& rng) {
  Layout layout;
  for (int64_t i = 0; i < items; ++i) layout.items.push_back(static_cast<uint32_t>(i));
  std::shuffle(layout.items.begin(), layout.items.end(), rng);
  for (int64_t at = 0; at < items; at += 1 + static_cast<int64_t>(rng() % 90))
    layout.frame_begin.push_back(at);
  layout.frame_begin.push_back(items);
  return layout;
}

void check_store(Matrix& x, Matrix& y, std::mt19937_64& rng, const std::string& kind) {
  Team team(2);
  const Problem p = make_problem(x, y, team);
  const DirectionClasses classes = direction_classes(p, team);
  for (const Simd level : simd_usable()) {
    const Kernels& k = kernels(level);
    const std::string what = kind + " d=" + std::to_string(x.cols) + " " + simd_name(level);
    FreeItems items(classes);
    ScreenStore store(p, items, k);
    const bool own = rng() % 2;
    store.pack(own ? make_layout(p, items, team) : random_layout(items.count(), rng), team);
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
  }
}

void test_store() {
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

void test_screen() {
  test_shortlist();
  test_rotation();
  test_store();
  test_smallest();
  test_kinds();
  test_equal_ys();
  test_random_mixtures();
  test_clusters();
  test_even_frames();
  test_narrow_remainder();
}

}  // namespace gtn::test
