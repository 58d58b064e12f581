#include <cstring>
#include <vector>

#include "training/hhat_step.h"

#define LANES 8  // floats a vector
#define ROWS 4   // of a product at once: their sums stay in registers

namespace gtn {
namespace {

#include "training/hhat_step.inc"

}  // namespace

float hhat_step_avx2(const HHatShape& shape, const HHatBatch& batch, float* work) {
  return Pass(shape, batch, work).run();
}

}  // namespace gtn
