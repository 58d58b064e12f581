#include "gtn_fast/order.h"

#include <bit>

#include "engine/radix.h"
#include "gtn_fast/parallel.h"

namespace gtn {

std::vector<uint32_t> norm_order(const std::vector<RowScale>& scales, const Rows& rows,
                                 Team& team) {
  const int64_t n = rows.all() ? static_cast<int64_t>(scales.size()) : rows.n;
  std::unique_ptr<uint64_t[]> keys = uninitialized<uint64_t>(n);
  team.for_chunks(n, 1 << 14, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i)
      keys[i] = std::bit_cast<uint64_t>(scales[static_cast<size_t>(rows.row(i))].norm());
  });
  std::vector<uint32_t> order = stable_order(keys.get(), n, team);
  if (!rows.all())
    for (uint32_t& row : order) row = rows.rows[row];
  return order;
}

}  // namespace gtn
