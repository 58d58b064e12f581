// The screen for Hopper (sm_90a): wgmma, bulk copies. Two groups of four warps multiply and look at
// their scores in turn, so that the tensor cores seldom wait; a third one fetches the codes.
#pragma once

#include "cuda/screen.cuh"

namespace gtn::cuda {

constexpr int kWgmmaThreads = 384;

__device__ __forceinline__ uint32_t shared32(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

__device__ __forceinline__ void barrier_init(uint32_t at, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(at), "r"(count));
}

__device__ __forceinline__ void barrier_expect(uint32_t at, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at), "r"(bytes)
               : "memory");
}

__device__ __forceinline__ void barrier_arrive(uint32_t at) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at) : "memory");
}

__device__ __forceinline__ void barrier_wait(uint32_t at, uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}" ::"r"(at),
      "r"(parity)
      : "memory");
}

// `bytes` (a multiple of 16) from global memory, in one piece; the barrier counts them.
__device__ __forceinline__ void bulk_copy(uint32_t to, const void* from, uint32_t bytes,
                                          uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(to),
      "l"(from), "r"(bytes), "r"(barrier)
      : "memory");
}

// How a matrix of codes lies in shared memory: no swizzle; from one chunk of 8 dimensions to the
// next 128 bytes, from one panel of 8 rows to the next `panel` bytes.
__device__ __forceinline__ uint64_t matrix_descriptor(uint32_t at, uint32_t panel) {
  return static_cast<uint64_t>((at & 0x3ffff) >> 4) | static_cast<uint64_t>(128 >> 4) << 16 |
         static_cast<uint64_t>(panel >> 4) << 32;
}

// score (64 x 128, as in screen.cuh) = or += y (64 x 16) x (128 x 16) transposed.
__device__ __forceinline__ void wgmma(float (&s)[64], uint64_t y, uint64_t x, int add) {
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "setp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "%64, %65, p, 1, 1, 0, 0;\n"
      "}"
      : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3]), "+f"(s[4]), "+f"(s[5]), "+f"(s[6]),
        "+f"(s[7]), "+f"(s[8]), "+f"(s[9]), "+f"(s[10]), "+f"(s[11]), "+f"(s[12]), "+f"(s[13]),
        "+f"(s[14]), "+f"(s[15]), "+f"(s[16]), "+f"(s[17]), "+f"(s[18]), "+f"(s[19]), "+f"(s[20]),
        "+f"(s[21]), "+f"(s[22]), "+f"(s[23]), "+f"(s[24]), "+f"(s[25]), "+f"(s[26]), "+f"(s[27]),
        "+f"(s[28]), "+f"(s[29]), "+f"(s[30]), "+f"(s[31]), "+f"(s[32]), "+f"(s[33]), "+f"(s[34]),
        "+f"(s[35]), "+f"(s[36]), "+f"(s[37]), "+f"(s[38]), "+f"(s[39]), "+f"(s[40]), "+f"(s[41]),
        "+f"(s[42]), "+f"(s[43]), "+f"(s[44]), "+f"(s[45]), "+f"(s[46]), "+f"(s[47]), "+f"(s[48]),
        "+f"(s[49]), "+f"(s[50]), "+f"(s[51]), "+f"(s[52]), "+f"(s[53]), "+f"(s[54]), "+f"(s[55]),
        "+f"(s[56]), "+f"(s[57]), "+f"(s[58]), "+f"(s[59]), "+f"(s[60]), "+f"(s[61]), "+f"(s[62]),
        "+f"(s[63])
      : "l"(y), "l"(x), "r"(add));
}

// One part, 16 dimensions after another, of kPieces pieces of 64 rows.
template <int kPieces>
__device__ __forceinline__ void multiply_part(float (&score)[kPieces][64], uint32_t y, uint32_t x,
                                              int width, bool first) {
  const uint32_t panel = 16 * width;
  for (int k = 0; k < width / 16; ++k) {
    const uint64_t columns = matrix_descriptor(x + k * 256, panel);
#pragma unroll
    for (int piece = 0; piece < kPieces; ++piece)
      wgmma(score[piece], matrix_descriptor(y + piece * 8 * panel + k * 256, panel), columns,
            !first || k > 0);
  }
}

// A program: 128 kPieces rows (blockIdx.x), whose codes stay in shared memory, and a stretch of the
// tiles of columns (blockIdx.y), whose codes come through `stages` buffers.
template <bool kMaxima, int kPieces>
__device__ void screen_wgmma(const ScreenParams& p, unsigned char* shared, int stages) {
  constexpr int kRows = kTile * kPieces;
  const int rows = rows_of(p);
  const int first_row = blockIdx.x * kRows;
  if (first_row >= rows) return;
  const int split = blockIdx.y;
  const int begin = split * p.tiles_per_split;
  const int end = min(begin + p.tiles_per_split, p.tiles);
  const int parts = (p.padded + kPart - 1) / kPart;
  const int steps = (end - begin) * parts;
  const uint32_t barriers = shared32(shared);  // full[8], empty[8], rows
  const uint32_t y = barriers + 256;
  const uint32_t stage_bytes = 2 * kTile * min(p.padded, kPart);
  const uint32_t x = y + kPieces * static_cast<uint32_t>(tile_bytes(p.padded));
  if (threadIdx.x == 0) {
    for (int s = 0; s < stages; ++s) {
      barrier_init(barriers + 8 * s, 1);
      barrier_init(barriers + 64 + 8 * s, 8);
    }
    barrier_init(barriers + 128, 1);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  }
  __syncthreads();

  if (threadIdx.x >= 256) {  // fetches
    // Registers come from those that the program was started with, 168 per thread: to ask for
    // more than the others gave back is to wait for ever.
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
    if (threadIdx.x == 256) {
      const uint32_t bytes = kPieces * static_cast<uint32_t>(tile_bytes(p.padded));
      barrier_expect(barriers + 128, bytes);
      bulk_copy(y, p.y + static_cast<int64_t>(first_row) / kTile * tile_bytes(p.padded), bytes,
                barriers + 128);
      int stage = 0;
      uint32_t parity = 1;  // of an empty buffer that was never full
      for (int step = 0; step < steps; ++step) {
        const int tile = begin + step / parts, part = step % parts;
        const int rest = p.padded - part * kPart;
        const uint32_t size = 2 * kTile * (rest < kPart ? rest : kPart);
        barrier_wait(barriers + 64 + 8 * stage, parity);
        barrier_expect(barriers + 8 * stage, size);
        bulk_copy(x + stage * stage_bytes,
                  p.x + tile * tile_bytes(p.padded) + part * (2 * kTile * kPart), size,
                  barriers + 8 * stage);
        if (++stage == stages) {
          stage = 0;
          parity ^= 1;
        }
      }
    }
    return;
  }

  asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
  const int group = threadIdx.x / 128, warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
  const int quarter = lane % 4;
  const int row = first_row + group * 64 * kPieces + warp * 16 + lane / 4;
  Found found[kPieces][2];
#pragma unroll
  for (int piece = 0; piece < kPieces; ++piece)
#pragma unroll
    for (int half = 0; half < 2; ++half)
      found[piece][half] = found_of<kMaxima>(p, row + 64 * piece + 8 * half, rows, split, quarter);
  barrier_wait(barriers + 128, 0);
  float score[kPieces][64];
  int stage = 0;
  uint32_t parity = 0;
  for (int tile = begin; tile < end; ++tile) {
    int before = -1;
    for (int part = 0; part < parts; ++part) {
      const int rest = p.padded - part * kPart;
      const int width = rest < kPart ? rest : kPart;
      barrier_wait(barriers + 8 * stage, parity);
      asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
      // Rows 64 .. of a tile of 128 begin 8 panels after its first.
      const int group_row = group * 64 * kPieces;
      multiply_part<kPieces>(score,
                             y + group_row / kTile * static_cast<uint32_t>(tile_bytes(p.padded)) +
                                 part * (2 * kTile * kPart) + group_row % kTile / 8 * (16 * width),
                             x + stage * stage_bytes, width, part == 0);
      asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
      if (before >= 0) {
        asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory");
        if (lane == 0) barrier_arrive(barriers + 64 + 8 * before);
      }
      before = stage;
      if (++stage == stages) {
        stage = 0;
        parity ^= 1;
      }
    }
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
    if (lane == 0) barrier_arrive(barriers + 64 + 8 * before);
    const bool ends = kMaxima && ends_group(p, tile, end);
    reduce<kMaxima>(p, score, found, row, 64, rows, tile, quarter, ends);
  }
  if (!kMaxima)
#pragma unroll
    for (int piece = 0; piece < kPieces; ++piece)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        store_count(p, found[piece][half], row + 64 * piece + 8 * half, rows, split, quarter);
}

}  // namespace gtn::cuda
