// One batch through ĥ and back, one table of functions for all instruction sets.
#pragma once

#include "gtn_fast/hhat.h"
#include "kernels/cpu.h"

namespace gtn {

// What the files of all instruction sets use is inlined always: the linker would keep one copy.

// Values lie feature by feature, each feature's rows side by side, up to whole vectors; what
// is behind the rows does not matter.
constexpr int64_t kHHatPad = 32;

[[gnu::always_inline]] inline int64_t hhat_stride(int64_t rows) {
  return (rows + kHHatPad - 1) / kHHatPad * kHHatPad;
}

// Floats of working memory: every layer's input and activation, mean and 1 / deviation, two
// gradients, a layer's input as rows, a weight's gradient.
[[gnu::always_inline]] inline int64_t hhat_work(const HHatShape& shape, int64_t rows) {
  const int64_t widest = shape.widest();
  return (2 * (shape.layers + 1) + 2) * widest * hhat_stride(rows) + 2 * shape.layers * widest +
         (rows + widest) * hhat_stride(widest + 1);
}

using HHatStep = float (*)(const HHatShape& shape, const HHatBatch& batch, float* work);

HHatStep hhat_step(Simd level);

float hhat_step_scalar(const HHatShape& shape, const HHatBatch& batch, float* work);
#if GTN_X86
float hhat_step_avx2(const HHatShape& shape, const HHatBatch& batch, float* work);
float hhat_step_avx512(const HHatShape& shape, const HHatBatch& batch, float* work);
#endif

}  // namespace gtn
