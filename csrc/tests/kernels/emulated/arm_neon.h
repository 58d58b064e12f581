// The intrinsics of NEON that kernels use, as plain C++ with their meaning. A kernel's own source,
// compiled with this folder before the compiler's headers, runs on any CPU.
#pragma once

#include <algorithm>

#include "tests/kernels/emulated/vector.h"

// The tables of functions that come of it.
#define kKernelsNeon kEmulatedNeon
#define kKernelsNeonDot kEmulatedNeonDot
#define kKernelsNeonI8mm kEmulatedNeonI8mm

using int8x8_t = gtn::emulated::Vector<int8_t, 8>;
using int8x16_t = gtn::emulated::Vector<int8_t, 16>;
using uint8x16_t = gtn::emulated::Vector<uint8_t, 16>;
using int16x8_t = gtn::emulated::Vector<int16_t, 8>;
using int32x4_t = gtn::emulated::Vector<int32_t, 4>;
using uint32x4_t = gtn::emulated::Vector<uint32_t, 4>;
using uint64x2_t = gtn::emulated::Vector<uint64_t, 2>;
using float64x2_t = gtn::emulated::DoublesOf<2>;

namespace gtn::emulated {

// Lanes `first` and on of a and b, by turns.
template <class V>
V zipped(const V& a, const V& b, int first) {
  return by_lane<V>(
      [&](int i) { return i % 2 == 0 ? a.lane[first + i / 2] : b.lane[first + i / 2]; });
}

// Products of bytes `first` and on, onto 16-bit sums.
inline int16x8_t products(const int16x8_t& sum, const int8_t* a, const int8_t* b) {
  return by_lane<int16x8_t>([&](int i) { return static_cast<int16_t>(sum.lane[i] + a[i] * b[i]); });
}

// Four products a lane onto 32-bit sums; b's four bytes are those of lane which(i).
template <class F>
int32x4_t dots(const int32x4_t& sum, const int8x16_t& a, const int8x16_t& b, const F& which) {
  return by_lane<int32x4_t>([&](int i) {
    int64_t out = sum.lane[i];
    for (int k = 0; k < 4; ++k) out += a.lane[4 * i + k] * b.lane[4 * which(i) + k];
    return wrapped(out);
  });
}

}  // namespace gtn::emulated

// Loads and stores.
inline int8x8_t vld1_s8(const int8_t* p) { return gtn::emulated::loaded<int8x8_t>(p); }
inline int8x16_t vld1q_s8(const int8_t* p) { return gtn::emulated::loaded<int8x16_t>(p); }
inline uint8x16_t vld1q_u8(const uint8_t* p) { return gtn::emulated::loaded<uint8x16_t>(p); }
inline int32x4_t vld1q_s32(const int32_t* p) { return gtn::emulated::loaded<int32x4_t>(p); }
inline void vst1q_s8(int8_t* p, int8x16_t v) { gtn::emulated::stored(p, v); }
inline void vst1q_s32(int32_t* p, int32x4_t v) { gtn::emulated::stored(p, v); }

// The same bits, the same value in all lanes, and lanes that move.
inline int32x4_t vreinterpretq_s32_s8(int8x16_t v) { return gtn::emulated::as<int32x4_t>(v); }
inline int8x16_t vreinterpretq_s8_s32(int32x4_t v) { return gtn::emulated::as<int8x16_t>(v); }
inline int8x16_t vreinterpretq_s8_u8(uint8x16_t v) { return gtn::emulated::as<int8x16_t>(v); }
inline uint32x4_t vreinterpretq_u32_u8(uint8x16_t v) { return gtn::emulated::as<uint32x4_t>(v); }
inline uint8x16_t vreinterpretq_u8_u32(uint32x4_t v) { return gtn::emulated::as<uint8x16_t>(v); }
inline int8x16_t vdupq_n_s8(int8_t v) { return gtn::emulated::filled<int8x16_t>(v); }
inline uint8x16_t vdupq_n_u8(uint8_t v) { return gtn::emulated::filled<uint8x16_t>(v); }
inline int32x4_t vdupq_n_s32(int32_t v) { return gtn::emulated::filled<int32x4_t>(v); }
inline uint32x4_t vdupq_n_u32(uint32_t v) { return gtn::emulated::filled<uint32x4_t>(v); }
inline float64x2_t vdupq_n_f64(double v) { return gtn::emulated::filled<float64x2_t>(v); }
inline int32x4_t vdupq_laneq_s32(int32x4_t v, int lane) { return vdupq_n_s32(v.lane[lane]); }
inline uint64_t vgetq_lane_u64(uint64x2_t v, int lane) { return v.lane[lane]; }
inline int8x8_t vget_low_s8(int8x16_t v) { return gtn::emulated::loaded<int8x8_t>(v.lane); }
inline int8x16_t vcombine_s8(int8x8_t low, int8x8_t high) {
  return gtn::emulated::by_lane<int8x16_t>(
      [&](int i) { return i < 8 ? low.lane[i] : high.lane[i - 8]; });
}
inline int32x4_t vzip1q_s32(int32x4_t a, int32x4_t b) { return gtn::emulated::zipped(a, b, 0); }
inline int32x4_t vzip2q_s32(int32x4_t a, int32x4_t b) { return gtn::emulated::zipped(a, b, 2); }
inline uint32x4_t vzip1q_u32(uint32x4_t a, uint32x4_t b) { return gtn::emulated::zipped(a, b, 0); }
inline uint32x4_t vzip2q_u32(uint32x4_t a, uint32x4_t b) { return gtn::emulated::zipped(a, b, 2); }

// Arithmetic.
inline int32x4_t vaddq_s32(int32x4_t a, int32x4_t b) {
  return gtn::emulated::by_lane<int32x4_t>(
      [&](int i) { return gtn::emulated::wrapped(int64_t{a.lane[i]} + b.lane[i]); });
}
inline int32x4_t vpaddq_s32(int32x4_t a, int32x4_t b) {
  return gtn::emulated::by_lane<int32x4_t>([&](int i) {
    const int32_t* const pair = (i < 2 ? a.lane : b.lane) + i % 2 * 2;
    return gtn::emulated::wrapped(int64_t{pair[0]} + pair[1]);
  });
}
inline int32_t vaddvq_s32(int32x4_t v) {
  return gtn::emulated::wrapped(int64_t{v.lane[0]} + v.lane[1] + v.lane[2] + v.lane[3]);
}
inline int32_t vmaxvq_s32(int32x4_t v) { return *std::max_element(v.lane, v.lane + 4); }
inline int32x4_t vandq_s32(int32x4_t a, int32x4_t b) {
  return gtn::emulated::by_lane<int32x4_t>([&](int i) { return a.lane[i] & b.lane[i]; });
}
inline uint8x16_t veorq_u8(uint8x16_t a, uint8x16_t b) {
  return gtn::emulated::by_lane<uint8x16_t>(
      [&](int i) { return static_cast<uint8_t>(a.lane[i] ^ b.lane[i]); });
}
inline uint64x2_t vcgeq_f64(float64x2_t a, float64x2_t b) {
  return gtn::emulated::by_lane<uint64x2_t>(
      [&](int i) { return a.lane[i] >= b.lane[i] ? ~uint64_t{0} : 0; });
}
inline int16x8_t vmull_s8(int8x8_t a, int8x8_t b) {
  return gtn::emulated::products({}, a.lane, b.lane);
}
inline int16x8_t vmlal_s8(int16x8_t sum, int8x8_t a, int8x8_t b) {
  return gtn::emulated::products(sum, a.lane, b.lane);
}
inline int16x8_t vmull_high_s8(int8x16_t a, int8x16_t b) {
  return gtn::emulated::products({}, a.lane + 8, b.lane + 8);
}
inline int16x8_t vmlal_high_s8(int16x8_t sum, int8x16_t a, int8x16_t b) {
  return gtn::emulated::products(sum, a.lane + 8, b.lane + 8);
}
inline int32x4_t vpadalq_s16(int32x4_t sum, int16x8_t v) {
  return gtn::emulated::by_lane<int32x4_t>([&](int i) {
    return gtn::emulated::wrapped(int64_t{sum.lane[i]} + v.lane[2 * i] + v.lane[2 * i + 1]);
  });
}
inline int32x4_t vdotq_s32(int32x4_t sum, int8x16_t a, int8x16_t b) {
  return gtn::emulated::dots(sum, a, b, [](int i) { return i; });
}
inline int32x4_t vdotq_laneq_s32(int32x4_t sum, int8x16_t a, int8x16_t b, int lane) {
  return gtn::emulated::dots(sum, a, b, [lane](int) { return lane; });
}
// sum[2 i + j] += row i of a, unsigned, by row j of b, signed; rows of eight bytes.
inline int32x4_t vusmmlaq_s32(int32x4_t sum, uint8x16_t a, int8x16_t b) {
  return gtn::emulated::by_lane<int32x4_t>([&](int at) {
    int64_t out = sum.lane[at];
    for (int k = 0; k < 8; ++k) out += a.lane[at / 2 * 8 + k] * b.lane[at % 2 * 8 + k];
    return gtn::emulated::wrapped(out);
  });
}
