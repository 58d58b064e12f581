// The screen for every GPU from sm_80 on: mma.sync, cp.async. Eight warps, 32 rows each.
#pragma once

#include "cuda/screen.cuh"

namespace gtn::cuda {

constexpr int kMmaThreads = 256;
constexpr int kMmaStages = 3;
constexpr int kStageBytes = kTile * kPart * 2;

__device__ __forceinline__ uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

__device__ __forceinline__ void copy16(uint32_t to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from));
}

__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], uint32_t from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(from));
}

__device__ __forceinline__ void multiply(float* c, const uint32_t (&a)[4], uint32_t b0,
                                         uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Bytes of the part that begins at `part`, and its steps of 16 dimensions.
__device__ __forceinline__ int part_width(int padded, int part) {
  const int rest = padded - part * kPart;
  return rest < kPart ? rest : kPart;
}

// A program: 256 rows (blockIdx.x) and a stretch of the tiles of columns (blockIdx.y). The y's
// come from L2 part by part with the x's, so that any dimension fits.
template <bool kMaxima>
__device__ void screen_mma(const ScreenParams& p, unsigned char* shared) {
  const int rows = rows_of(p);
  const int first_row = blockIdx.x * kBlockRows;
  if (first_row >= rows) return;
  const int split = blockIdx.y;
  const int begin = split * p.tiles_per_split;
  const int end = min(begin + p.tiles_per_split, p.tiles);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, quarter = lane % 4;
  const int row = first_row + warp * 32 + lane / 4;
  Found found[2][2];
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half)
      found[m][half] = found_of<kMaxima>(p, row + 16 * m + 8 * half, rows, split, quarter);
  const int parts = (p.padded + kPart - 1) / kPart;
  const int steps = (end - begin) * parts;
  const uint32_t base = shared_address(shared);
  const unsigned char* const y = p.y + first_row / kTile * tile_bytes(p.padded);

  // A stage: the part of a tile of x's, then the same part of two tiles of y's.
  const auto load = [&](int step) {
    if (step < steps) {
      const int tile = begin + step / parts, part = step % parts;
      const int bytes = 2 * kTile * part_width(p.padded, part);
      const uint32_t to = base + step % kMmaStages * (3 * kStageBytes);
      const unsigned char* const x = p.x + tile * tile_bytes(p.padded) + part * kStageBytes;
      for (int at = threadIdx.x * 16; at < bytes; at += kMmaThreads * 16) {
        copy16(to + at, x + at);
        copy16(to + kStageBytes + at, y + part * kStageBytes + at);
        copy16(to + 2 * kStageBytes + at, y + tile_bytes(p.padded) + part * kStageBytes + at);
      }
    }
    asm volatile("cp.async.commit_group;");
  };

  float score[2][64];
  for (int s = 0; s < kMmaStages - 1; ++s) load(s);
  for (int step = 0; step < steps; ++step) {
    asm volatile("cp.async.wait_group %0;" ::"n"(kMmaStages - 2));
    __syncthreads();
    load(step + kMmaStages - 1);
    const int part = step % parts, width = part_width(p.padded, part);
    const uint32_t stage = base + step % kMmaStages * (3 * kStageBytes);
    if (part == 0)
#pragma unroll
      for (int i = 0; i < 128; ++i) score[i / 64][i % 64] = 0.0f;
    // Matrices of ldmatrix: of the y's rows 0-7 and 8-15 at one chunk, then at the next; of the
    // x's two panels at both chunks.
    const uint32_t rows_at = stage + kStageBytes + (warp / 4) * kStageBytes +
                             ((warp % 4) * 4 + (lane / 8) % 2) * (16 * width) + lane / 16 * 128 +
                             lane % 8 * 16;
    const uint32_t cols_at =
        stage + (lane / 16) * (16 * width) + (lane / 8) % 2 * 128 + lane % 8 * 16;
    for (int k = 0; k < width / 16; ++k) {
      uint32_t a[2][4];
      load_matrices(a[0], rows_at + k * 256);
      load_matrices(a[1], rows_at + 2 * (16 * width) + k * 256);
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        uint32_t b[4];
        load_matrices(b, cols_at + j * 2 * (16 * width) + k * 256);
        multiply(&score[0][8 * j], a[0], b[0], b[1]);
        multiply(&score[0][8 * j + 4], a[0], b[2], b[3]);
        multiply(&score[1][8 * j], a[1], b[0], b[1]);
        multiply(&score[1][8 * j + 4], a[1], b[2], b[3]);
      }
    }
    if (part == parts - 1) {
      const int tile = begin + step / parts;
      const bool ends = kMaxima && ends_group(p, tile, end);
      reduce<kMaxima>(p, score, found, row, 16, rows, tile, quarter, ends);
    }
  }
  if (!kMaxima)
#pragma unroll
    for (int m = 0; m < 2; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        store_count(p, found[m][half], row + 16 * m + 8 * half, rows, split, quarter);
}

}  // namespace gtn::cuda
