// A borrowed, read-only view of a row-major matrix of float or double.
//
// The engine never owns, copies or writes its input: a row is read where the
// caller keeps it (a NumPy buffer, a memory map) and widened to double.
#pragma once

#include <cstdint>

namespace gtn {

enum class DType : uint8_t { kFloat32, kFloat64 };

struct MatrixView {
  const void* data = nullptr;
  DType dtype = DType::kFloat32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t row_stride = 0;  // in elements; at least cols

  const float* row_f32(int64_t r) const { return static_cast<const float*>(data) + r * row_stride; }
  const double* row_f64(int64_t r) const {
    return static_cast<const double*>(data) + r * row_stride;
  }
  double at(int64_t r, int64_t c) const {
    return dtype == DType::kFloat32 ? static_cast<double>(row_f32(r)[c]) : row_f64(r)[c];
  }
};

// Which rows take part: all, or `n` of them, ascending. What was matched already need not
// be copied away: pairs of the answer can be left out on both sides, the rest stays the same.
struct Rows {
  const uint32_t* rows = nullptr;  // null: all
  int64_t n = 0;
  bool all() const { return rows == nullptr; }
  int64_t row(int64_t i) const { return rows ? int64_t{rows[i]} : i; }
};

}  // namespace gtn
