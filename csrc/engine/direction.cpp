#include "gtn_fast/direction.h"

#include <algorithm>
#include <cmath>

#include "gtn_fast/normal.h"
#include "gtn_fast/parallel.h"
#include "kernels/kernels.h"

namespace gtn {
namespace {

double max_abs(const Kernels& k, const float* row, int64_t d) { return k.max_abs_f32(row, d); }
double max_abs(const Kernels& k, const double* row, int64_t d) { return k.max_abs_f64(row, d); }

template <class T>
RowScale scale_of(const T* row, int64_t d, double* u) {
  const Kernels& k = kernels();
  RowScale scale;
  scale.max_abs = max_abs(k, row, d);
  if (scale.zero()) return scale;
  for (int64_t i = 0; i < d; ++i) u[i] = static_cast<double>(row[i]) / scale.max_abs;
  // At least 1: the largest |u_i| is exactly 1, and neither sums of squares nor the root round
  // below a 1 they contain. So no row but a zero row has norm 0.
  scale.inner = std::sqrt(k.ordered_dot(u, u, d));
  return scale;
}

// Valid until the thread asks for the next.
const float* drawn_row(const MatrixView& a, int64_t row) {
  thread_local std::vector<float> values;
  values.resize(static_cast<size_t>(a.cols));
  normal_row(a.seed, row, a.cols, values.data());
  return values.data();
}

}  // namespace

RowScale row_scale(const MatrixView& a, int64_t row, double* scratch_u) {
  if (a.drawn) return scale_of(drawn_row(a, row), a.cols, scratch_u);
  return a.dtype == DType::kFloat32 ? scale_of(a.row_f32(row), a.cols, scratch_u)
                                    : scale_of(a.row_f64(row), a.cols, scratch_u);
}

void row_direction(const MatrixView& a, int64_t row, const RowScale& scale, double* out) {
  if (scale.zero()) {
    std::fill_n(out, a.cols, 0.0);
  } else if (a.drawn) {
    kernels().direction_f32(drawn_row(a, row), scale.max_abs, scale.inner, a.cols, out);
  } else if (a.dtype == DType::kFloat32) {
    kernels().direction_f32(a.row_f32(row), scale.max_abs, scale.inner, a.cols, out);
  } else {
    kernels().direction_f64(a.row_f64(row), scale.max_abs, scale.inner, a.cols, out);
  }
}

void row_values(const MatrixView& a, int64_t row, double* out) {
  if (a.drawn)
    std::copy_n(drawn_row(a, row), a.cols, out);
  else if (a.dtype == DType::kFloat32)
    std::copy_n(a.row_f32(row), a.cols, out);
  else
    std::copy_n(a.row_f64(row), a.cols, out);
}

double ordered_dot(const double* a, const double* b, int64_t d) {
  return kernels().ordered_dot(a, b, d);
}

std::vector<RowScale> row_scales(const MatrixView& a, const Rows& rows, Team& team) {
  std::vector<RowScale> scales(static_cast<size_t>(a.rows));
  std::vector<std::vector<double>> scratch(static_cast<size_t>(team.size()));
  for (auto& u : scratch) u.resize(static_cast<size_t>(a.cols));
  const int64_t grain = std::max<int64_t>(1, (int64_t{1} << 16) / a.cols);
  const int64_t n = rows.all() ? a.rows : rows.n;
  team.for_chunks(n, grain, [&](int64_t begin, int64_t end, int thread) {
    double* const u = scratch[static_cast<size_t>(thread)].data();
    for (int64_t i = begin; i < end; ++i) {
      const int64_t r = rows.row(i);
      scales[static_cast<size_t>(r)] = row_scale(a, r, u);
    }
  });
  return scales;
}

}  // namespace gtn
