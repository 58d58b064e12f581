#include "gtn_fast/order.h"

#include <bit>

#include "gtn_fast/parallel.h"
#include "radix.h"

namespace gtn {

std::vector<uint32_t> norm_order(const std::vector<RowScale>& scales, Team& team) {
  const int64_t n = static_cast<int64_t>(scales.size());
  std::unique_ptr<uint64_t[]> keys = uninitialized<uint64_t>(n);
  team.for_chunks(n, 1 << 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i)
      keys[i] = std::bit_cast<uint64_t>(scales[static_cast<size_t>(i)].norm());
  });
  return stable_order(keys.get(), n, team);
}

}  // namespace gtn
