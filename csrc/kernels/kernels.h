// The inner loops, one table of functions an instruction set.
//
// kernels_scalar.cpp is the contract: every other file says the same sentence in
// another dialect and returns the same bits. No SIMD type crosses a file; the
// table is chosen once, outside the loops (levels.h).
#pragma once

#include <cstdint>

namespace gtn {

constexpr int kGroup = 16;     // x's side by side in a panel
constexpr int kStepDims = 4;   // dimensions a step: four bytes make one 32-bit lane
constexpr int kMaxTileY = 32;  // y's a call of screen() may carry, whatever the table
constexpr int kMaxDotY = 4;    // of ordered_dot_group()

// Quantised x's. codes[((g * steps + s) * kGroup + i) * kStepDims + j] is the
// code of dimension 4 s + j of x number 16 g + i: an unsigned byte at most
// 2 * Kernels::x_max. bias[16 g + i] <= 0 is added to that x's score.
struct ScreenPanel {
  const uint8_t* codes = nullptr;
  const int32_t* bias = nullptr;
  int32_t groups = 0;
  int32_t steps = 0;
};

// Bytes from one y's codes to the next one's. What is between 4 * steps codes and there is zero.
constexpr int64_t code_stride(int32_t steps) { return (int64_t{steps} * kStepDims + 63) & ~63; }

struct Hit {
  uint16_t y;     // index into the call's y's
  uint16_t x;     // index into the panel
  int32_t score;  // bias[x] + sum of code products
};

constexpr int32_t kDeadBias = -(1 << 30);  // a column that can never hit
constexpr int32_t kScoreLimit = 1 << 28;   // |sum of code products| and |threshold| stay below

constexpr int kFloatLanes = 32;

// Of float_dot() below. Each term is rounded to float at most n times, n = ceil(d / kFloatLanes):
// once as a product, then in every sum of its lane but the first, which starts from 0. That is
// n u / (1 - n u) of the terms' sizes, u = 2^-24. All else is rounded to double: a hundredth more.
constexpr double float_dot_error(int64_t d) {
  const double nu = static_cast<double>((d + kFloatLanes - 1) / kFloatLanes) * 0x1p-24;
  return 1.01 * nu / (1.0 - nu);
}

struct Kernels {
  int x_max;         // x codes: -x_max..x_max, stored with x_max added
  int y_max;         // y codes: -y_max..y_max
  int tile_y;        // y's a call of screen() takes at most, and likes best
  int panel_bytes;   // codes of x's that stay near while a tile of y's passes
  double sift_cost;  // of a pair in sift(), in units of one in screen(): measured, or a guess

  // Groups a panel: a multiple of four, which kernels take at once.
  int32_t panel_groups(int32_t steps) const;

  // The fixed-order dot product of direction.h.
  double (*ordered_dot)(const double* a, const double* b, int64_t d);

  // ordered_dot(y, direction of a stored row) without storing the direction:
  // each element is (row[i] / max_abs) / inner first.
  double (*cosine_f32)(const double* y, const float* row, double max_abs, double inner, int64_t d);
  double (*cosine_f64)(const double* y, const double* row, double max_abs, double inner, int64_t d);

  // Minus the squared distance of direction.h, from y to a stored row.
  double (*nearness_f32)(const double* y, const float* row, int64_t d);
  double (*nearness_f64)(const double* y, const double* row, int64_t d);

  // Sum of y[i] * row[i] in kFloatLanes running sums of floats: within float_dot_error(d) of
  // the real one, in units of sum |y_i row_i|, if that is below 2^120 and no product that
  // matters underflows. The same bits on every instruction set.
  double (*float_dot)(const float* y, const float* row, int64_t d);

  // largest |row[i]|, and out[i] = (row[i] / max_abs) / inner (max_abs > 0).
  float (*max_abs_f32)(const float* row, int64_t d);
  double (*max_abs_f64)(const double* row, int64_t d);
  void (*direction_f32)(const float* row, double max_abs, double inner, int64_t d, double* out);
  void (*direction_f64)(const double* row, double max_abs, double inner, int64_t d, double* out);

  // v -= center in place; returns the sum of squares, *largest = max |v_i|.
  double (*recentre)(double* v, const double* center, int64_t d, double* largest);

  // code[i] = v[i] / scale rounded and clamped to +-limit; returns the sum of
  // (v[i] - scale * code[i])^2, *square_sum = sum of (scale * code[i])^2.
  double (*quantise)(const double* v, int64_t d, double scale, int limit, int8_t* code,
                     double* square_sum);

  // The unnormalised Walsh-Hadamard transform of n = 2^k values, in place.
  void (*hadamard)(double* v, int64_t n);

  // As ordered_dot_group() below, of nearness_f64(y[j], x_i).
  unsigned (*nearness_group)(const double* const* y, int n_y, const double* x, int64_t d,
                             const double* threshold, double* out, unsigned* mask);

  // out[j * kGroup + i] = ordered_dot(y[j], x_i) for kGroup directions kept as
  // x[k * kGroup + i]; bit i of mask[j] is set where that is >= threshold[j] (a NaN is
  // not). Returns all masks, or-ed. 1 <= n_y <= kMaxDotY.
  unsigned (*ordered_dot_group)(const double* const* y, int n_y, const double* x, int64_t d,
                                const double* threshold, double* out, unsigned* mask);

  // Writes a Hit for every pair with score >= threshold[y]; returns their number.
  // y: n_y rows of signed codes, code_stride(steps) apart, each at the start of a cache
  // line for the best speed. 1 <= n_y <= tile_y. `hits` has room for n_y * groups * kGroup
  // entries.
  int (*screen)(const ScreenPanel& panel, const int8_t* y, const int32_t* threshold, int n_y,
                Hit* hits);

  // One y against the n listed groups: writes to `out` the columns whose score reaches the
  // threshold, in the order of the list, and returns their number. Biases do not count.
  // `out` has room for n * kGroup + kGroup entries, as `score` has. With a `score`, which takes
  // the scores, few columns are expected to come through; without, many.
  int (*sift)(const ScreenPanel& panel, const int8_t* y, int32_t threshold, const uint32_t* groups,
              int n, uint32_t* out, int32_t* score);
};

const Kernels& kernels();  // of simd_active(), levels.h

}  // namespace gtn
