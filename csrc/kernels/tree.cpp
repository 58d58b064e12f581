#include "kernels/tree.h"

namespace gtn {

TreeSearch tree_search(Simd level, int64_t d) {
#if GTN_X86
  if (level >= Simd::kAvx512) return kTreeSearchAvx512[d];
  if (level >= Simd::kAvx2) return kTreeSearchAvx2[d];
#else
  (void)level;
#endif
  return kTreeSearchScalar[d];
}

}  // namespace gtn
