// AVX2: vpmaddubsw with 16-bit partial sums, codes of 7 bits each.
#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/kernels.h"

namespace gtn {
namespace {

#include "kernels/portable.inc"
#include "kernels/simd256.inc"

// 2 * (2 * 63) * 63 = 15876 a vpmaddubsw lane: two of them stay below 2^15. Longer
// chunks need coarser codes, whose wider bounds let more pairs through than the
// saved additions are worth (measured: 7 by 6 bits in chunks of four took twice the time).
constexpr int kXMax = 63, kYMax = 63, kChunk = 2;

template <int NY, int STEPS>
[[gnu::always_inline]] inline void chunk(__m256i (&acc)[NY][2], const uint8_t* x,
                                         const int8_t* const* y, int first) {
  __m256i part[NY][2];
  unroll<STEPS>([&](auto s) GTN_INLINE {
    const __m256i* xs = reinterpret_cast<const __m256i*>(x + (first + s) * 64);
    const __m256i x0 = _mm256_loadu_si256(xs);
    const __m256i x1 = _mm256_loadu_si256(xs + 1);
    unroll<NY>([&](auto j) GTN_INLINE {
      const __m256i c = broadcast4(y[j] + (first + s) * kStepDims);
      const __m256i p0 = _mm256_maddubs_epi16(x0, c);
      const __m256i p1 = _mm256_maddubs_epi16(x1, c);
      part[j][0] = s == 0 ? p0 : _mm256_add_epi16(part[j][0], p0);
      part[j][1] = s == 0 ? p1 : _mm256_add_epi16(part[j][1], p1);
    });
  });
  const __m256i ones = _mm256_set1_epi16(1);
  unroll<NY>([&](auto j) GTN_INLINE {
    unroll<2>([&](auto h) GTN_INLINE {
      acc[j][h] = _mm256_add_epi32(acc[j][h], _mm256_madd_epi16(part[j][h], ones));
    });
  });
}

template <int NY>
[[gnu::always_inline]] inline void accumulate(__m256i (&acc)[NY][2], const uint8_t* x,
                                              const int8_t* const* y, int steps) {
  int s = 0;
  for (; s + kChunk <= steps; s += kChunk) chunk<NY, kChunk>(acc, x, y, s);
  if (s < steps) chunk<NY, 1>(acc, x, y, s);
}

#include "kernels/screen256.inc"
#include "kernels/sift256.inc"

}  // namespace

extern const Kernels kKernelsAvx2 = {
    .x_max = kXMax,
    .y_max = kYMax,
    .tile_y = 6,
    .panel_bytes = 48 * 1024,
    .sift_cost = 1.6,
    GTN_PORTABLE_KERNELS,
    .ordered_dot_group = dot_group256,
    .screen = screen256,
    .sift = sift256,
};

}  // namespace gtn
