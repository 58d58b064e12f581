#include "kernels/kernels.h"

#include <algorithm>

namespace gtn {

const Kernels& kernels(Simd level) {
  switch (level) {
#if GTN_X86
    case Simd::kAvx2:
      return kKernelsAvx2;
    case Simd::kAvxVnni:
      return kKernelsAvxVnni;
    case Simd::kAvx512:
      return kKernelsAvx512;
    case Simd::kAvx512Vnni:
      return kKernelsAvx512Vnni;
    case Simd::kAmx:
      return kKernelsAmx;
#endif
    default:
      return kKernelsScalar;
  }
}

int32_t Kernels::panel_groups(int32_t steps) const {
  return std::clamp<int32_t>(panel_bytes / (steps * 64), 4, 128) & ~3;
}

const Kernels& kernels() { return kernels(simd_active()); }

}  // namespace gtn
