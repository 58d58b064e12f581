#include "kernels/kernels.h"

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
#endif
    default:
      return kKernelsScalar;
  }
}

const Kernels& kernels() { return kernels(simd_active()); }

}  // namespace gtn
