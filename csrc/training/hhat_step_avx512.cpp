#include <cstring>
#include <vector>

#include "training/hhat_step.h"

#define LANES 16  // floats a vector
#define ROWS 8    // of a product at once: their sums stay in registers

namespace gtn {
namespace {

#include "training/hhat_step.inc"

}  // namespace

float hhat_step_avx512(const HHatShape& shape, const HHatBatch& batch, float* work) {
  return Pass(shape, batch, work).run();
}

}  // namespace gtn
