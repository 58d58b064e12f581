// The intrinsics of x86 that kernels use, as plain C++ with their meaning. A kernel's own source,
// compiled with this folder before the compiler's headers, runs on any CPU.
#pragma once

#include <algorithm>

#include "tests/kernels/emulated/vector.h"

// The tables of functions that come of it.
#define kKernelsAvx2 kEmulatedAvx2
#define kKernelsAvxVnni kEmulatedAvxVnni
#define kKernelsAvx512 kEmulatedAvx512
#define kKernelsAvx512Vnni kEmulatedAvx512Vnni
#define kKernelsAmx kEmulatedAmx

namespace gtn::emulated {

using Ints256 = Vector<int32_t, 8>;
using Ints512 = Vector<int32_t, 16>;

template <class T, class V>
using In = Vector<T, static_cast<int>(sizeof(V) / sizeof(T))>;

template <class V>
V aligned_load(const void* p) {
  require(reinterpret_cast<uintptr_t>(p) % sizeof(V) == 0, "an aligned load of another address");
  return loaded<V>(p);
}

template <class V>
void aligned_store(void* p, const V& v) {
  require(reinterpret_cast<uintptr_t>(p) % sizeof(V) == 0, "an aligned store to another address");
  stored(p, v);
}

template <class V>
V add32(const V& a, const V& b) {
  return by_lane<V>([&](int i) { return wrapped(int64_t{a.lane[i]} + b.lane[i]); });
}

template <class V>
V sub32(const V& a, const V& b) {
  return by_lane<V>([&](int i) { return wrapped(int64_t{a.lane[i]} - b.lane[i]); });
}

template <class V>
V add16(const V& a, const V& b) {
  const auto x = as<In<int16_t, V>>(a), y = as<In<int16_t, V>>(b);
  return as<V>(
      by_lane<In<int16_t, V>>([&](int i) { return static_cast<int16_t>(x.lane[i] + y.lane[i]); }));
}

template <class V>
V and_bits(const V& a, const V& b) {
  return by_lane<V>([&](int i) { return a.lane[i] & b.lane[i]; });
}

// Unsigned by signed bytes, neighbours added with saturation.
template <class V>
V maddubs(const V& a, const V& b) {
  const auto x = as<In<uint8_t, V>>(a);
  const auto y = as<In<int8_t, V>>(b);
  return as<V>(by_lane<In<int16_t, V>>([&](int i) {
    const int sum = x.lane[2 * i] * y.lane[2 * i] + x.lane[2 * i + 1] * y.lane[2 * i + 1];
    return static_cast<int16_t>(std::clamp(sum, -32768, 32767));
  }));
}

template <class V>
V madd16(const V& a, const V& b) {
  const auto x = as<In<int16_t, V>>(a), y = as<In<int16_t, V>>(b);
  return by_lane<V>([&](int i) {
    return wrapped(int64_t{x.lane[2 * i]} * y.lane[2 * i] +
                   int64_t{x.lane[2 * i + 1]} * y.lane[2 * i + 1]);
  });
}

// Four products of unsigned by signed bytes onto a 32-bit sum, without saturation.
template <class V>
V dpbusd(const V& sum, const V& a, const V& b) {
  const auto x = as<In<uint8_t, V>>(a);
  const auto y = as<In<int8_t, V>>(b);
  return by_lane<V>([&](int i) {
    int64_t out = sum.lane[i];
    for (int k = 4 * i; k < 4 * i + 4; ++k) out += x.lane[k] * y.lane[k];
    return wrapped(out);
  });
}

template <class V>
unsigned sign_bits(const V& v) {
  unsigned out = 0;
  for (int i = 0; i < V::kLanes; ++i) out |= static_cast<unsigned>(v.lane[i] < 0) << i;
  return out;
}

template <class V>
unsigned at_least_bits(const V& a, const V& b) {  // a NaN gives 0
  unsigned out = 0;
  for (int i = 0; i < V::kLanes; ++i) out |= static_cast<unsigned>(a.lane[i] >= b.lane[i]) << i;
  return out;
}

// --- tiles -------------------------------------------------------------------------

constexpr int kTiles = 8, kTileRows = 16, kTileRowBytes = 64;

struct Tiles {
  bool configured = false;
  int rows[kTiles] = {}, row_bytes[kTiles] = {};
  uint8_t data[kTiles][kTileRows][kTileRowBytes] = {};

  void need(int tile) const {
    require(configured, "a tile without a configuration");
    require(tile >= 0 && tile < kTiles && rows[tile] > 0, "a tile that is not configured");
  }
};

inline thread_local Tiles tiles;

inline void tile_loadconfig(const void* p) {
  uint8_t bytes[64];
  std::memcpy(bytes, p, sizeof bytes);
  require(bytes[0] == 1, "a palette other than 1");
  require(bytes[1] == 0, "a start row here");
  for (int i = 2; i < 64; ++i) {
    const bool reserved = i < 16 || (i >= 32 && i < 48) || i >= 56;
    require(!reserved || bytes[i] == 0, "reserved bytes of a configuration that are not zero");
  }
  tiles = {};  // the CPU zeroes all tiles
  tiles.configured = true;
  for (int t = 0; t < kTiles; ++t) {
    uint16_t row_bytes;
    std::memcpy(&row_bytes, bytes + 16 + 2 * t, sizeof row_bytes);
    tiles.row_bytes[t] = row_bytes;
    tiles.rows[t] = bytes[48 + t];
    require(tiles.rows[t] <= kTileRows && row_bytes <= kTileRowBytes, "a tile that is too large");
    require((tiles.rows[t] == 0) == (row_bytes == 0), "rows without bytes, or bytes without rows");
  }
}

inline void tile_loadd(int tile, const void* base, int64_t stride) {
  tiles.need(tile);
  std::memset(tiles.data[tile], 0, sizeof tiles.data[tile]);
  for (int r = 0; r < tiles.rows[tile]; ++r)
    std::memcpy(tiles.data[tile][r], static_cast<const uint8_t*>(base) + r * stride,
                static_cast<size_t>(tiles.row_bytes[tile]));
}

inline void tile_stored(int tile, void* base, int64_t stride) {
  tiles.need(tile);
  for (int r = 0; r < tiles.rows[tile]; ++r)
    std::memcpy(static_cast<uint8_t*>(base) + r * stride, tiles.data[tile][r],
                static_cast<size_t>(tiles.row_bytes[tile]));
}

// sums[m][n] += signed bytes 4 k .. 4 k + 3 of a's row m, by the unsigned bytes 4 n .. 4 n + 3 of
// b's row k.
inline void tile_dpbsud(int sums, int a, int b) {
  tiles.need(sums), tiles.need(a), tiles.need(b);
  require(sums != a && sums != b && a != b, "a product of a tile with itself");
  require(tiles.rows[sums] == tiles.rows[a], "sums of other rows than the first factor's");
  require(tiles.row_bytes[sums] == tiles.row_bytes[b], "sums of other columns than the second's");
  require(tiles.row_bytes[a] == 4 * tiles.rows[b], "factors that do not fit");
  for (int m = 0; m < tiles.rows[sums]; ++m) {
    auto row = loaded<Ints512>(tiles.data[sums][m]);
    for (int k = 0; k < tiles.rows[b]; ++k) {
      const auto four = loaded<Vector<int8_t, 4>>(tiles.data[a][m] + 4 * k);
      const auto by = loaded<Vector<uint8_t, kTileRowBytes>>(tiles.data[b][k]);
      for (int n = 0; n < tiles.row_bytes[b] / 4; ++n) {
        int32_t sum = 0;
        for (int i = 0; i < 4; ++i) sum += four.lane[i] * by.lane[4 * n + i];
        row.lane[n] = wrapped(int64_t{row.lane[n]} + sum);
      }
    }
    stored(tiles.data[sums][m], row);
  }
}

inline void tile_release() { tiles = {}; }

}  // namespace gtn::emulated

// NOLINTBEGIN: the names are the compiler's.
using __m256i = gtn::emulated::Ints256;
using __m256 = gtn::emulated::Vector<float, 8>;
using __m256d = gtn::emulated::DoublesOf<4>;
using __m512i = gtn::emulated::Ints512;
using __m512d = gtn::emulated::DoublesOf<8>;
enum { _CMP_GE_OQ };

inline __m256i _mm256_loadu_si256(const __m256i* p) { return gtn::emulated::loaded<__m256i>(p); }
inline void _mm256_store_si256(__m256i* p, __m256i v) { gtn::emulated::aligned_store(p, v); }
inline __m256i _mm256_set1_epi16(short v) {
  return gtn::emulated::as<__m256i>(gtn::emulated::filled<gtn::emulated::Vector<int16_t, 16>>(v));
}
inline __m256i _mm256_set1_epi32(int v) { return gtn::emulated::filled<__m256i>(v); }
inline __m256i _mm256_add_epi16(__m256i a, __m256i b) { return gtn::emulated::add16(a, b); }
inline __m256i _mm256_add_epi32(__m256i a, __m256i b) { return gtn::emulated::add32(a, b); }
inline __m256i _mm256_sub_epi32(__m256i a, __m256i b) { return gtn::emulated::sub32(a, b); }
inline __m256i _mm256_and_si256(__m256i a, __m256i b) { return gtn::emulated::and_bits(a, b); }
inline __m256i _mm256_maddubs_epi16(__m256i a, __m256i b) { return gtn::emulated::maddubs(a, b); }
inline __m256i _mm256_madd_epi16(__m256i a, __m256i b) { return gtn::emulated::madd16(a, b); }
inline __m256i _mm256_dpbusd_avx_epi32(__m256i sum, __m256i a, __m256i b) {
  return gtn::emulated::dpbusd(sum, a, b);
}
inline __m256 _mm256_castsi256_ps(__m256i v) { return gtn::emulated::as<__m256>(v); }
inline int _mm256_movemask_ps(__m256 v) {
  return static_cast<int>(gtn::emulated::sign_bits(gtn::emulated::as<__m256i>(v)));
}
inline __m256d _mm256_set1_pd(double v) { return gtn::emulated::filled<__m256d>(v); }
// As a comparison gives it to movemask, the only one to ask: lanes of minus one and of zero.
inline __m256d _mm256_cmp_pd(__m256d a, __m256d b, int) {
  return gtn::emulated::by_lane<__m256d>(
      [&](int i) { return a.lane[i] >= b.lane[i] ? -1.0 : 0.0; });
}
inline int _mm256_movemask_pd(__m256d v) { return static_cast<int>(gtn::emulated::sign_bits(v)); }

inline __m512i _mm512_setzero_si512() { return {}; }
inline __m512i _mm512_loadu_si512(const void* p) {
  return gtn::emulated::loaded<__m512i>(static_cast<const uint8_t*>(p));
}
inline __m512i _mm512_load_si512(const void* p) { return gtn::emulated::aligned_load<__m512i>(p); }
inline void _mm512_store_si512(void* p, __m512i v) { gtn::emulated::aligned_store(p, v); }
inline __m512i _mm512_set1_epi16(short v) {
  return gtn::emulated::as<__m512i>(gtn::emulated::filled<gtn::emulated::Vector<int16_t, 32>>(v));
}
inline __m512i _mm512_set1_epi32(int v) { return gtn::emulated::filled<__m512i>(v); }
inline __m512i _mm512_add_epi16(__m512i a, __m512i b) { return gtn::emulated::add16(a, b); }
inline __m512i _mm512_add_epi32(__m512i a, __m512i b) { return gtn::emulated::add32(a, b); }
inline __m512i _mm512_sub_epi32(__m512i a, __m512i b) { return gtn::emulated::sub32(a, b); }
inline __m512i _mm512_and_si512(__m512i a, __m512i b) { return gtn::emulated::and_bits(a, b); }
inline __m512i _mm512_maddubs_epi16(__m512i a, __m512i b) { return gtn::emulated::maddubs(a, b); }
inline __m512i _mm512_madd_epi16(__m512i a, __m512i b) { return gtn::emulated::madd16(a, b); }
inline __m512i _mm512_dpbusd_epi32(__m512i sum, __m512i a, __m512i b) {
  return gtn::emulated::dpbusd(sum, a, b);
}
inline uint16_t _mm512_movepi32_mask(__m512i v) {
  return static_cast<uint16_t>(gtn::emulated::sign_bits(v));
}
inline void _mm512_storeu_si512(void* p, __m512i v) { std::memcpy(p, &v, sizeof v); }
inline __m512i _mm512_setr_epi32(int a, int b, int c, int d, int e, int f, int g, int h, int i,
                                 int j, int k, int l, int m, int n, int o, int p) {
  const int lanes[16] = {a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p};
  return gtn::emulated::loaded<__m512i>(lanes);
}
inline __m512i _mm512_maskz_compress_epi32(uint16_t mask, __m512i v) {
  int32_t in[16], out[16] = {};
  std::memcpy(in, &v, sizeof in);
  for (int i = 0, to = 0; i < 16; ++i)
    if (mask >> i & 1) out[to++] = in[i];
  return gtn::emulated::loaded<__m512i>(out);
}
inline __m512d _mm512_set1_pd(double v) { return gtn::emulated::filled<__m512d>(v); }
inline uint8_t _mm512_cmp_pd_mask(__m512d a, __m512d b, int) {
  return static_cast<uint8_t>(gtn::emulated::at_least_bits(a, b));
}

inline void _tile_loadconfig(const void* p) { gtn::emulated::tile_loadconfig(p); }
inline void _tile_loadd(int tile, const void* base, int64_t stride) {
  gtn::emulated::tile_loadd(tile, base, stride);
}
inline void _tile_stored(int tile, void* base, int64_t stride) {
  gtn::emulated::tile_stored(tile, base, stride);
}
inline void _tile_dpbsud(int sums, int a, int b) { gtn::emulated::tile_dpbsud(sums, a, b); }
inline void _tile_release() { gtn::emulated::tile_release(); }
// NOLINTEND
