// What both screens share: where a thread's scores lie, and what becomes of them.
//
// The scores of a tile lie in the threads' registers as the tensor cores leave them: thread
// t of a warp has, for 16 rows, row t / 4 and row t / 4 + 8, and of every 8 columns the two from
// t % 4 * 2 on. So a thread has a quarter of the columns of each of its rows ("quarter" t % 4),
// and a list of its own for each of its rows: no atomics, no order to wait for.
#pragma once

#include "cuda/codes.h"
#include "cuda/params.h"

namespace gtn::cuda {

// What a thread has of one row: the threshold, and the survivors so far.
struct Found {
  float threshold;
  int count;
  int* cols;
};

__device__ __forceinline__ int rows_of(const ScreenParams& p) {
  if (p.counters->failed != 0) return 0;
  if (p.deep == 0) return p.rows;
  return p.counters->deep_begin < p.counters->deep_end ? p.counters->deep_end : 0;
}

// Whether `tile` is the last of a group of maxima, or of a split.
__device__ __forceinline__ bool ends_group(const ScreenParams& p, int tile, int end) {
  return tile % p.per == p.per - 1 || tile == end - 1;
}

template <bool kMaxima>
__device__ __forceinline__ Found found_of(const ScreenParams& p, int row, int rows, int split,
                                          int quarter) {
  Found f;
  f.count = 0;
  f.cols = nullptr;
  f.threshold = -__int_as_float(0x7f800000);
  if (kMaxima) return f;
  const bool there = row < rows;
  f.threshold = there ? p.threshold[row] : __int_as_float(0x7f800000);
  const int64_t list = static_cast<int64_t>(there ? row : 0) * (4 * p.splits) + split * 4 + quarter;
  f.cols = p.cols_found + list * p.capacity;
  return f;
}

__device__ __forceinline__ void store_count(const ScreenParams& p, const Found& f, int row,
                                            int rows, int split, int quarter) {
  if (row < rows)
    p.count[static_cast<int64_t>(row) * (4 * p.splits) + split * 4 + quarter] = f.count;
}

// score[4 j + 2 half + {0, 1}]: columns first + 8 j + quarter * 2 + {0, 1} of row `half` (0, 1).
template <int kGroups>
__device__ __forceinline__ float largest(const float* score, int half) {
  float m = fmaxf(score[2 * half], score[2 * half + 1]);
#pragma unroll
  for (int j = 1; j < kGroups; ++j)
    m = fmaxf(m, fmaxf(score[4 * j + 2 * half], score[4 * j + 2 * half + 1]));
  return m;
}

// Sets bit 31 of the result unless a score of the row reaches the threshold: the sign of each
// difference is exact, and a subtraction and half an AND cost less than a maximum.
template <int kGroups>
__device__ __forceinline__ unsigned none_reaches(const float* score, int half, float threshold) {
  unsigned none = 0xffffffffu;
#pragma unroll
  for (int j = 0; j < kGroups; ++j)
    none &= __float_as_uint(score[4 * j + 2 * half] - threshold) &
            __float_as_uint(score[4 * j + 2 * half + 1] - threshold);
  return none;
}

template <int kGroups>
__device__ __forceinline__ void append(Found& f, const float* score, int half, int first,
                                       int quarter, int cols, int capacity) {
  unsigned reach = 0;
#pragma unroll
  for (int j = 0; j < kGroups; ++j)
#pragma unroll
    for (int i = 0; i < 2; ++i)
      reach |= score[4 * j + 2 * half + i] >= f.threshold ? 1u << (2 * j + i) : 0u;
  while (reach != 0) {
    const int at = __ffs(static_cast<int>(reach)) - 1;
    reach &= reach - 1;
    const int col = first + 8 * (at / 2) + 2 * quarter + at % 2;
    if (col >= cols) return;
    if (f.count < capacity) f.cols[f.count] = col;
    ++f.count;
  }
}

// kPieces pieces of m16 x n128, 16 or 64 rows apart: the rows `row` and row + 8 of each. For
// maxima, `threshold` is the maximum so far, which `ends` writes out.
template <bool kMaxima, int kPieces>
__device__ __forceinline__ void reduce(const ScreenParams& p, const float (&score)[kPieces][64],
                                       Found (&f)[kPieces][2], int row, int apart, int rows,
                                       int tile, int quarter, bool ends) {
  if (kMaxima) {
#pragma unroll
    for (int piece = 0; piece < kPieces; ++piece)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float& most = f[piece][half].threshold;
        most = fmaxf(most, largest<16>(score[piece], half));
        if (!ends) continue;
        const int at = row + apart * piece + 8 * half;
        if (at < rows)
          p.maxima[(static_cast<int64_t>(tile / p.per) * 4 + quarter) * p.ld + at] = most;
        most = -__int_as_float(0x7f800000);
      }
    return;
  }
  unsigned none[kPieces][2], all = 0xffffffffu;
#pragma unroll
  for (int piece = 0; piece < kPieces; ++piece)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      none[piece][half] = none_reaches<16>(score[piece], half, f[piece][half].threshold);
      all &= none[piece][half];
    }
  if (!__any_sync(0xffffffffu, static_cast<int>(all) >= 0)) return;
#pragma unroll
  for (int piece = 0; piece < kPieces; ++piece)
#pragma unroll
    for (int half = 0; half < 2; ++half)
      if (__any_sync(0xffffffffu, static_cast<int>(none[piece][half]) >= 0))
        append<16>(f[piece][half], score[piece], half, tile * kTile, quarter, p.cols, p.capacity);
}

}  // namespace gtn::cuda
