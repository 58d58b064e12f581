#include "gtn_fast/hhat.h"

#include "training/hhat_step.h"

namespace gtn {

int64_t HHatShape::parameters() const {
  int64_t n = 0;
  for (int64_t layer = 0; layer <= layers; ++layer)
    n += outputs(layer) * (inputs(layer) + 1) + (layer < norms ? 2 * width : 0);
  return n;
}

HHatStep hhat_step(Simd level) {
#if GTN_X86
  if (level >= Simd::kAvx512) return hhat_step_avx512;
  if (level >= Simd::kAvx2) return hhat_step_avx2;
#else
  (void)level;
#endif
  return hhat_step_scalar;
}

float HHatGradient::operator()(const HHatBatch& batch) {
  const size_t needed = static_cast<size_t>(hhat_work(shape_, batch.rows));
  if (work_.size() < needed) work_.resize(needed);
  return hhat_step(simd_active())(shape_, batch, work_.data());
}

}  // namespace gtn
