// A borrowed, read-only view of a row-major matrix of float or double.
//
// The engine never owns, copies or writes its input: a row is read where the
// caller keeps it (a NumPy buffer, memory maps, one or several) and widened to double.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace gtn {

enum class DType : uint8_t { kFloat32, kFloat64 };

// A run of rows in one piece of memory.
struct MatrixPart {
  int64_t first_row = 0;
  const void* data = nullptr;
  int64_t row_stride = 0;  // in elements; at least cols
};

struct MatrixView {
  DType dtype = DType::kFloat32;
  int64_t rows = 0;
  int64_t cols = 0;
  MatrixPart all;                 // of one piece; empty with `parts` or where `drawn`
  std::vector<MatrixPart> parts;  // of several, first_row ascending from 0
  bool drawn = false;             // nowhere: row r is normal_row(seed, r), float
  uint64_t seed = 0;

  int64_t item_bytes() const { return dtype == DType::kFloat32 ? 4 : 8; }
  // Of a row that is somewhere (not drawn).
  const char* row(int64_t r) const {
    const MatrixPart& part = parts.empty() ? all : part_of(r);
    return static_cast<const char*>(part.data) +
           (r - part.first_row) * part.row_stride * item_bytes();
  }
  const float* row_f32(int64_t r) const { return reinterpret_cast<const float*>(row(r)); }
  const double* row_f64(int64_t r) const { return reinterpret_cast<const double*>(row(r)); }

 private:
  const MatrixPart& part_of(int64_t r) const {
    const auto after =
        std::upper_bound(parts.begin(), parts.end(), r,
                         [](int64_t row, const MatrixPart& part) { return row < part.first_row; });
    return *(after - 1);
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
