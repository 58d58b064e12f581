// Every function of every table of kernels, where need be emulated, but for screening, against
// plain loops written here, by equality of bits.
#include <algorithm>
#include <bit>
#include <limits>

#include "kernels/kernels.h"
#include "tests/kernels/kernel_util.h"
#include "tests/kernels/tables_util.h"

namespace gtn::test {
namespace {

double gap2(double a, double b) { return (a - b) * (a - b); }

struct Where {
  const Kernels& k;
  int64_t d;
  size_t offset;
  int kind;
  std::string text(const char* what) const {
    return std::string(what) + " d=" + std::to_string(d) + " offset=" + std::to_string(offset) +
           " values=" + std::to_string(kind);
  }
};

void test_dot(const Where& w, std::mt19937_64& rng) {
  const Values kind = static_cast<Values>(w.kind);
  Offset<double> a = random_values<double>(w.d, w.offset, kind, rng);
  Offset<double> b = random_values<double>(w.d, w.offset / 2, kind, rng);
  const double got = w.k.ordered_dot(a.data(), b.data(), w.d);
  const double want = in_lanes(w.d, [&](int64_t i) { return a[i] * b[i]; });
  CHECK_MESSAGE(same(got, want), w.text("ordered_dot"), ": ", digits(got), ", not ", digits(want));
  if (kind != kExact) return;
  int64_t sum = 0;
  for (int64_t i = 0; i < w.d; ++i)
    sum += static_cast<int64_t>(a[i] * 64.0) * static_cast<int64_t>(b[i] * 64.0);
  CHECK_MESSAGE(got == static_cast<double>(sum) / 4096.0, w.text("exact ordered_dot"));
}

// The same bits as the plain loop, and within its bound.
void test_float_dot(const Where& w, std::mt19937_64& rng) {
  const Values kind = static_cast<Values>(w.kind);
  Offset<float> a = random_values<float>(w.d, w.offset, kNormal, rng);
  Offset<float> b = random_values<float>(w.d, w.offset / 2, kind, rng);
  float lane[kFloatLanes] = {};
  long double real = 0.0L, size = 0.0L;
  for (int64_t i = 0; i < w.d; ++i) {
    lane[i % kFloatLanes] += a[i] * b[i];
    real += static_cast<long double>(a[i]) * b[i];
    size += std::abs(static_cast<long double>(a[i]) * b[i]);
  }
  double s[8];
  for (int j = 0; j < 8; ++j)
    s[j] = (static_cast<double>(lane[j]) + lane[j + 8]) +
           (static_cast<double>(lane[j + 16]) + lane[j + 24]);
  const double want = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
  const double got = w.k.float_dot(a.data(), b.data(), w.d);
  CHECK_MESSAGE(same(got, want), w.text("float_dot"), ": ", digits(got), ", not ", digits(want));
  CHECK_MESSAGE(std::abs(got - real) <= float_dot_error(w.d) * size, w.text("float_dot"),
                ": off by ", std::abs(got - real), " of ", size);
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
  CHECK_MESSAGE(max_abs(row.data(), w.d) == largest, w.text("max_abs"));
  if (largest == 0) row[0] = largest = 1;
  const double m = largest;
  const double inner =
      std::sqrt(in_lanes(w.d, [&](int64_t i) { return row[i] / m * (row[i] / m); }));
  const auto element = [&](int64_t i) { return static_cast<double>(row[i]) / m / inner; };
  std::vector<double> out(w.offset + static_cast<size_t>(w.d) + 1, kGuard);
  direction(row.data(), m, inner, w.d, out.data() + w.offset);
  for (int64_t i = 0; i < w.d; ++i)
    CHECK_MESSAGE(same(out[w.offset + static_cast<size_t>(i)], element(i)), w.text("direction"));
  CHECK_MESSAGE(out.back() == kGuard, w.text("direction writes past its end"));
  const double want = in_lanes(w.d, [&](int64_t i) { return y[i] * element(i); });
  CHECK_MESSAGE(same(cosine(y.data(), row.data(), m, inner, w.d), want), w.text("cosine"));
  CHECK_MESSAGE(cosine(y.data(), row.data(), 0.0, 0.0, w.d) == 0.0, w.text("cosine of a zero row"));
}

template <class T, class Nearness>
void test_nearness(const Where& w, Nearness nearness, std::mt19937_64& rng) {
  const Values kind = static_cast<Values>(w.kind);
  Offset<T> row = random_values<T>(w.d, w.offset, kind, rng);
  Offset<double> y = random_values<double>(w.d, w.offset, kind, rng);
  const double want = -in_lanes(w.d, [&](int64_t i) { return gap2(row[i], y[i]); });
  CHECK_MESSAGE(same(nearness(y.data(), row.data(), w.d), want), w.text("nearness"));
}

// All numbers of y's, each with a threshold of its own; a dead column holds a NaN. `sum` gives the
// value of a y and a column.
template <class Group, class Sum>
void test_group(const Where& w, Group group, const Sum& sum, std::mt19937_64& rng) {
  const Values kind = static_cast<Values>(w.kind);
  constexpr double kInf = std::numeric_limits<double>::infinity();
  Offset<double> x = random_values<double>(w.d * kGroup, w.offset, kind, rng);
  const int dead = static_cast<int>(rng() % (2 * kGroup));
  if (dead < kGroup) x[dead] = std::numeric_limits<double>::quiet_NaN();
  std::vector<Offset<double>> y;
  const double* pointers[kMaxDotY];
  double want[kMaxDotY][kGroup];
  for (size_t j = 0; j < kMaxDotY; ++j) {
    y.push_back(random_values<double>(w.d, (w.offset + j) % 4, kind, rng));
    if (rng() % 4 == 0)  // zeros of either sign
      for (int64_t k = 0; k < w.d; ++k) y[j][k] = rng() % 2 ? 0.0 : -0.0;
    pointers[j] = y[j].data();
    for (int i = 0; i < kGroup; ++i) want[j][i] = sum(y[j].data(), x.data() + i);
  }
  for (int n_y = 1; n_y <= kMaxDotY; ++n_y)
    for (int round = 0; round < 4; ++round) {
      double threshold[kMaxDotY];
      for (int j = 0; j < n_y; ++j) {
        const double chosen = want[j][rng() % kGroup];
        const double choices[] = {-kInf, kInf, chosen, std::nextafter(chosen, kInf)};
        threshold[j] = choices[(round + j) % 4];
      }
      Offset<double> out(n_y * kGroup, w.offset);
      unsigned mask[kMaxDotY + 1] = {7, 7, 7, 7, 7};
      const unsigned any = group(pointers, n_y, x.data(), w.d, threshold, out.data(), mask);
      unsigned all = 0;
      for (int j = 0; j < n_y; ++j) {
        for (int i = 0; i < kGroup; ++i) {
          const bool both_nan = std::isnan(out[j * kGroup + i]) && std::isnan(want[j][i]);
          CHECK_MESSAGE((both_nan || same(out[j * kGroup + i], want[j][i])), w.text("group"),
                        " n_y=", n_y);
          CHECK_MESSAGE(((mask[j] >> i) & 1) == (want[j][i] >= threshold[j]), w.text("group mask"),
                        " n_y=", n_y);
        }
        CHECK_MESSAGE((mask[j] >> kGroup) == 0, w.text("group mask has more bits"));
        all |= mask[j];
      }
      CHECK_MESSAGE(any == all, w.text("or-ed masks"), " n_y=", n_y);
      CHECK_MESSAGE(mask[n_y] == 7, w.text("writes past the masks"), " n_y=", n_y);
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
  CHECK_MESSAGE(same(sum, in_lanes(w.d, square)), w.text("recentre's sum"));
  CHECK_MESSAGE(got_largest == largest, w.text("recentre's largest"));
  for (int64_t i = 0; i < w.d; ++i)
    CHECK_MESSAGE(same(v[i], want[static_cast<size_t>(i)]), w.text("recentre"));
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
      CHECK_MESSAGE(code[w.offset + static_cast<size_t>(i)] == q, w.text("quantise"),
                    " limit=", limit);
      rest[i % 8] += (v[i] - scale * q) * (v[i] - scale * q);
      square[i % 8] += scale * q * (scale * q);
    }
    for (int j = 1; j < 8; ++j) {
      rest[0] += rest[j];
      square[0] += square[j];
    }
    CHECK_MESSAGE((same(rest_sum, rest[0]) && same(square_sum, square[0])),
                  w.text("quantise's sums"), " limit=", limit);
    CHECK_MESSAGE(code.back() == kGuard, w.text("quantise writes past its end"));
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
          CHECK_MESSAGE(same(v[i], want[static_cast<size_t>(i)]), w.text("hadamard"));
        if (kind != kExact) continue;
        double sum = 0.0;  // of the matrix' last row: signs by the parity of the bits
        for (int64_t i = 0; i < n; ++i)
          sum += std::popcount(static_cast<uint64_t>(i)) % 2 ? -before[static_cast<size_t>(i)]
                                                             : before[static_cast<size_t>(i)];
        CHECK_MESSAGE(v[n - 1] == sum, w.text("exact hadamard"));
      }
}

}  // namespace

TEST_CASE("kernels: the same bits as plain loops") {
  on_every_table([](const Kernels& k, bool emulated) {
    std::mt19937_64 rng(3);
    for (const int64_t d : kSizes)
      for (const size_t offset : {0, 1, 3}) {
        if (emulated && offset > 1) continue;
        for (int kind = 0; kind < kValueKinds; ++kind) {
          const Where w{k, d, offset, kind};
          test_dot(w, rng);
          test_float_dot(w, rng);
          test_row<float>(w, k.cosine_f32, k.direction_f32, k.max_abs_f32, rng);
          test_row<double>(w, k.cosine_f64, k.direction_f64, k.max_abs_f64, rng);
          test_nearness<float>(w, k.nearness_f32, rng);
          test_nearness<double>(w, k.nearness_f64, rng);
          const auto dot = [d](const double* y, const double* x) {
            return in_lanes(d, [&](int64_t i) { return y[i] * x[i * kGroup]; });
          };
          const auto nearness = [d](const double* y, const double* x) {
            return -in_lanes(d, [&](int64_t i) { return gap2(x[i * kGroup], y[i]); });
          };
          test_group(w, k.ordered_dot_group, dot, rng);
          test_group(w, k.nearness_group, nearness, rng);
          test_recentre(w, rng);
          test_quantise(w, rng);
        }
      }
    test_hadamard(k, rng);
  });
}

// Terms whose roundings all go one way: the error comes near its bound, so no smaller one holds.
TEST_CASE("kernels: float_dot needs its bound") {
  on_every_level([](const SimdLevel& level) {
    const auto share = [&](const std::vector<float>& y, const std::vector<float>& row) {
      const int64_t d = static_cast<int64_t>(y.size());
      double real = 0.0, size = 0.0;  // products of floats are exact in double
      for (size_t i = 0; i < y.size(); ++i) {
        real += static_cast<double>(y[i]) * row[i];
        size += std::fabs(static_cast<double>(y[i]) * row[i]);
      }
      const double off = std::fabs(level.kernels->float_dot(y.data(), row.data(), d) - real);
      return off / (float_dot_error(d) * size);
    };
    // (1 + 2^-12)^2 = 1 + 2^-11 + 2^-24: the last bit falls just between two floats.
    const std::vector<float> product(kFloatLanes, 1.0F + 0x1p-12F);
    CHECK(share(product, product) > 0.95);
    CHECK(share(product, product) <= 1.0);
    // In every lane 1, then a little more than half of its last bit, again and again.
    std::vector<float> ones(64 * kFloatLanes, 1.0F), small(64 * kFloatLanes, 0x1.0002p-24F);
    std::fill_n(small.begin(), kFloatLanes, 1.0F);
    CHECK(share(ones, small) > 0.95);
    CHECK(share(ones, small) <= 1.0);
  });
}

}  // namespace gtn::test
