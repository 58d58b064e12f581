// Rows by norm lie anywhere in memory: a loop over them asks for those that it will come to.
#pragma once

#include <cstdint>
#include <vector>

#include "gtn_fast/direction.h"
#include "gtn_fast/matrix.h"

namespace gtn {

constexpr int64_t kRowsAhead = 16;

// To be called at `rank`, for the row of rank + kRowsAhead and its scale.
inline void fetch_ahead(const MatrixView& a, const std::vector<RowScale>& scale,
                        const std::vector<uint32_t>& by_norm, int64_t rank) {
  const size_t ahead = static_cast<size_t>(rank + kRowsAhead);
  if (ahead >= by_norm.size()) return;
  __builtin_prefetch(&scale[by_norm[ahead]]);
  if (!a.drawn && a.parts.empty()) __builtin_prefetch(a.row(by_norm[ahead]));
}

}  // namespace gtn
