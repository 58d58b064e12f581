// Every function of every kernel table this machine can run against plain loops
// written here, by equality of bits: sizes on lane boundaries, one below and one
// above, misaligned, buffers that end where the data ends (so that the address
// sanitizer sees a read past them).
#include <algorithm>
#include <bit>
#include <limits>
#include <stdexcept>
#include <tuple>

#include "kernels/kernels.h"
#include "tests/test_util.h"

namespace gtn::test {
namespace {

const std::vector<int64_t> kSizes = {1,  2,  3,  4,  5,  6,  7,  8,   9,   15,  16,  17,
                                     31, 32, 33, 63, 64, 65, 66, 100, 255, 256, 257, 1024};

// -2..2 in steps of 1/64: sums of thousands of products are exact, in any order.
double sixty_fourth(std::mt19937_64& rng) {
  return (static_cast<double>(rng() % 257) - 128.0) / 64.0;
}

enum Values { kExact, kNormal, kWide, kValueKinds };

double draw(Values kind, std::mt19937_64& rng) {
  std::normal_distribution<double> normal;
  if (kind == kExact) return sixty_fourth(rng);
  const double v = normal(rng);
  return kind == kNormal ? v : v * std::pow(10.0, static_cast<double>(rng() % 60) - 30.0);
}

// `size` values that start `offset` elements into an allocation and end with it.
template <class T>
struct Offset {
  std::vector<T> all;
  size_t offset;

  Offset(int64_t size, size_t start) : all(start + static_cast<size_t>(size)), offset(start) {}
  T* data() { return all.data() + offset; }
  T& operator[](int64_t i) { return all[offset + static_cast<size_t>(i)]; }
};

template <class T>
Offset<T> random_values(int64_t d, size_t offset, Values kind, std::mt19937_64& rng) {
  Offset<T> out(d, offset);
  for (int64_t i = 0; i < d; ++i) out[i] = static_cast<T>(draw(kind, rng));
  return out;
}

bool same(double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); }

// The order of direction.h: element i belongs to lane i mod 8.
template <class Product>
double in_lanes(int64_t d, const Product& product) {
  double lane[8] = {};
  for (int64_t i = 0; i < d; ++i) lane[i % 8] += product(i);
  double s[4], t[2];
  for (int j = 0; j < 4; ++j) s[j] = lane[j] + lane[j + 4];
  for (int j = 0; j < 2; ++j) t[j] = s[j] + s[j + 2];
  return t[0] + t[1];
}

struct Where {
  const Kernels& k;
  int64_t d;
  size_t offset;
  int kind;
  std::string text(const char* what) const {
    return std::string(what) + " " + simd_name(k.level) + " d=" + std::to_string(d) +
           " offset=" + std::to_string(offset) + " values=" + std::to_string(kind);
  }
};

void test_dot(const Where& w, std::mt19937_64& rng) {
  const Values kind = static_cast<Values>(w.kind);
  Offset<double> a = random_values<double>(w.d, w.offset, kind, rng);
  Offset<double> b = random_values<double>(w.d, w.offset / 2, kind, rng);
  const double got = w.k.ordered_dot(a.data(), b.data(), w.d);
  const double want = in_lanes(w.d, [&](int64_t i) { return a[i] * b[i]; });
  GTN_CHECK(same(got, want), "%s: %.17g, not %.17g", w.text("ordered_dot").c_str(), got, want);
  if (kind != kExact) return;
  int64_t sum = 0;
  for (int64_t i = 0; i < w.d; ++i)
    sum += static_cast<int64_t>(a[i] * 64.0) * static_cast<int64_t>(b[i] * 64.0);
  GTN_CHECK(got == static_cast<double>(sum) / 4096.0, "%s", w.text("exact ordered_dot").c_str());
}

template <class T, class Cosine, class Direction, class MaxAbs>
void test_row(const Where& w, Cosine cosine, Direction direction, MaxAbs max_abs,
              std::mt19937_64& rng) {
  constexpr double kGuard = 12345.0;
  const Values kind = static_cast<Values>(w.kind);
  Offset<T> row = random_values<T>(w.d, w.offset, kind, rng);
  Offset<double> y = random_values<double>(w.d, w.offset, kind, rng);
  T largest = 0;
  for (int64_t i = 0; i < w.d; ++i) largest = std::max(largest, std::abs(row[i]));
  GTN_CHECK(max_abs(row.data(), w.d) == largest, "%s", w.text("max_abs").c_str());
  if (largest == 0) row[0] = largest = 1;
  const double m = largest;
  const double inner =
      std::sqrt(in_lanes(w.d, [&](int64_t i) { return row[i] / m * (row[i] / m); }));
  const auto element = [&](int64_t i) { return static_cast<double>(row[i]) / m / inner; };
  std::vector<double> out(w.offset + static_cast<size_t>(w.d) + 1, kGuard);
  direction(row.data(), m, inner, w.d, out.data() + w.offset);
  for (int64_t i = 0; i < w.d; ++i)
    GTN_CHECK(same(out[w.offset + static_cast<size_t>(i)], element(i)), "%s",
              w.text("direction").c_str());
  GTN_CHECK(out.back() == kGuard, "%s", w.text("direction writes past its end").c_str());
  const double want = in_lanes(w.d, [&](int64_t i) { return y[i] * element(i); });
  GTN_CHECK(same(cosine(y.data(), row.data(), m, inner, w.d), want), "%s",
            w.text("cosine").c_str());
  GTN_CHECK(cosine(y.data(), row.data(), 0.0, 0.0, w.d) == 0.0, "%s",
            w.text("cosine of a zero row").c_str());
}

void test_group(const Where& w, std::mt19937_64& rng) {
  const Values kind = static_cast<Values>(w.kind);
  Offset<double> y = random_values<double>(w.d, w.offset, kind, rng);
  Offset<double> x = random_values<double>(w.d * kGroup, w.offset, kind, rng);
  double want[kGroup];
  for (int i = 0; i < kGroup; ++i)
    want[i] = in_lanes(w.d, [&](int64_t k) { return y[k] * x[k * kGroup + i]; });
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const double chosen = want[rng() % kGroup];
  for (const double threshold : {-kInf, kInf, chosen, std::nextafter(chosen, kInf)}) {
    Offset<double> out(kGroup, w.offset);
    const unsigned mask = w.k.ordered_dot_group(y.data(), x.data(), w.d, threshold, out.data());
    for (int i = 0; i < kGroup; ++i) {
      GTN_CHECK(same(out[i], want[i]), "%s", w.text("ordered_dot_group").c_str());
      GTN_CHECK(((mask >> i) & 1) == (want[i] >= threshold), "%s", w.text("group mask").c_str());
    }
    GTN_CHECK(mask >> kGroup == 0, "%s", w.text("group mask has more bits").c_str());
  }
}

void test_recentre(const Where& w, std::mt19937_64& rng) {
  const Values kind = static_cast<Values>(w.kind);
  Offset<double> v = random_values<double>(w.d, w.offset, kind, rng);
  Offset<double> center = random_values<double>(w.d, w.offset, kind, rng);
  std::vector<double> want;
  double largest = 0.0, got_largest = -1.0;
  for (int64_t i = 0; i < w.d; ++i) {
    want.push_back(v[i] - center[i]);
    largest = std::max(largest, std::fabs(want.back()));
  }
  const double sum = w.k.recentre(v.data(), center.data(), w.d, &got_largest);
  const auto square = [&](int64_t i) {
    return want[static_cast<size_t>(i)] * want[static_cast<size_t>(i)];
  };
  GTN_CHECK(same(sum, in_lanes(w.d, square)), "%s", w.text("recentre's sum").c_str());
  GTN_CHECK(got_largest == largest, "%s", w.text("recentre's largest").c_str());
  for (int64_t i = 0; i < w.d; ++i)
    GTN_CHECK(same(v[i], want[static_cast<size_t>(i)]), "%s", w.text("recentre").c_str());
}

// scale = 1/16 puts the multiples of 1/64 on codes, between codes and on ties.
void test_quantise(const Where& w, std::mt19937_64& rng) {
  constexpr int8_t kGuard = 99;
  const Values kind = w.kind == kWide ? kNormal : static_cast<Values>(w.kind);
  Offset<double> v = random_values<double>(w.d, w.offset, kind, rng);
  for (const int limit : {1, 31, 63, 127}) {
    const double scale = kind == kExact ? 1.0 / 16.0 : 2.7 / limit;
    std::vector<int8_t> code(w.offset + static_cast<size_t>(w.d) + 1, kGuard);
    double square_sum = -1.0, rest[8] = {}, square[8] = {};
    const double rest_sum =
        w.k.quantise(v.data(), w.d, scale, limit, code.data() + w.offset, &square_sum);
    for (int64_t i = 0; i < w.d; ++i) {
      const double rounded = std::nearbyint(v[i] * (1.0 / scale));
      const double q = std::clamp(rounded, -double(limit), double(limit));
      GTN_CHECK(code[w.offset + static_cast<size_t>(i)] == q, "%s limit=%d",
                w.text("quantise").c_str(), limit);
      rest[i % 8] += (v[i] - scale * q) * (v[i] - scale * q);
      square[i % 8] += scale * q * (scale * q);
    }
    for (int j = 1; j < 8; ++j) {
      rest[0] += rest[j];
      square[0] += square[j];
    }
    GTN_CHECK(same(rest_sum, rest[0]) && same(square_sum, square[0]), "%s limit=%d",
              w.text("quantise's sums").c_str(), limit);
    GTN_CHECK(code.back() == kGuard, "%s", w.text("quantise writes past its end").c_str());
  }
}

void hadamard_by_halves(double* v, int64_t n) {
  if (n == 1) return;
  const int64_t half = n / 2;
  hadamard_by_halves(v, half);
  hadamard_by_halves(v + half, half);
  for (int64_t i = 0; i < half; ++i) {
    const double a = v[i], b = v[i + half];
    v[i] = a + b;
    v[i + half] = a - b;
  }
}

void test_hadamard(const Kernels& k, std::mt19937_64& rng) {
  for (int64_t n = 1; n <= 1024; n *= 2)
    for (const size_t offset : {0, 1, 3})
      for (const Values kind : {kExact, kNormal}) {
        const Where w{k, n, offset, kind};
        Offset<double> v = random_values<double>(n, offset, kind, rng);
        std::vector<double> want(v.data(), v.data() + n);
        const std::vector<double> before = want;
        hadamard_by_halves(want.data(), n);
        k.hadamard(v.data(), n);
        for (int64_t i = 0; i < n; ++i)
          GTN_CHECK(same(v[i], want[static_cast<size_t>(i)]), "%s", w.text("hadamard").c_str());
        if (kind != kExact) continue;
        double sum = 0.0;  // of the matrix' last row: signs by the parity of the bits
        for (int64_t i = 0; i < n; ++i)
          sum += std::popcount(static_cast<uint64_t>(i)) % 2 ? -before[static_cast<size_t>(i)]
                                                             : before[static_cast<size_t>(i)];
        GTN_CHECK(v[n - 1] == sum, "%s", w.text("exact hadamard").c_str());
      }
}

// --- screening -----------------------------------------------------------------

enum class Codes { kRandom, kLargest, kSmallest, kMixed };  // the last three: extremes only

// A panel and y's at chosen misalignment, with all scores by a plain loop.
struct ScreenCase {
  const Kernels& k;
  int64_t d;
  int32_t groups, steps;
  Offset<uint8_t> x;
  Offset<int32_t> bias;
  std::vector<Offset<int8_t>> y;
  std::vector<std::vector<int64_t>> score;  // [y][column], without the bias

  ScreenCase(const Kernels& kernels, int64_t dims, int32_t n_groups, Codes codes, size_t offset,
             std::mt19937_64& rng)
      : k(kernels),
        d(dims),
        groups(n_groups),
        steps(static_cast<int32_t>((dims + 3) / 4)),
        x(int64_t{n_groups} * steps * 64, offset),
        bias(int64_t{n_groups} * kGroup, offset % 4) {
    for (uint8_t& c : x.all) {
      const bool high = codes == Codes::kLargest || (codes == Codes::kMixed && rng() % 2);
      const int top = 2 * k.x_max;
      c = static_cast<uint8_t>(codes == Codes::kRandom ? rng() % static_cast<uint64_t>(top + 1)
                               : high || codes == Codes::kSmallest ? static_cast<uint64_t>(top)
                                                                   : 0);
    }
    for (int64_t c = 0; c < int64_t{groups} * kGroup; ++c)
      bias[c] = rng() % 9 == 0 ? kDeadBias : static_cast<int32_t>(rng() % 3) * 1000 - 1000;
    for (size_t j = 0; j < kMaxTileY; ++j) {
      y.emplace_back(int64_t{steps} * kStepDims, (offset + j) % 5);
      for (int64_t i = 0; i < d; ++i) y[j][i] = y_code(codes, rng);
    }
    for (Offset<int8_t>& code : y) {
      score.emplace_back(static_cast<size_t>(groups) * kGroup);
      for (int64_t c = 0; c < int64_t{groups} * kGroup; ++c)
        for (int64_t i = 0; i < int64_t{steps} * kStepDims; ++i)
          score.back()[static_cast<size_t>(c)] += code[i] * int64_t{x_code(c, i)};
    }
  }

  int8_t y_code(Codes codes, std::mt19937_64& rng) const {
    const bool minus = codes == Codes::kSmallest || (codes == Codes::kMixed && rng() % 2);
    if (codes != Codes::kRandom) return static_cast<int8_t>(minus ? -k.y_max : k.y_max);
    return static_cast<int8_t>(static_cast<int>(rng() % static_cast<uint64_t>(2 * k.y_max + 1)) -
                               k.y_max);
  }

  // The layout that ScreenPanel documents.
  uint8_t x_code(int64_t column, int64_t dim) {
    return x[((column / kGroup * steps + dim / kStepDims) * kGroup + column % kGroup) * kStepDims +
             dim % kStepDims];
  }

  void check(int n_y, const int32_t* threshold, const char* what) {
    constexpr int32_t kGuard = 0x5A5A5A5A;
    const size_t room = static_cast<size_t>(n_y) * static_cast<size_t>(groups) * kGroup;
    std::vector<Hit> hits(room + 1, Hit{0xFFFF, 0xFFFF, kGuard});
    const int8_t* codes[kMaxTileY];
    for (int j = 0; j < n_y; ++j) codes[j] = y[static_cast<size_t>(j)].data();
    const ScreenPanel panel{x.data(), bias.data(), groups, steps};
    const int n = k.screen(panel, codes, threshold, n_y, hits.data());
    const std::string where = std::string(what) + " " + simd_name(k.level) +
                              " d=" + std::to_string(d) + " groups=" + std::to_string(groups) +
                              " n_y=" + std::to_string(n_y);
    GTN_CHECK(n >= 0 && static_cast<size_t>(n) <= room, "%s: %d hits", where.c_str(), n);
    GTN_CHECK(hits.back().score == kGuard, "%s: writes past the room", where.c_str());
    using Row = std::tuple<int, int, int64_t>;
    std::vector<Row> got, want;
    for (int h = 0; h < n && static_cast<size_t>(h) < room; ++h) {
      const Hit& hit = hits[static_cast<size_t>(h)];
      got.emplace_back(hit.y, hit.x, hit.score);
    }
    for (int j = 0; j < n_y; ++j)
      for (int c = 0; c < groups * kGroup; ++c) {
        const int64_t s = score[static_cast<size_t>(j)][static_cast<size_t>(c)] + bias[c];
        if (s >= threshold[j]) want.emplace_back(j, c, s);
      }
    std::sort(got.begin(), got.end());
    GTN_CHECK(got == want, "%s: %zu hits, not %zu, or others", where.c_str(), got.size(),
              want.size());
  }

  // Around the score of some column of each y, then all and none.
  void check_thresholds(int n_y, std::mt19937_64& rng) {
    int32_t threshold[kMaxTileY];
    const uint64_t columns = static_cast<uint64_t>(groups) * kGroup;
    for (int shift = -1; shift <= 1; ++shift) {
      for (int j = 0; j < n_y; ++j) {
        int64_t c = static_cast<int64_t>(rng() % columns);
        while (bias[c] == kDeadBias && c + 1 < static_cast<int64_t>(columns)) ++c;
        const int64_t s = score[static_cast<size_t>(j)][static_cast<size_t>(c)];
        threshold[j] = static_cast<int32_t>(s + (bias[c] == kDeadBias ? 0 : bias[c])) + shift;
      }
      check(n_y, threshold, "screen");
    }
    std::fill_n(threshold, n_y, -kScoreLimit);
    check(n_y, threshold, "screen for all");
    std::fill_n(threshold, n_y, kScoreLimit);
    check(n_y, threshold, "screen for none");
  }
};

void test_screen_kernel(const Kernels& k, std::mt19937_64& rng) {
  const std::vector<int32_t> group_counts =
      kReduced ? std::vector<int32_t>{1, 3, 4, 7, 33}
               : std::vector<int32_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 32, 33};
  for (const int64_t d : kSizes)
    for (const int32_t groups : group_counts) {
      if (kReduced && d > 300 && groups > 8) continue;
      ScreenCase random(k, d, groups, Codes::kRandom, rng() % 67, rng);
      for (int n_y = 1; n_y <= kMaxTileY; ++n_y) random.check_thresholds(n_y, rng);
    }
  // Sums as large as codes allow must not wrap in any narrower register.
  for (const int64_t d : {1, 4, 5, 16, 17, 63, 100, 1024})
    for (const Codes codes : {Codes::kLargest, Codes::kSmallest, Codes::kMixed})
      for (const int32_t groups : {1, 2, 5}) {
        ScreenCase extreme(k, d, groups, codes, rng() % 67, rng);
        for (const int n_y : {1, 2, 3, 5, 6}) extreme.check_thresholds(n_y, rng);
      }
}

// The widest row whose sums stay below kScoreLimit: dead columns still never hit.
void test_dead_columns(const Kernels& k, std::mt19937_64& rng) {
  const int64_t d = (kScoreLimit - 1) / (2 * k.x_max * k.y_max) / 4 * 4;
  for (const Codes codes : {Codes::kLargest, Codes::kSmallest}) {
    ScreenCase wide(k, d, 2, codes, 1, rng);
    for (int64_t c = 0; c < 2 * kGroup; ++c) wide.bias[c] = c % 3 ? kDeadBias : 0;
    for (const int32_t threshold : {-kScoreLimit, kScoreLimit}) {
      const std::vector<int32_t> all(kMaxTileY, threshold);
      for (const int n_y : {1, 5, 6}) wide.check(n_y, all.data(), "dead columns");
    }
  }
}

void test_levels() {
  const std::vector<Simd> usable = simd_usable();
  GTN_CHECK(!usable.empty() && usable.back() == Simd::kScalar, "%s", "scalar is always usable");
  std::printf("kernels: run here:");
  for (const Simd level : usable) std::printf(" %s", simd_name(level));
  const char* before = "; compiled, but this CPU lacks:";
  for (const Simd level : simd_compiled()) {
    GTN_CHECK(kernels(level).level == level, "table of %s", simd_name(level));
    if (std::find(usable.begin(), usable.end(), level) != usable.end()) continue;
    std::printf("%s %s", before, simd_name(level));
    before = "";
  }
  std::printf("\n");
  const Simd active = simd_active();
  for (const Simd level : usable) {
    simd_force(simd_name(level));
    GTN_CHECK(simd_active() == level && kernels().level == level, "forced %s", simd_name(level));
  }
  simd_force(simd_name(active));
  std::string message;
  try {
    simd_force("sse9");
  } catch (const std::invalid_argument& error) {
    message = error.what();
  }
  GTN_CHECK(
      message.find("sse9") != std::string::npos && message.find("scalar") != std::string::npos,
      "an unknown level is refused by name: '%s'", message.c_str());
  GTN_CHECK(simd_active() == active, "%s", "a refused level changes nothing");
}

}  // namespace

void test_kernels() {
  test_levels();
  for (const Simd level : simd_usable()) {
    const Kernels& k = kernels(level);
    std::mt19937_64 rng(3);
    for (const int64_t d : kSizes)
      for (const size_t offset : {0, 1, 3})
        for (int kind = 0; kind < kValueKinds; ++kind) {
          const Where w{k, d, offset, kind};
          test_dot(w, rng);
          test_row<float>(w, k.cosine_f32, k.direction_f32, k.max_abs_f32, rng);
          test_row<double>(w, k.cosine_f64, k.direction_f64, k.max_abs_f64, rng);
          test_group(w, rng);
          test_recentre(w, rng);
          test_quantise(w, rng);
        }
    test_hadamard(k, rng);
    test_screen_kernel(k, rng);
    test_dead_columns(k, rng);
  }
}

}  // namespace gtn::test
