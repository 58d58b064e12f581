#include "strategies/screen/vectors.h"

#include <algorithm>
#include <cmath>

namespace gtn {
namespace {

constexpr int64_t kSample = 1024;  // rows from which centre and balance are taken
constexpr double kLeastRadius = 0x1p-200;
constexpr double kMostBalance = 0x1p30;

double power_of_two_from(double v) { return std::exp2(std::ceil(std::log2(v))); }

template <class Body>
void for_sample(const std::vector<uint32_t>& rows, const Body& body) {
  const int64_t n = static_cast<int64_t>(rows.size()), count = std::min(n, kSample);
  for (int64_t i = 0; i < count; ++i) body(rows[static_cast<size_t>(i * n / count)]);
}

}  // namespace

ScreenVectors::ScreenVectors(const Problem& problem, Team& team)
    : problem_(problem), dims_(problem.x.cols + (problem.by_distance() ? 1 : 0)) {
  if (!problem.by_distance()) return;
  find_centre();
  find_radius(team);
  find_balance();
}

void ScreenVectors::find_centre() {
  const int64_t d = problem_.x.cols;
  centre_.assign(static_cast<size_t>(d), 0.0);
  std::vector<double> row(static_cast<size_t>(d));
  double count = 0.0;
  for_sample(problem_.x_by_norm, [&](uint32_t x) {
    problem_.x_point(x, row.data());
    for (size_t k = 0; k < row.size(); ++k) centre_[k] += row[k];
    count += 1.0;
  });
  for (double& c : centre_) c /= count;
}

void ScreenVectors::find_radius(Team& team) {
  const int64_t d = problem_.x.cols;
  std::vector<double> most(static_cast<size_t>(team.size()), 0.0);
  const int64_t grain = std::max<int64_t>(1, (int64_t{1} << 16) / d);
  team.for_chunks(problem_.n_x(), grain, [&](int64_t begin, int64_t end, int thread) {
    std::vector<double> u(static_cast<size_t>(d));
    double& own = most[static_cast<size_t>(thread)];
    for (int64_t rank = begin; rank < end; ++rank) {
      problem_.x_point(problem_.x_by_norm[static_cast<size_t>(rank)], u.data());
      for (size_t k = 0; k < u.size(); ++k) u[k] -= centre_[k];
      own = std::max(own, ordered_dot(u.data(), u.data(), d));
    }
  });
  const double radius = std::sqrt(*std::max_element(most.begin(), most.end()));
  radius_ = 2.0 * power_of_two_from(std::max(radius, kLeastRadius));  // whatever was rounded
}

// Cauchy-Schwarz gives a bound in proportion to the deviation of x' times the length of y':
//   (E|u|^2 + b^2 Var|u|^2) (4 E|v|^2 + 1 / b^2) is least for b^4 = E|u|^2 / (Var|u|^2 4 E|v|^2)
// with all lengths in units of r.
void ScreenVectors::find_balance() {
  const int64_t d = problem_.x.cols;
  std::vector<double> v(static_cast<size_t>(d));
  const auto square = [&] {
    for (size_t k = 0; k < v.size(); ++k) v[k] = (v[k] - centre_[k]) / radius_;
    return ordered_dot(v.data(), v.data(), d);
  };
  double count = 0.0, sum = 0.0, squares = 0.0, y_count = 0.0, y_sum = 0.0;
  for_sample(problem_.x_by_norm, [&](uint32_t row) {
    problem_.x_point(row, v.data());
    const double s = square();
    count += 1.0;
    sum += s;
    squares += s * s;
  });
  for_sample(problem_.y_by_norm, [&](uint32_t row) {
    problem_.y_point(row, v.data());
    y_count += 1.0;
    y_sum += square();
  });
  const double mean = sum / count, variance = squares / count - mean * mean;
  const double fourth = mean / (variance * 4.0 * y_sum / y_count);
  if (fourth > 0.0 && std::isfinite(fourth))
    balance_ = std::exp2(std::round(std::log2(fourth) / 4.0));
  balance_ = std::clamp(balance_, 1.0 / kMostBalance, kMostBalance);
  fit_ = 2.0 * std::max(1.0, balance_);
}

void ScreenVectors::of_x(int64_t row, double* out) const {
  problem_.x_point(row, out);
  if (!problem_.by_distance()) return;
  const int64_t d = problem_.x.cols;
  for (int64_t k = 0; k < d; ++k) out[k] = (out[k] - centre_[static_cast<size_t>(k)]) / radius_;
  out[d] = balance_ * ordered_dot(out, out, d) / fit_;
  for (int64_t k = 0; k < d; ++k) out[k] /= fit_;
}

// Why the roundings suffice: with u = 2^-53, L the length and S the shift, slack >= 4 (d + 64) u.
// Beside slack L for the product of x' and y' as they are:
//   - making them: (d / 8 + 10) u L; the shift: (d / 8 + 5) u S, and its subtraction
//   - x - c and y - c are rounded: 2 |x - y| (|x - c| + |y - c|) u
//   - the squared distance that is compared has a relative error of (d / 8 + 6) u
// L >= f r max(2 |v|, r / b) >= max(2 r |v|, r^2), so that |x - y|^2 <= (r + |v|)^2 <= 2 L + 2 S.
// That makes less than (d / 2 + 32) u (L + S), an eighth of slack (L + S). Squares that underflow
// are far below: L >= r^2 >= 2^-400.
ScreenVectors::Query ScreenVectors::of_y(double* v) const {
  if (!problem_.by_distance()) return {0.0, 1.0, 1.0};
  const int64_t d = problem_.x.cols;
  for (int64_t k = 0; k < d; ++k) v[k] -= centre_[static_cast<size_t>(k)];
  const double shift = ordered_dot(v, v, d);
  const double last = radius_ / balance_;
  const double scale = radius_ * fit_;
  for (int64_t k = 0; k < d; ++k) v[k] *= 2.0 * scale;
  v[d] = -scale * last;
  const double length = scale * std::sqrt(4.0 * shift + last * last) * (1.0 + 0x1p-40);
  return {shift, length, 2.0 * length + shift};
}

}  // namespace gtn
