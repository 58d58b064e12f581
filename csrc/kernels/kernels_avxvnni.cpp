// AVX-VNNI: the 256-bit vpdpbusd of CPUs without AVX-512.
#include <immintrin.h>

#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/kernels.h"

namespace gtn {
namespace {

#include "kernels/portable.inc"
#include "kernels/simd256.inc"

// Spelled out because GCC 12 copies every accumulator around the intrinsic.
[[gnu::always_inline]] inline void dot_add(__m256i& acc, __m256i x, __m256i c) {
#if defined(GTN_EMULATED)
  acc = _mm256_dpbusd_avx_epi32(acc, x, c);
#else
  __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(x), "x"(c));
#endif
}

template <int NY>
[[gnu::always_inline]] inline void accumulate(__m256i (&acc)[NY][2], const uint8_t* x,
                                              const int8_t* const* y, int steps) {
  for (int s = 0; s < steps; ++s) {
    const __m256i* xs = reinterpret_cast<const __m256i*>(x + s * 64);
    const __m256i x0 = _mm256_loadu_si256(xs);
    const __m256i x1 = _mm256_loadu_si256(xs + 1);
    unroll<NY>([&](auto j) GTN_INLINE {
      const __m256i c = broadcast4(y[j] + s * kStepDims);
      dot_add(acc[j][0], x0, c);
      dot_add(acc[j][1], x1, c);
    });
  }
}

#include "kernels/screen256.inc"
#include "kernels/sift256.inc"

}  // namespace

extern const Kernels kKernelsAvxVnni = {
    .x_max = 127,
    .y_max = 127,
    .tile_y = 6,
    .panel_bytes = 48 * 1024,
    .sift_cost = 1.6,
    GTN_PORTABLE_KERNELS,
    .ordered_dot_group = dot_group256,
    .screen = screen256,
    .sift = sift256,
};

}  // namespace gtn
