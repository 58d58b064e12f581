#include "strategies/screen_layout.h"

#include <algorithm>

#include "gtn_fast/parallel.h"

namespace gtn {
namespace {

constexpr int64_t kEvenFrame = 2048;

std::vector<uint32_t> free_items(const FreeItems& items) {
  std::vector<uint32_t> out;
  for (int64_t i = 0; i < items.count(); ++i)
    if (items.free(static_cast<uint32_t>(i))) out.push_back(static_cast<uint32_t>(i));
  return out;
}

}  // namespace

Layout make_layout(const Problem&, const FreeItems& items, Team&) {
  Layout layout;
  layout.items = free_items(items);
  const int64_t n = static_cast<int64_t>(layout.items.size());
  for (int64_t begin = 0; begin < n; begin += kEvenFrame) layout.frame_begin.push_back(begin);
  layout.frame_begin.push_back(n);
  return layout;
}

}  // namespace gtn
