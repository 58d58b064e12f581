#include "gtn_fast/normal.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "gtn_fast/parallel.h"

// A port of words_to_normal() and philox_words() of gtn_fast/reference/generator.py,
// operation for operation: change both or neither.
namespace gtn {
namespace {

// AS 241 (Wichura 1988), PPND16: highest power first, for Horner's rule.
using Coefficients = std::array<double, 8>;
constexpr Coefficients kCentreP = {2.5090809287301226727e3, 3.3430575583588128105e4,
                                   6.7265770927008700853e4, 4.5921953931549871457e4,
                                   1.3731693765509461125e4, 1.9715909503065514427e3,
                                   1.3314166789178437745e2, 3.3871328727963666080e0};
constexpr Coefficients kCentreQ = {5.2264952788528545610e3, 2.8729085735721942674e4,
                                   3.9307895800092710610e4, 2.1213794301586595867e4,
                                   5.3941960214247511077e3, 6.8718700749205790830e2,
                                   4.2313330701600911252e1, 1.0};
constexpr Coefficients kTailP = {7.74545014278341407640e-4, 2.27238449892691845833e-2,
                                 2.41780725177450611770e-1, 1.27045825245236838258e0,
                                 3.64784832476320460504e0,  5.76949722146069140550e0,
                                 4.63033784615654529590e0,  1.42343711074968357734e0};
constexpr Coefficients kTailQ = {1.05075007164441684324e-9, 5.47593808499534494600e-4,
                                 1.51986665636164571966e-2, 1.48103976427480074590e-1,
                                 6.89767334985100004550e-1, 1.67638483018380384940e0,
                                 2.05319162663775882187e0,  1.0};
constexpr Coefficients kFarP = {2.01033439929228813265e-7, 2.71155556874348757815e-5,
                                1.24266094738807843860e-3, 2.65321895265761230930e-2,
                                2.96560571828504891230e-1, 1.78482653991729133580e0,
                                5.46378491116411436990e0,  6.65790464350110377720e0};
constexpr Coefficients kFarQ = {2.04426310338993978564e-15, 1.42151175831644588870e-7,
                                1.84631831751005468180e-5,  7.86869131145613259100e-4,
                                1.48753612908506148525e-2,  1.36929880922735805310e-1,
                                5.99832206555887937690e-1,  1.0};
constexpr double kLn2 = 0.6931471805599453;
constexpr double kSqrt2 = 1.4142135623730951;
constexpr int kLogTerms = 10;

constexpr int kWords = 256;  // per batch: long enough for vector loops, short enough for L1

template <size_t N>
double horner(const std::array<double, N>& c, double r) {
  double value = c[0];
  for (size_t i = 1; i < N; ++i) value = value * r + c[i];
  return value;
}

constexpr std::array<double, kLogTerms + 1> odd_reciprocals() {
  std::array<double, kLogTerms + 1> odd{};
  for (int k = 0; k <= kLogTerms; ++k)
    odd[static_cast<size_t>(kLogTerms - k)] = 1.0 / (2.0 * k + 1.0);
  return odd;
}

// Natural logarithm of a positive normal number, by + - * / alone.
double log_fixed(double t) {
  constexpr std::array<double, kLogTerms + 1> kOdd = odd_reciprocals();
  const uint64_t bits = std::bit_cast<uint64_t>(t);
  double exponent = static_cast<double>(static_cast<int64_t>(bits >> 52) - 1023);
  double m = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFF) | (uint64_t{1023} << 52));
  if (m > kSqrt2) {
    m = m * 0.5;
    exponent = exponent + 1.0;
  }
  const double f = (m - 1.0) / (m + 1.0);
  return exponent * kLn2 + (f + f) * horner(kOdd, f * f);
}

double tail_normal(double q) {
  const double r = std::sqrt(-log_fixed(0.5 - std::fabs(q)));
  const double magnitude = r <= 5.0 ? horner(kTailP, r - 1.6) / horner(kTailQ, r - 1.6)
                                    : horner(kFarP, r - 5.0) / horner(kFarQ, r - 5.0);
  return q < 0.0 ? -magnitude : magnitude;
}

void words_to_normal(const uint64_t* words, int n, double* out) {
  double q[kWords];
  for (int i = 0; i < n; ++i) {
    const int64_t centred = static_cast<int64_t>(words[i] >> 11) - (int64_t{1} << 52);
    q[i] = (static_cast<double>(centred) + 0.5) * 0x1p-53;
  }
  for (int i = 0; i < n; ++i) {
    const double r = 0.180625 - q[i] * q[i];
    out[i] = q[i] * horner(kCentreP, r) / horner(kCentreQ, r);
  }
  for (int i = 0; i < n; ++i)  // tails: three values in twenty
    if (!(std::fabs(q[i]) <= 0.425)) out[i] = tail_normal(q[i]);
}

// Philox4x64-10, key (seed, 0), counter (counter, 0, 0, 0).
void philox(uint64_t seed, uint64_t counter, uint64_t* words) {
  constexpr uint64_t kM0 = 0xD2E7470EE14C6C93, kM1 = 0xCA5A826395121157;
  constexpr uint64_t kW0 = 0x9E3779B97F4A7C15, kW1 = 0xBB67AE8584CAA73B;
  __extension__ using Wide = unsigned __int128;
  uint64_t c0 = counter, c1 = 0, c2 = 0, c3 = 0;
  uint64_t k0 = seed, k1 = 0;
  for (int step = 0; step < 10; ++step) {
    const Wide p0 = static_cast<Wide>(kM0) * c0;
    const Wide p1 = static_cast<Wide>(kM1) * c2;
    c0 = static_cast<uint64_t>(p1 >> 64) ^ c1 ^ k0;
    c1 = static_cast<uint64_t>(p1);
    c2 = static_cast<uint64_t>(p0 >> 64) ^ c3 ^ k1;
    c3 = static_cast<uint64_t>(p0);
    k0 += kW0;
    k1 += kW1;
  }
  words[0] = c0;
  words[1] = c1;
  words[2] = c2;
  words[3] = c3;
}

}  // namespace

void fill_normal(uint64_t seed, int64_t first_row, int64_t rows, int64_t cols, float* out,
                 Team& team) {
  if (rows <= 0 || cols <= 0) return;
  const int64_t blocks = (cols + 3) / 4;  // counters per row
  const uint64_t first = static_cast<uint64_t>(first_row) * static_cast<uint64_t>(blocks);
  constexpr int64_t kBatch = kWords / 4;
  team.for_chunks(rows * blocks, kBatch * 256, [&](int64_t begin, int64_t end, int) {
    uint64_t words[kWords];
    double values[kWords];
    int64_t row = begin / blocks, block = begin % blocks;
    for (int64_t c = begin; c < end; c += kBatch) {
      const int64_t count = std::min(kBatch, end - c);
      for (int64_t i = 0; i < count; ++i)
        philox(seed, first + static_cast<uint64_t>(c + i), words + 4 * i);
      words_to_normal(words, static_cast<int>(4 * count), values);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t width = std::min<int64_t>(4, cols - 4 * block);
        for (int64_t j = 0; j < width; ++j)
          out[row * cols + 4 * block + j] = static_cast<float>(values[4 * i + j]);
        if (++block == blocks) {
          block = 0;
          ++row;
        }
      }
    }
  });
}

void normal_row(uint64_t seed, int64_t row, int64_t cols, float* out) {
  const int64_t blocks = (cols + 3) / 4;
  const uint64_t first = static_cast<uint64_t>(row) * static_cast<uint64_t>(blocks);
  uint64_t words[kWords];
  double values[kWords];
  for (int64_t c = 0; c < cols; c += kWords) {
    const int64_t width = std::min<int64_t>(kWords, cols - c);
    const int64_t counters = (width + 3) / 4;
    for (int64_t k = 0; k < counters; ++k)
      philox(seed, first + static_cast<uint64_t>(c / 4 + k), words + 4 * k);
    words_to_normal(words, static_cast<int>(4 * counters), values);
    for (int64_t k = 0; k < width; ++k) out[c + k] = static_cast<float>(values[k]);
  }
}

void fill_normal_rows(uint64_t seed, const int64_t* rows, int64_t n, int64_t cols, float* out,
                      Team& team) {
  team.for_chunks(n, 1 + (1 << 16) / cols, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) normal_row(seed, rows[i], cols, out + i * cols);
  });
}

}  // namespace gtn
