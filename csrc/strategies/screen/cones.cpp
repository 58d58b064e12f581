#include "strategies/screen/cones.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace gtn {
namespace {

// What rounding in double does to a cosine, to an axis or to a cone, with plenty to spare: for
// d <= kMostConeDims below 1e-13.
constexpr double kRounding = 1e-9;
constexpr double kLeastCosine = 1e-6;
constexpr int kTowards = 6;  // steps of an axis towards its farthest column

double dot(const double* a, const double* b, size_t d) {
  double sum = 0.0;
  for (size_t k = 0; k < d; ++k) sum += a[k] * b[k];
  return sum;
}

// The least cosine of the axis with n directions, and which has it. Zero vectors have cosine 0
// with every y, which is below what cones are asked for: they do not count.
double least_cosine(const double* axis, const double* v, size_t n, size_t d, size_t* which) {
  double least = 1.0;
  const double norm = std::sqrt(dot(axis, axis, d));
  for (size_t i = 0; i < n; ++i) {
    const double cosine = dot(axis, v + i * d, d) / norm;
    if (cosine >= least || dot(v + i * d, v + i * d, d) < 0.5) continue;
    least = cosine;
    *which = i;
  }
  return least;
}

// Near the axis of the narrowest cone: from the mean, steps towards the farthest direction.
void find_axis(const double* v, size_t n, size_t d, double* axis) {
  std::fill_n(axis, d, 0.0);
  for (size_t i = 0; i < n; ++i)
    for (size_t k = 0; k < d; ++k) axis[k] += v[i * d + k] / static_cast<double>(n);
  for (int step = 0; step < kTowards && dot(axis, axis, d) > kRounding; ++step) {
    size_t far = 0;
    least_cosine(axis, v, n, d, &far);
    const double weight = 1.0 / (step + 4.0);
    for (size_t k = 0; k < d; ++k) axis[k] += weight * (v[far * d + k] - axis[k]);
  }
  const double norm = std::sqrt(dot(axis, axis, d));
  for (size_t k = 0; k < d; ++k) axis[k] = norm > kRounding ? axis[k] / norm : 0.0;
}

}  // namespace

Cones::Cones(int64_t d, int x_limit, int y_limit)
    : d_(static_cast<size_t>(d)),
      steps_(static_cast<int32_t>((d + 2 + kStepDims - 1) / kStepDims)),
      x_limit_(x_limit),
      y_limit_(y_limit) {}

void Cones::resize(const std::vector<int64_t>& columns) {
  frames_.assign(columns.size(), FrameCones{});
  int64_t groups = 0;
  for (size_t f = 0; f < columns.size(); ++f) {
    int64_t sets = columns[f];
    for (Level& level : frames_[f].level) {
      sets = (sets + kGroup - 1) / kGroup;
      level.sets = sets;
      level.first_group = groups;
      groups += (sets + kGroup - 1) / kGroup;
    }
  }
  const size_t size = static_cast<size_t>(groups) * static_cast<size_t>(steps_) * 64;
  if (size > codes_size_) {
    codes_ = Pages();
    codes_ = Pages(size, "");
    codes_size_ = size;
  }
}

void Cones::build(size_t frame, const double* v, size_t n) {
  size_t size = 1;
  for (Level& level : frames_[frame].level) {
    size *= kGroup;
    build_level(level, size, v, n);
  }
}

void Cones::build_level(Level& level, size_t size, const double* v, size_t n) {
  const size_t sets = static_cast<size_t>(level.sets);
  std::vector<double> axis(sets * d_), p(sets), q(sets);
  const auto members = [&](size_t s) { return std::min(size, n - s * size); };
  double largest = 0.0;
  for (size_t s = 0; s < sets; ++s) {
    double* const a = axis.data() + s * d_;
    find_axis(v + s * size * d_, members(s), d_, a);
    for (size_t k = 0; k < d_; ++k) largest = std::max(largest, std::fabs(a[k]));
  }
  const double scale = largest > 0.0 ? x_limit_ / largest : 0.0;
  level.longest = 0.0;
  for (size_t s = 0; s < sets; ++s) {
    double* const a = axis.data() + s * d_;
    for (size_t k = 0; k < d_; ++k) a[k] = std::round(a[k] * scale);
    const double norm = std::sqrt(dot(a, a, d_));
    size_t which = 0;
    const double least =
        norm > 0.0 ? least_cosine(a, v + s * size * d_, members(s), d_, &which) - kRounding : -1.0;
    const bool wide = !(least >= 0.0);
    if (wide) std::fill_n(a, d_, 0.0);  // P = Q = 0: no y is too far away
    p[s] = wide ? 0.0 : norm * least;
    q[s] = wide ? 0.0 : norm * (std::sqrt(std::max(0.0, 1.0 - least * least)) + kRounding);
    level.longest = std::max(level.longest, norm);
  }
  // One step of the codes stays free: they are rounded up.
  const auto range = [&](const std::vector<double>& of, double* middle) {
    const auto [low, high] = std::minmax_element(of.begin(), of.end());
    *middle = 0.5 * (*low + *high);
    return std::max((*high - *low) / (2.0 * (x_limit_ - 1)), kRounding);
  };
  level.p_unit = range(p, &level.p0);
  level.q_unit = range(q, &level.q0);
  std::vector<int8_t> code(static_cast<size_t>(steps_) * kStepDims, 0);
  for (size_t s = 0; s < sets; ++s) {
    for (size_t k = 0; k < d_; ++k) code[k] = static_cast<int8_t>(axis[s * d_ + k]);
    code[d_] = static_cast<int8_t>(std::ceil((level.p0 - p[s]) / level.p_unit));
    code[d_ + 1] = static_cast<int8_t>(std::ceil((q[s] - level.q0) / level.q_unit));
    write(level, static_cast<int64_t>(s), code.data());
  }
  std::fill(code.begin(), code.end(), 0);
  for (int64_t s = level.sets; s % kGroup != 0; ++s) write(level, s, code.data());
}

void Cones::write(const Level& level, int64_t set, const int8_t* code) {
  const int64_t group = level.first_group + set / kGroup;
  uint8_t* out = codes_.get() + group * steps_ * 64 + (set % kGroup) * kStepDims;
  for (int32_t s = 0; s < steps_; ++s)
    for (int j = 0; j < kStepDims; ++j)
      out[s * 64 + j] = static_cast<uint8_t>(code[s * kStepDims + j] + x_limit_);
}

ScreenPanel Cones::panel(size_t frame, int l) const {
  const Level& level = frames_[frame].level[l];
  return {codes_.get() + level.first_group * steps_ * 64, nullptr,
          static_cast<int32_t>((level.sets + kGroup - 1) / kGroup), steps_};
}

// With y = scale * codes + rest, a set that must come through has
//   scale * (codes . c) + |rest| |c| >= t P - s Q >= t (p0 - p_unit f) - s (q0 + q_unit g)
// for its codes f and g. What t p_unit / scale and s q_unit / scale lose as codes e and h, times
// the largest f or g, is added: codes . c + e f + h g >= (t p0 - s q0 - |rest| |c|) / scale - lost.
// Numbers here are below 2^30, scores are whole, and double rounds by less than 1e-6 of one: one
// less than the threshold rounded down is safe.
bool Cones::look(size_t frame, int l, const ScreenQuery& q, const int8_t* codes, double cosine,
                 View& view) const {
  const Level& level = frames_[frame].level[l];
  const double t = cosine - kRounding;
  if (!(t > kLeastCosine)) return false;
  const double s = std::sqrt(std::max(0.0, 1.0 - t * t)) + kRounding;
  std::memset(view.codes, 0, sizeof view.codes);
  std::memcpy(view.codes, codes, d_);
  double lost = 0.0;
  const auto write_code = [&](size_t at, double value) {
    const double code = std::clamp(std::round(value), -1.0 * y_limit_, 1.0 * y_limit_);
    lost += std::fabs(value - code) * x_limit_;
    view.codes[at] = static_cast<int8_t>(code);
    return static_cast<int32_t>(code);
  };
  const int32_t e = write_code(d_, t * level.p_unit / q.scale);
  const int32_t h = write_code(d_ + 1, s * level.q_unit / q.scale);
  const double least = (t * level.p0 - s * level.q0 - q.rest * level.longest) / q.scale - lost;
  view.threshold = static_cast<int32_t>(std::floor(least)) - 1 + q.offset + (e + h) * x_limit_;
  return true;
}

}  // namespace gtn
