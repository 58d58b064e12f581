// AVX-512 without VNNI: vpmaddubsw with 16-bit partial sums, codes of 7 bits each.
#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/kernels.h"

namespace gtn {
namespace {

#include "kernels/portable.inc"
#include "kernels/simd512.inc"

// 2 * (2 * 63) * 63 = 15876 a vpmaddubsw lane: two of them stay below 2^15. Longer
// chunks need coarser codes, whose wider bounds let more pairs through than the
// saved additions are worth (measured: 7 by 6 bits in chunks of four took twice the time).
constexpr int kXMax = 63, kYMax = 63, kChunk = 2;

// Two y's at a time keep their 16-bit sums in registers.
template <int NY, int NX, int FIRST>
[[gnu::always_inline]] inline void chunk(__m512i (&acc)[NY][NX], const uint8_t* const (&x)[NX],
                                         const int8_t* const (&y)[NY], int begin, int end) {
  constexpr int kPair = NY - FIRST < 2 ? NY - FIRST : 2;
  const __m512i ones = _mm512_set1_epi16(1);
  __m512i part[kPair][NX];
  unroll<kPair>([&](auto p) GTN_INLINE {
    unroll<NX>([&](auto g) GTN_INLINE { part[p][g] = _mm512_setzero_si512(); });
  });
  for (int s = begin; s < end; ++s) {
    unroll<kPair>([&](auto p) GTN_INLINE {
      const __m512i c = broadcast4(y[FIRST + p] + s * kStepDims);
      unroll<NX>([&](auto g) GTN_INLINE {
        part[p][g] = _mm512_add_epi16(part[p][g],
                                      _mm512_maddubs_epi16(_mm512_loadu_si512(x[g] + s * 64), c));
      });
    });
  }
  unroll<kPair>([&](auto p) GTN_INLINE {
    unroll<NX>([&](auto g) GTN_INLINE {
      acc[FIRST + p][g] = _mm512_add_epi32(acc[FIRST + p][g], _mm512_madd_epi16(part[p][g], ones));
    });
  });
}

template <int NY, int NX>
[[gnu::always_inline]] inline void accumulate(__m512i (&acc)[NY][NX], const uint8_t* const (&x)[NX],
                                              const int8_t* const (&y)[NY], int steps) {
  for (int begin = 0; begin < steps; begin += kChunk) {
    const int end = std::min(steps, begin + kChunk);
    chunk<NY, NX, 0>(acc, x, y, begin, end);
    if constexpr (NY > 2) chunk<NY, NX, 2>(acc, x, y, begin, end);
    if constexpr (NY > 4) chunk<NY, NX, 4>(acc, x, y, begin, end);
  }
}

#include "kernels/screen512.inc"
#include "kernels/sift512.inc"

}  // namespace

extern const Kernels kKernelsAvx512 = {
    .x_max = kXMax,
    .y_max = kYMax,
    .tile_y = 6,
    .panel_bytes = 48 * 1024,
    .sift_cost = 1.4,
    GTN_PORTABLE_KERNELS,
    .ordered_dot_group = dot_group512,
    .screen = screen512,
    .sift = sift512,
};

}  // namespace gtn
