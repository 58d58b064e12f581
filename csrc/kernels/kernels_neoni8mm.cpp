// NEON with products of matrices: usmmla adds the products of 2 x's, 2 y's and 8 dimensions of
// 8-bit codes, unsigned by signed.
#include <arm_neon.h>

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/kernels.h"

namespace gtn {
namespace {

#include "kernels/portable.inc"
#include "kernels/simd128.inc"

constexpr int kTileY = 8;
constexpr int kXPairs = 4;  // of x's that a tile takes: half a group
constexpr int kPackedSteps = 128;

// Codes of y's 2p and 2p + 1, two steps of each: a register that usmmla multiplies. Rows of up
// to kPackedSteps are laid out like that once a call, longer ones at every use.
template <int NP>
struct PairsOfY {
  const int8_t* y[NP][2];  // of an odd number of y's the last one stands there twice
  alignas(64) int8_t packed[kPackedSteps / 2 * NP * 16];

  PairsOfY(const int8_t* codes, int64_t stride, int n_y, int64_t steps) {
    for (int p = 0; p < NP; ++p)
      for (int h = 0; h < 2; ++h) y[p][h] = codes + std::min(2 * p + h, n_y - 1) * stride;
    if (steps > kPackedSteps) return;
    for (int64_t s = 0; s < steps; s += 2)
      unroll<NP>([&](auto p) GTN_INLINE { vst1q_s8(packed + s * (NP * 8) + p * 16, pair(p, s)); });
  }

  [[gnu::always_inline]] int8x16_t pair(int p, int64_t s) const {
    return vcombine_s8(vld1_s8(y[p][0] + s * kStepDims), vld1_s8(y[p][1] + s * kStepDims));
  }

  template <bool PACKED>
  [[gnu::always_inline]] int8x16_t at(int p, int64_t s) const {
    return PACKED ? vld1q_s8(packed + s * (NP * 8) + p * 16) : pair(p, s);
  }
};

// Steps s and s + 1 of the tile whose first x's codes are at x; WHOLE: there is a step s + 1.
template <int NP, bool PACKED, bool WHOLE>
[[gnu::always_inline]] inline void two_steps(int32x4_t (&acc)[NP][kXPairs], const uint8_t* x,
                                             const PairsOfY<NP>& ys, int64_t s) {
  uint8x16_t xs[kXPairs];
  unroll<kXPairs / 2>([&](auto v) GTN_INLINE {
    const uint32x4_t a = vreinterpretq_u32_u8(vld1q_u8(x + s * 64 + v * 16));
    const uint32x4_t b =
        WHOLE ? vreinterpretq_u32_u8(vld1q_u8(x + (s + 1) * 64 + v * 16)) : vdupq_n_u32(0);
    xs[2 * v] = vreinterpretq_u8_u32(vzip1q_u32(a, b));
    xs[2 * v + 1] = vreinterpretq_u8_u32(vzip2q_u32(a, b));
  });
  unroll<NP>([&](auto p) GTN_INLINE {
    const int8x16_t c = ys.template at<PACKED>(p, s);
    unroll<kXPairs>([&](auto q) GTN_INLINE { acc[p][q] = vusmmlaq_s32(acc[p][q], xs[q], c); });
  });
}

// Sum 2 a + b of a register is of x 2 q + a and y 2 p + b. On its own, so that what it needs is not
// kept at hand while sums are made.
[[gnu::noinline]] int collect(const int32_t* sums, const int32_t* threshold, int n_y, int first_x,
                              Hit* hits) {
  int n_hits = 0;
  for (int j = 0; j < n_y; ++j)
    for (int x = 0; x < 2 * kXPairs; ++x) {
      const int32_t sum = sums[((j / 2 * kXPairs + x / 2) * 2 + x % 2) * 2 + j % 2];
      if (sum >= 0)
        hits[n_hits++] = {static_cast<uint16_t>(j), static_cast<uint16_t>(first_x + x),
                          sum + threshold[j]};
    }
  return n_hits;
}

template <int NP, bool PACKED>
int screen_tile(const ScreenPanel& panel, int first_x, const PairsOfY<NP>& ys,
                const int32x4_t (&start)[NP], const int32_t* threshold, int n_y, Hit* hits) {
  const int64_t steps = panel.steps;
  const uint8_t* x = panel.codes + first_x / kGroup * steps * 64 + first_x % kGroup * kStepDims;
  int32x4_t acc[NP][kXPairs];
  unroll<kXPairs / 2>([&](auto v) GTN_INLINE {
    const int32x4_t bias = vld1q_s32(panel.bias + first_x + 4 * v);
    unroll<NP>([&](auto p) GTN_INLINE {
      acc[p][2 * v] = vaddq_s32(vzip1q_s32(bias, bias), start[p]);
      acc[p][2 * v + 1] = vaddq_s32(vzip2q_s32(bias, bias), start[p]);
    });
  });
  int64_t s = 0;
  for (; s + 2 <= steps; s += 2) two_steps<NP, PACKED, true>(acc, x, ys, s);
  if (s < steps) two_steps<NP, PACKED, false>(acc, x, ys, s);
  int32x4_t all = acc[0][0];
  unroll<NP>([&](auto p) GTN_INLINE {
    unroll<kXPairs>([&](auto q) GTN_INLINE { all = vandq_s32(all, acc[p][q]); });
  });
  if (all_negative(all)) [[likely]]
    return 0;
  int32_t sums[NP * kXPairs * 4];
  unroll<NP>([&](auto p) GTN_INLINE {
    unroll<kXPairs>([&](auto q) GTN_INLINE { vst1q_s32(sums + (p * kXPairs + q) * 4, acc[p][q]); });
  });
  return collect(sums, threshold, n_y, first_x, hits);
}

template <int NP>
int screen_rows(const ScreenPanel& panel, const int8_t* y, const int32_t* threshold, int n_y,
                Hit* hits) {
  const PairsOfY<NP> ys(y, code_stride(panel.steps), n_y, panel.steps);
  int32x4_t start[NP];
  unroll<NP>([&](auto p) GTN_INLINE {
    const int32_t one = -threshold[2 * p], other = -threshold[std::min(2 * p + 1, n_y - 1)];
    const int32_t both[4] = {one, other, one, other};
    start[p] = vld1q_s32(both);
  });
  int n_hits = 0;
  const bool packed = panel.steps <= kPackedSteps;
  for (int x = 0; x < panel.groups * kGroup; x += 2 * kXPairs)
    n_hits += packed ? screen_tile<NP, true>(panel, x, ys, start, threshold, n_y, hits + n_hits)
                     : screen_tile<NP, false>(panel, x, ys, start, threshold, n_y, hits + n_hits);
  return n_hits;
}

int screen_neoni8mm(const ScreenPanel& panel, const int8_t* y, const int32_t* threshold, int n_y,
                    Hit* hits) {
  switch ((n_y + 1) / 2) {
    case 1:
      return screen_rows<1>(panel, y, threshold, n_y, hits);
    case 2:
      return screen_rows<2>(panel, y, threshold, n_y, hits);
    case 3:
      return screen_rows<3>(panel, y, threshold, n_y, hits);
    default:
      return screen_rows<4>(panel, y, threshold, n_y, hits);
  }
}

#include "kernels/sift_portable.inc"

}  // namespace

extern const Kernels kKernelsNeonI8mm = {
    .x_max = 127,
    .y_max = 127,
    .tile_y = kTileY,
    .panel_bytes = 48 * 1024,
    .sift_cost = 27.0,
    GTN_PORTABLE_KERNELS,
    .ordered_dot_group = dot_group128,
    .screen = screen_neoni8mm,
    .sift = sift_portable,
};

}  // namespace gtn
