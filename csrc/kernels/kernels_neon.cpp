// NEON as every ARM CPU of 64 bits has it: widening multiplications with 16-bit partial sums,
// codes of 7 bits each.
#include <arm_neon.h>

#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/kernels.h"

namespace gtn {
namespace {

#include "kernels/portable.inc"
#include "kernels/simd128.inc"

// 4 * (2 * 63) * 63 = 31752: so many products stay below 2^15.
constexpr int kXMax = 63, kYMax = 63, kChunk = 4;
constexpr int kVectors = 2;

inline int32_t offset_of(const int8_t*, int) { return 0; }

// STEPS steps of four x's in `vector` and NY y's. A sum of a step's four products is in two
// parts, side by side.
template <int NY, int STEPS>
[[gnu::always_inline]] inline void chunk(int32x4_t (&parts)[NY][kVectors][2], const uint8_t* x,
                                         const int8_t* const (&y)[NY], int first) {
  int8x16_t c[NY][STEPS];
  unroll<NY>([&](auto j) GTN_INLINE {
    const int32x4_t codes = vreinterpretq_s32_s8(vld1q_s8(y[j] + first * kStepDims));
    unroll<STEPS>([&](auto s) GTN_INLINE {
      c[j][s] = vreinterpretq_s8_s32(vdupq_laneq_s32(codes, decltype(s)::value));
    });
  });
  unroll<kVectors>([&](auto v) GTN_INLINE {
    int16x8_t low[NY], high[NY];
    unroll<STEPS>([&](auto s) GTN_INLINE {
      const int8x16_t xs = vreinterpretq_s8_u8(vld1q_u8(x + (first + s) * 64 + v * 16));
      unroll<NY>([&](auto j) GTN_INLINE {
        const int8x8_t x_low = vget_low_s8(xs), c_low = vget_low_s8(c[j][s]);
        low[j] = s == 0 ? vmull_s8(x_low, c_low) : vmlal_s8(low[j], x_low, c_low);
        high[j] = s == 0 ? vmull_high_s8(xs, c[j][s]) : vmlal_high_s8(high[j], xs, c[j][s]);
      });
    });
    unroll<NY>([&](auto j) GTN_INLINE {
      parts[j][v][0] = vpadalq_s16(parts[j][v][0], low[j]);
      parts[j][v][1] = vpadalq_s16(parts[j][v][1], high[j]);
    });
  });
}

template <int NY>
[[gnu::always_inline]] inline void accumulate(int32x4_t (&acc)[NY][kVectors], const int32_t* bias,
                                              const int32_t (&start)[NY], const uint8_t* x,
                                              const int8_t* const (&y)[NY], int steps) {
  int32x4_t parts[NY][kVectors][2];
  unroll<NY>([&](auto j) GTN_INLINE {
    unroll<kVectors>([&](auto v) GTN_INLINE { parts[j][v][0] = parts[j][v][1] = vdupq_n_s32(0); });
  });
  int s = 0;
  for (; s + kChunk <= steps; s += kChunk) chunk<NY, kChunk>(parts, x, y, s);
  // y's codes go on in zeros, x's do not go on.
  if (steps - s == 3) chunk<NY, 3>(parts, x, y, s);
  if (steps - s == 2) chunk<NY, 2>(parts, x, y, s);
  if (steps - s == 1) chunk<NY, 1>(parts, x, y, s);
  unroll<kVectors>([&](auto v) GTN_INLINE {
    const int32x4_t b = vld1q_s32(bias + 4 * v);
    unroll<NY>([&](auto j) GTN_INLINE {
      acc[j][v] = vaddq_s32(vaddq_s32(b, vdupq_n_s32(start[j])),
                            vpaddq_s32(parts[j][v][0], parts[j][v][1]));
    });
  });
}

#include "kernels/screen128.inc"

// Three y's by half a group: all sums and products stay in registers.
int screen_neon(const ScreenPanel& panel, const int8_t* y, const int32_t* threshold, int n_y,
                Hit* hits) {
  int n_hits = 0;
  int j = 0;
  for (; j + 3 <= n_y; j += 3) n_hits += screen_rows<3>(panel, y, threshold + j, j, hits + n_hits);
  if (n_y - j == 2)
    n_hits += screen_rows<2>(panel, y, threshold + j, j, hits + n_hits);
  else if (n_y - j == 1)
    n_hits += screen_rows<1>(panel, y, threshold + j, j, hits + n_hits);
  return n_hits;
}

#include "kernels/sift_portable.inc"

}  // namespace

extern const Kernels kKernelsNeon = {
    .x_max = kXMax,
    .y_max = kYMax,
    .tile_y = 6,
    .panel_bytes = 48 * 1024,
    .sift_cost = 8.0,
    GTN_PORTABLE_KERNELS,
    .ordered_dot_group = dot_group128,
    .screen = screen_neon,
    .sift = sift_portable,
};

}  // namespace gtn
