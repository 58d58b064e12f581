// What the C++ tests share: data, the brute-force loop, comparison by equality.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "gtn_fast/match.h"
#include "gtn_fast/order.h"

namespace gtn::test {

// Under a sanitizer the same tests run on smaller data.
#ifdef GTN_TEST_REDUCED
constexpr bool kReduced = true;
#else
constexpr bool kReduced = false;
#endif

// All digits of a number, for messages.
inline std::string digits(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", v);
  return text;
}

// A row-major matrix that owns its numbers, in either type.
struct Matrix {
  int64_t rows = 0, cols = 0;
  bool is_float = false;
  std::vector<double> f64;
  std::vector<float> f32;

  Matrix(int64_t n, int64_t d, bool as_float = false)
      : rows(n), cols(d), is_float(as_float), f64(static_cast<size_t>(n * d)) {}

  double& operator()(int64_t r, int64_t c) { return f64[static_cast<size_t>(r * cols + c)]; }

  MatrixView view() {
    MatrixView v;
    if (is_float) {
      f32.assign(f64.begin(), f64.end());
      v.all.data = f32.data();
      v.dtype = DType::kFloat32;
    } else {
      v.all.data = f64.data();
      v.dtype = DType::kFloat64;
    }
    v.rows = rows;
    v.cols = cols;
    v.all.row_stride = cols;
    return v;
  }
};

inline Problem make_problem(Matrix& x, Matrix& y, Team& team) {
  Problem p;
  p.x = x.view();
  p.y = y.view();
  p.x_scale = row_scales(p.x, {}, team);
  p.y_scale = row_scales(p.y, {}, team);
  p.x_by_norm = norm_order(p.x_scale, {}, team);
  p.y_by_norm = norm_order(p.y_scale, {}, team);
  return p;
}

inline double value(const Problem& p, const double* x, const double* y) {
  if (!p.by_distance()) return ordered_dot(y, x, p.x.cols);
  static thread_local std::vector<double> gap;
  gap.resize(static_cast<size_t>(p.x.cols));
  for (size_t k = 0; k < gap.size(); ++k) gap[k] = x[k] - y[k];
  return -ordered_dot(gap.data(), gap.data(), p.x.cols);
}

// The definition: every y in turn looks at every x.
inline Assignment brute_force(const Problem& p) {
  const int64_t d = p.x.cols;
  std::vector<double> x(static_cast<size_t>(p.x.rows * d)), y(static_cast<size_t>(d));
  for (int64_t rank = 0; rank < p.x.rows; ++rank)
    p.x_point(p.x_by_norm[static_cast<size_t>(rank)], &x[static_cast<size_t>(rank * d)]);
  std::vector<bool> taken(static_cast<size_t>(p.x.rows), false);
  Assignment out;
  for (const uint32_t y_row : p.y_by_norm) {
    p.y_point(y_row, y.data());
    int64_t best = -1;
    double best_cosine = 0.0;
    for (int64_t rank = 0; rank < p.x.rows; ++rank) {
      if (taken[static_cast<size_t>(rank)]) continue;
      const double cosine = value(p, &x[static_cast<size_t>(rank * d)], y.data());
      if (best < 0 || cosine > best_cosine) {
        best = rank;
        best_cosine = cosine;
      }
    }
    if (best < 0 || best_cosine < p.min_cosine) {
      out.x_row.push_back(kNoRow);
      out.cosine.push_back(std::nan(""));
      continue;
    }
    taken[static_cast<size_t>(best)] = true;
    out.x_row.push_back(p.x_by_norm[static_cast<size_t>(best)]);
    out.cosine.push_back(p.handed_out(best_cosine));
  }
  return out;
}

inline void expect_equal(const Assignment& got, const Assignment& want,
                         [[maybe_unused]] const std::string& what) {
  CHECK_MESSAGE(got.x_row.size() == want.x_row.size(), what);
  for (size_t i = 0; i < want.x_row.size() && i < got.x_row.size(); ++i) {
    const bool same = got.cosine[i] == want.cosine[i] ||
                      (std::isnan(got.cosine[i]) && std::isnan(want.cosine[i]));
    if (got.x_row[i] == want.x_row[i] && same) continue;
    FAIL_CHECK(what, ": turn ", i, " took row ", got.x_row[i], " (", digits(got.cosine[i]),
               "), should take ", want.x_row[i], " (", digits(want.cosine[i]), ")");
    return;
  }
}

// Kinds of input, ordinary and hostile. `which` = 0 for X, 1 for Y.
enum class Kind {
  kGaussian,
  kGrid,        // small integers: many equal directions, zero rows, equal norms
  kRays,        // few rays, float64 noise
  kOrthant,     // X in [0, 1]^d, Y centred
  kCone,        // X far from the origin, Y centred
  kNeedle,      // X and Y within 1e-8 of one ray: cosines tie in their last bits
  kAllEqual,    // X one point
  kDuplicates,  // X's second half repeats the first
  kMagnitudes,  // 1e-30 to 1e30
  kCircleTies,  // on a circle around the first axis: a y there ties with all, but for rounding
  kCount,
};

inline const char* kind_name(Kind kind) {
  static const char* const kNames[] = {"gaussian",   "grid",       "rays",      "orthant",
                                       "cone",       "needle",     "all equal", "duplicates",
                                       "magnitudes", "circle ties"};
  return kNames[static_cast<int>(kind)];
}

inline void fill_row(Matrix& m, int64_t r, Kind kind, int which, std::mt19937_64& rng) {
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform;
  const double first = normal(rng), scale = uniform(rng) + 0.1;
  const uint64_t ray = rng() % 5;
  for (int64_t c = 0; c < m.cols; ++c) {
    double v = normal(rng);
    switch (kind) {
      case Kind::kGrid:
        v = static_cast<double>(static_cast<int64_t>(rng() % 5)) - 2.0;
        break;
      case Kind::kRays:
        if (which == 0)
          v = scale * std::cos(static_cast<double>(7 * ray + 3) * (1.3 + static_cast<double>(c)));
        break;
      case Kind::kOrthant:
        if (which == 0) v = uniform(rng);
        break;
      case Kind::kCone:
        if (which == 0) v = 100.0 + v;
        break;
      case Kind::kNeedle:
        v = scale * (1.0 + 0.3 * static_cast<double>(c) + 1e-8 * v);
        break;
      case Kind::kAllEqual:
        if (which == 0) v = 1.5 - static_cast<double>(c);
        break;
      case Kind::kDuplicates:
        if (which == 0 && r >= m.rows / 2) v = m(r - m.rows / 2, c);
        break;
      case Kind::kMagnitudes:
        v *= std::pow(10.0, 60.0 * scale - 36.0);
        break;
      case Kind::kCircleTies:
        if (c == 0)
          v = which == 0 ? 0.5 : std::fabs(first) + 0.1;
        else if (which == 1)
          v = rng() % 3 == 0 ? 0.1 * v : 0.0;
        break;
      default:
        break;
    }
    m(r, c) = v;
  }
}

inline Matrix make_matrix(int64_t n, int64_t d, Kind kind, int which, uint64_t seed,
                          bool as_float = false, bool zero_rows = false) {
  std::mt19937_64 rng(seed * 2 + static_cast<uint64_t>(which));
  Matrix m(n, d, as_float);
  for (int64_t r = 0; r < n; ++r) {
    fill_row(m, r, kind, which, rng);
    if (zero_rows && rng() % 8 == 0)
      for (int64_t c = 0; c < d; ++c) m(r, c) = rng() % 2 ? 0.0 : -0.0;
  }
  return m;
}

}  // namespace gtn::test
