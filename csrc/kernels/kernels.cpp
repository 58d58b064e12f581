#include "kernels/kernels.h"

#include <algorithm>

#include "kernels/levels.h"

namespace gtn {

int32_t Kernels::panel_groups(int32_t steps) const {
  return std::clamp<int32_t>(panel_bytes / (steps * 64), 4, 128) & ~3;
}

const Kernels& kernels() { return *simd_active().kernels; }

}  // namespace gtn
