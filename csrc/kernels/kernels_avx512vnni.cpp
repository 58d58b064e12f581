// AVX-512 with VNNI: vpdpbusd adds 64 products of 8-bit codes an instruction.
#include <immintrin.h>

#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/kernels.h"

namespace gtn {
namespace {

#include "kernels/portable.inc"
#include "kernels/simd512.inc"

// Spelled out because GCC 12 copies every accumulator around the intrinsic.
[[gnu::always_inline]] inline void dot_add(__m512i& acc, __m512i x, __m512i c) {
#if defined(GTN_EMULATED)
  acc = _mm512_dpbusd_epi32(acc, x, c);
#else
  __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(c));
#endif
}

template <int NY, int NX>
[[gnu::always_inline]] inline void step(__m512i (&acc)[NY][NX], const uint8_t* const (&x)[NX],
                                        const int8_t* const (&y)[NY], int s) {
  __m512i xs[NX];
  unroll<NX>([&](auto g) GTN_INLINE { xs[g] = _mm512_loadu_si512(x[g] + s * 64); });
  unroll<NY>([&](auto j) GTN_INLINE {
    const __m512i c = broadcast4(y[j] + s * kStepDims);
    unroll<NX>([&](auto g) GTN_INLINE { dot_add(acc[j][g], xs[g], c); });
  });
}

// Four steps a round: one a round takes 19 % more time at d = 32, 11 % at 64, 5 % at 128
// (Zen 4), which then are at the rate of vpdpbusd itself.
template <int NY, int NX>
[[gnu::always_inline]] inline void accumulate(__m512i (&acc)[NY][NX], const uint8_t* const (&x)[NX],
                                              const int8_t* const (&y)[NY], int steps) {
  int s = 0;
  for (; s + 4 <= steps; s += 4)
    unroll<4>([&](auto k) GTN_INLINE { step<NY, NX>(acc, x, y, s + k); });
  for (; s < steps; ++s) step<NY, NX>(acc, x, y, s);
}

#include "kernels/screen512.inc"

}  // namespace

extern const Kernels kKernelsAvx512Vnni = {
    .x_max = 127,
    .y_max = 127,
    .tile_y = 6,
    .panel_bytes = 48 * 1024,
    GTN_PORTABLE_KERNELS,
    .ordered_dot_group = dot_group512,
    .screen = screen512,
};

}  // namespace gtn
