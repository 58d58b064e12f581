#include "gtn_fast/direction.h"

#include <cmath>

#include "gtn_fast/parallel.h"
#include "kernels/kernels.h"

namespace gtn {
namespace {

template <class T>
RowScale scale_of(const T* row, int64_t d, double* u) {
  RowScale scale;
  T largest = 0;
  for (int64_t i = 0; i < d; ++i) {
    const T a = std::fabs(row[i]);
    largest = a > largest ? a : largest;
  }
  scale.max_abs = static_cast<double>(largest);
  if (largest == 0) return scale;
  for (int64_t i = 0; i < d; ++i) u[i] = static_cast<double>(row[i]) / scale.max_abs;
  scale.inner = std::sqrt(kernels().ordered_dot(u, u, d));
  return scale;
}

template <class T>
void direction_of(const T* row, int64_t d, const RowScale& scale, double* out) {
  for (int64_t i = 0; i < d; ++i)
    out[i] = (static_cast<double>(row[i]) / scale.max_abs) / scale.inner;
}

}  // namespace

RowScale row_scale(const MatrixView& a, int64_t row, double* scratch_u) {
  return a.dtype == DType::kFloat32 ? scale_of(a.row_f32(row), a.cols, scratch_u)
                                    : scale_of(a.row_f64(row), a.cols, scratch_u);
}

void row_direction(const MatrixView& a, int64_t row, const RowScale& scale, double* out) {
  if (scale.zero()) {
    for (int64_t i = 0; i < a.cols; ++i) out[i] = 0.0;
  } else if (a.dtype == DType::kFloat32) {
    direction_of(a.row_f32(row), a.cols, scale, out);
  } else {
    direction_of(a.row_f64(row), a.cols, scale, out);
  }
}

double ordered_dot(const double* a, const double* b, int64_t d) {
  return kernels().ordered_dot(a, b, d);
}

std::vector<RowScale> row_scales(const MatrixView& a, Team& team) {
  std::vector<RowScale> scales(static_cast<size_t>(a.rows));
  std::vector<std::vector<double>> scratch(static_cast<size_t>(team.size()));
  for (auto& u : scratch) u.resize(static_cast<size_t>(a.cols));
  const int64_t grain = std::max<int64_t>(1, (int64_t{1} << 18) / a.cols);
  team.for_chunks(a.rows, grain, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t r = begin; r < end; ++r)
      scales[static_cast<size_t>(r)] =
          row_scale(a, r, scratch[static_cast<size_t>(thread)].data());
  });
  return scales;
}

double ordered_dot_error(int64_t d) {
  // d products and ceil(d/8) + 2 additions on the longest path; the sum of the
  // absolute products is at most (1 + 4 eps)^2 by Cauchy-Schwarz. Doubled.
  const double eps = 0x1p-53;
  return 2.0 * (static_cast<double>((d + 7) / 8) + 4.0) * eps;
}

}  // namespace gtn
