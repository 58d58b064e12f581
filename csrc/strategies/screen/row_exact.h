// Exact values of one y, from X's stored rows.
#pragma once

#include <algorithm>
#include <cstdint>

#include "gtn_fast/match.h"
#include "kernels/kernels.h"
#include "strategies/common/free_items.h"
#include "strategies/screen/shortlist.h"

namespace gtn {

inline void prefetch_row(const Problem& problem, uint32_t row) {
  const MatrixView& x = problem.x;
  __builtin_prefetch(&problem.x_scale[row]);
  const char* p = x.row(row);
  const int64_t size = x.cols * x.item_bytes();
  for (int64_t b = 0; b < std::min<int64_t>(size, 512); b += 64) __builtin_prefetch(p + b);
}

// For a walk over items in any order: asks for the row of one that comes soon, and for the number
// of the row of one that comes later, so that neither is waited for.
inline void prefetch_walk(const Problem& problem, const FreeItems& items, const uint32_t* order,
                          size_t i, size_t n) {
  constexpr size_t kSoon = 8, kLater = 20;
  if (i + kLater < n) __builtin_prefetch(&problem.x_by_norm[items.any_rank(order[i + kLater])]);
  if (i + kSoon < n) prefetch_row(problem, x_row(problem, items, order[i + kSoon]));
}

class RowExact final : public Exact {
 public:
  RowExact(const Problem& problem, const FreeItems& items, const Kernels& kernels,
           const double* point, int64_t& count)
      : problem_(problem), items_(items), kernels_(kernels), y_(point), count_(count) {}

  double cosine(uint32_t item) override {
    ++count_;
    const MatrixView& x = problem_.x;
    const uint32_t row = row_of(item);
    if (problem_.by_distance())
      return x.dtype == DType::kFloat32 ? kernels_.nearness_f32(y_, x.row_f32(row), x.cols)
                                        : kernels_.nearness_f64(y_, x.row_f64(row), x.cols);
    const RowScale& scale = problem_.x_scale[row];
    if (scale.zero()) return 0.0;
    return x.dtype == DType::kFloat32
               ? kernels_.cosine_f32(y_, x.row_f32(row), scale.max_abs, scale.inner, x.cols)
               : kernels_.cosine_f64(y_, x.row_f64(row), scale.max_abs, scale.inner, x.cols);
  }

  void prefetch(uint32_t item) override { prefetch_row(problem_, row_of(item)); }

  uint32_t head(uint32_t item) const override { return items_.head(item); }

 private:
  uint32_t row_of(uint32_t item) const { return x_row(problem_, items_, item); }

  const Problem& problem_;
  const FreeItems& items_;
  const Kernels& kernels_;
  const double* y_;
  int64_t& count_;
};

}  // namespace gtn
