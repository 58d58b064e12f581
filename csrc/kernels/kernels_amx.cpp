// AMX: an instruction adds the products of 16 y's, 16 x's and 64 dimensions of 8-bit codes.
//
// A group as ScreenPanel packs it is a tile as it stands: a row a step. Two tiles of y's share
// each tile of x's. Beyond the last step a tile of x's holds anything, of y's zeros.
#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/kernels.h"

namespace gtn {
namespace {

#include "kernels/portable.inc"
#include "kernels/vnni512.inc"

constexpr int kRows = 16;      // of a tile
constexpr int kRowBytes = 64;  // of a tile's row, and of a step of a group
constexpr int kSums = kRows * kGroup;
constexpr int kTileBytes = kRows * kRowBytes;

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  void set(int tile, int n) {
    rows[tile] = static_cast<uint8_t>(n);
    row_bytes[tile] = n > 0 ? kRowBytes : 0;
  }
};

// The sums of a call, a tile for each tile of y's. They start at minus the y's threshold, so that
// a sum which ends at 0 or above is a hit. There are two places for the sums of a group: the
// hits in one are collected while the next group's sums go to the other.
struct alignas(64) Sums {
  int32_t start[2][kSums];        // [tile]
  int32_t of_group[2][2][kSums];  // [group & 1][tile]

  Sums(const int32_t* threshold, int n_y) {
    // Rows without a y are never written: no hit.
    std::memset(of_group, -1, sizeof of_group);
    for (int j = 0; j < n_y; ++j)
      _mm512_store_si512(start[j / kRows] + j % kRows * kGroup, _mm512_set1_epi32(-threshold[j]));
  }
};

// Whether a sum is not negative: it reached its threshold, but for the bias.
inline bool any_hit(const int32_t* sums) {
  __m512i even = _mm512_load_si512(sums), odd = _mm512_load_si512(sums + kGroup);
  for (int row = 2; row < kRows; row += 2) {
    even = _mm512_and_si512(even, _mm512_load_si512(sums + row * kGroup));
    odd = _mm512_and_si512(odd, _mm512_load_si512(sums + (row + 1) * kGroup));
  }
  return _mm512_movepi32_mask(_mm512_and_si512(even, odd)) != 0xFFFF;
}

int collect(const int32_t* sums, const int32_t* bias, const int32_t* threshold, int first_y,
            int first_x, Hit* hits) {
  uint64_t hit[kSums / 64];  // a bit a pair, in four words without a branch
  for (int word = 0; word < kSums / 64; ++word) {
    hit[word] = 0;
    for (int row = 0; row < 4; ++row) {
      const __m512i sum = _mm512_load_si512(sums + (4 * word + row) * kGroup);
      const uint64_t negative = static_cast<uint16_t>(_mm512_movepi32_mask(sum));
      hit[word] |= (negative ^ 0xFFFF) << (kGroup * row);
    }
  }
  int n_hits = 0;
  for (int word = 0; word < kSums / 64; ++word)
    for (; hit[word] != 0; hit[word] &= hit[word] - 1) {
      const int at = 64 * word + __builtin_ctzll(hit[word]);
      const int row = at / kGroup, x = at % kGroup;
      const int32_t above = sums[at] + bias[x];
      if (above < 0) continue;
      hits[n_hits++] = {static_cast<uint16_t>(first_y + row), static_cast<uint16_t>(first_x + x),
                        above + threshold[row]};
    }
  return n_hits;
}

// TILES of y's, 64 dimensions a block. Up to two blocks of y's codes stay in registers:
//   tile 0, 1: sums of the first and second tile of y's
//   tile 2, 3: their codes; tile 4, 5: those of a second block that stays
//   tile 6: codes of x's
// One tile of x's serves both blocks: with all eight in use, the kernel took a third longer on a
// core that another hyper-thread shares (Emerald Rapids; alone no difference).
template <int TILES, bool STAY>
int screen_tiles(const ScreenPanel& panel, const int8_t* y, const int32_t* threshold, int n_y,
                 Hit* hits) {
  const int64_t stride = code_stride(panel.steps);
  const int64_t blocks = stride / kRowBytes, group_bytes = int64_t{panel.steps} * kRowBytes;
  const int8_t* const other = y + kRows * stride;

  // A group's last tile reaches into the groups after it, and near the panel's end beyond that: a
  // copy of the end with zeros after it stands in there.
  const int64_t bytes = panel.groups * group_bytes, copied = std::min<int64_t>(bytes, kTileBytes);
  alignas(64) uint8_t end[2 * kTileBytes] = {};
  std::memcpy(end, panel.codes + bytes - copied, static_cast<size_t>(copied));
  const auto tile_at = [&](int g, int64_t block) GTN_INLINE {
    const int64_t at = g * group_bytes + block * kTileBytes;
    return at + kTileBytes <= bytes ? panel.codes + at : end + (at - (bytes - copied));
  };

  Sums sums(threshold, n_y);
  TileConfig config;
  for (const int tile : {0, 2, 4}) config.set(tile, TILES == 2 ? kRows : n_y);
  for (const int tile : {1, 3, 5}) config.set(tile, TILES == 2 ? n_y - kRows : 0);
  config.set(6, kRows);
  // GCC's tile instructions do not say what they read.
  __asm__ volatile("" ::: "memory");
  _tile_loadconfig(&config);
  if constexpr (STAY) {
    _tile_loadd(2, y, stride);
    if constexpr (TILES == 2) _tile_loadd(3, other, stride);
    if (blocks == 2) {
      _tile_loadd(4, y + kRowBytes, stride);
      if constexpr (TILES == 2) _tile_loadd(5, other + kRowBytes, stride);
    }
  }

  int n_hits = 0;
  const auto collect_group = [&](int g) GTN_INLINE {
    for (int t = 0; t < TILES; ++t)
      if (any_hit(sums.of_group[g & 1][t]))
        n_hits += collect(sums.of_group[g & 1][t], panel.bias + g * kGroup, threshold + t * kRows,
                          t * kRows, g * kGroup, hits + n_hits);
  };
  for (int g = 0; g < panel.groups; ++g) {
    _tile_loadd(0, sums.start[0], kRowBytes);
    if constexpr (TILES == 2) _tile_loadd(1, sums.start[1], kRowBytes);
    if constexpr (STAY) {
      _tile_loadd(6, tile_at(g, 0), kRowBytes);
      _tile_dpbsud(0, 2, 6);
      if constexpr (TILES == 2) _tile_dpbsud(1, 3, 6);
      if (blocks == 2) {
        _tile_loadd(6, tile_at(g, 1), kRowBytes);
        _tile_dpbsud(0, 4, 6);
        if constexpr (TILES == 2) _tile_dpbsud(1, 5, 6);
      }
    } else {
      for (int64_t block = 0; block < blocks; ++block) {
        _tile_loadd(6, tile_at(g, block), kRowBytes);
        _tile_loadd(2, y + block * kRowBytes, stride);
        _tile_dpbsud(0, 2, 6);
        if constexpr (TILES == 2) {
          _tile_loadd(3, other + block * kRowBytes, stride);
          _tile_dpbsud(1, 3, 6);
        }
      }
    }
    _tile_stored(0, sums.of_group[g & 1][0], kRowBytes);
    if constexpr (TILES == 2) _tile_stored(1, sums.of_group[g & 1][1], kRowBytes);
    if (g > 0) collect_group(g - 1);
  }
  collect_group(panel.groups - 1);
  // Registers in use would be saved at every switch of threads.
  _tile_release();
  return n_hits;
}

int screen_amx(const ScreenPanel& panel, const int8_t* y, const int32_t* threshold, int n_y,
               Hit* hits) {
  const bool stay = code_stride(panel.steps) <= 2 * kRowBytes;
  if (n_y > kRows)
    return stay ? screen_tiles<2, true>(panel, y, threshold, n_y, hits)
                : screen_tiles<2, false>(panel, y, threshold, n_y, hits);
  return stay ? screen_tiles<1, true>(panel, y, threshold, n_y, hits)
              : screen_tiles<1, false>(panel, y, threshold, n_y, hits);
}

#include "kernels/sift512.inc"

}  // namespace

extern const Kernels kKernelsAmx = {
    .x_max = 127,
    .y_max = 127,
    .tile_y = 2 * kRows,
    .panel_bytes = 128 * 1024,
    .sift_cost = 2.0,
    GTN_PORTABLE_KERNELS,
    .ordered_dot_group = dot_group512,
    .screen = screen_amx,
    .sift = sift512,
};

}  // namespace gtn
