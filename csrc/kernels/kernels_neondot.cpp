// NEON with dot products: sdot adds 16 products of signed 8-bit codes an instruction.
//
// Codes of x's are unsigned. With its top bit turned around, code c is c - 128 as a signed byte:
// (c - 128) * y falls short of c * y by 128 y, which is added to a y's sums at their start.
#include <arm_neon.h>

#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/kernels.h"

namespace gtn {
namespace {

#include "kernels/portable.inc"
#include "kernels/simd128.inc"

constexpr int kVectors = 2;

// 128 times the sum of a y's codes.
inline int32_t offset_of(const int8_t* y, int steps) {
  int32x4_t sum = vdupq_n_s32(0);  // of -128 times them: 128 is no signed byte
  for (int s = 0; s < steps; s += 4)
    sum = vdotq_s32(sum, vld1q_s8(y + s * kStepDims), vdupq_n_s8(-128));
  return -vaddvq_s32(sum);
}

// Step `first` + STEP. A y's codes for four steps are in one register.
template <int STEP, int NY>
[[gnu::always_inline]] inline void step(int32x4_t (&acc)[NY][kVectors], const uint8_t* x,
                                        const int8x16_t (&c)[NY], int first) {
  unroll<kVectors>([&](auto v) GTN_INLINE {
    const uint8x16_t codes = vld1q_u8(x + (first + STEP) * 64 + v * 16);
    const int8x16_t xs = vreinterpretq_s8_u8(veorq_u8(codes, vdupq_n_u8(0x80)));
    unroll<NY>([&](auto j) GTN_INLINE { acc[j][v] = vdotq_laneq_s32(acc[j][v], xs, c[j], STEP); });
  });
}

template <int NY>
[[gnu::always_inline]] inline void accumulate(int32x4_t (&acc)[NY][kVectors], const int32_t* bias,
                                              const int32_t (&start)[NY], const uint8_t* x,
                                              const int8_t* const (&y)[NY], int steps) {
  unroll<kVectors>([&](auto v) GTN_INLINE {
    const int32x4_t b = vld1q_s32(bias + 4 * v);
    unroll<NY>([&](auto j) GTN_INLINE { acc[j][v] = vaddq_s32(b, vdupq_n_s32(start[j])); });
  });
  int8x16_t c[NY];
  int s = 0;
  for (; s + 4 <= steps; s += 4) {
    unroll<NY>([&](auto j) GTN_INLINE { c[j] = vld1q_s8(y[j] + s * kStepDims); });
    unroll<4>([&](auto k) GTN_INLINE { step<decltype(k)::value, NY>(acc, x, c, s); });
  }
  if (s == steps) return;
  // y's codes go on in zeros, x's do not go on.
  unroll<NY>([&](auto j) GTN_INLINE { c[j] = vld1q_s8(y[j] + s * kStepDims); });
  step<0, NY>(acc, x, c, s);
  if (steps - s > 1) step<1, NY>(acc, x, c, s);
  if (steps - s > 2) step<2, NY>(acc, x, c, s);
}

#include "kernels/screen128.inc"

// Eight y's by half a group: 16 registers of sums, 8 of y's codes, 2 of x's. Each register of
// x's, turned around, serves eight instructions.
int screen_neondot(const ScreenPanel& panel, const int8_t* y, const int32_t* threshold, int n_y,
                   Hit* hits) {
  switch (n_y) {
    case 1:
      return screen_rows<1>(panel, y, threshold, 0, hits);
    case 2:
      return screen_rows<2>(panel, y, threshold, 0, hits);
    case 3:
      return screen_rows<3>(panel, y, threshold, 0, hits);
    case 4:
      return screen_rows<4>(panel, y, threshold, 0, hits);
    case 5:
      return screen_rows<5>(panel, y, threshold, 0, hits);
    case 6:
      return screen_rows<6>(panel, y, threshold, 0, hits);
    case 7:
      return screen_rows<7>(panel, y, threshold, 0, hits);
    default:
      return screen_rows<8>(panel, y, threshold, 0, hits);
  }
}

#include "kernels/sift_portable.inc"

}  // namespace

extern const Kernels kKernelsNeonDot = {
    .x_max = 127,
    .y_max = 127,
    .tile_y = 8,
    .panel_bytes = 48 * 1024,
    .sift_cost = 20.0,
    GTN_PORTABLE_KERNELS,
    .ordered_dot_group = dot_group128,
    .screen = screen_neondot,
    .sift = sift_portable,
};

}  // namespace gtn
