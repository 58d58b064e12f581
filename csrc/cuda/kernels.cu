// The kernels, under names that the driver finds. Compile with --fmad=false (exact.h).
#include "cuda/bodies.h"
#include "cuda/screen_mma.cuh"
#if defined(GTN_WGMMA)
#include "cuda/screen_wgmma.cuh"
#endif

namespace gtn::cuda {

struct Warp {
  static constexpr int width = 32;
  int lane;
  __device__ __forceinline__ void sync() const { __syncwarp(); }
  __device__ __forceinline__ int sum(int value, int*) const {
    return __reduce_add_sync(0xffffffffu, value);
  }
  __device__ __forceinline__ int before(int value, int* total, int*) const {
    int up_to = value;
#pragma unroll
    for (int by = 1; by < 32; by *= 2) {
      const int other = __shfl_up_sync(0xffffffffu, up_to, by);
      if (lane >= by) up_to += other;
    }
    *total = __shfl_sync(0xffffffffu, up_to, 31);
    return up_to - value;
  }
  __device__ __forceinline__ void best(int* at, double* cosine, uint32_t* rank) const {
#pragma unroll
    for (int by = 16; by > 0; by /= 2) {
      const int other = __shfl_xor_sync(0xffffffffu, *at, by);
      const double c = __shfl_xor_sync(0xffffffffu, *cosine, by);
      const uint32_t r = __shfl_xor_sync(0xffffffffu, *rank, by);
      if (other >= 0 && (*at < 0 || better(c, r, *cosine, *rank))) {
        *at = other;
        *cosine = c;
        *rank = r;
      }
    }
  }
  __device__ __forceinline__ int from_first(int value) const {
    return __shfl_sync(0xffffffffu, value, 0);
  }
};

// Eight warps, a whole program. `scratch`: 16 ints of shared memory.
struct Program {
  static constexpr int width = kDeepLanes;
  int lane;
  __device__ __forceinline__ void sync() const { __syncthreads(); }
  __device__ __forceinline__ int sum(int value, int* scratch) const {
    int total = 0;
    before(value, &total, scratch);
    return total;
  }
  __device__ __forceinline__ int before(int value, int* total, int* scratch) const {
    int in_warp = 0;
    const int place = Warp{lane % 32}.before(value, &in_warp, nullptr);
    __syncthreads();
    if (lane % 32 == 0) scratch[lane / 32] = in_warp;
    __syncthreads();
    int base = 0, all = 0;
    for (int w = 0; w < width / 32; ++w) {
      if (w < lane / 32) base += scratch[w];
      all += scratch[w];
    }
    *total = all;
    return base + place;
  }
};

}  // namespace gtn::cuda

using namespace gtn::cuda;

extern __shared__ __align__(128) unsigned char gtn_shared[];

#define GTN_ITEM (blockIdx.x * blockDim.x + threadIdx.x)

extern "C" {

__global__ void __launch_bounds__(kMmaThreads, 1)
    gtn_maxima_mma(const __grid_constant__ ScreenParams p) {
  screen_mma<true>(p, gtn_shared);
}

__global__ void __launch_bounds__(kMmaThreads, 1)
    gtn_survivors_mma(const __grid_constant__ ScreenParams p) {
  screen_mma<false>(p, gtn_shared);
}

#if defined(GTN_WGMMA)
__global__ void __launch_bounds__(kWgmmaThreads, 1)
    gtn_maxima_wgmma(const __grid_constant__ ScreenParams p, int stages) {
  screen_wgmma<true, 2>(p, gtn_shared, stages);
}

__global__ void __launch_bounds__(kWgmmaThreads, 1)
    gtn_survivors_wgmma(const __grid_constant__ ScreenParams p, int stages) {
  screen_wgmma<false, 2>(p, gtn_shared, stages);
}

__global__ void __launch_bounds__(kWgmmaThreads, 1)
    gtn_maxima_wgmma_high(const __grid_constant__ ScreenParams p, int stages) {
  screen_wgmma<true, 1>(p, gtn_shared, stages);
}

__global__ void __launch_bounds__(kWgmmaThreads, 1)
    gtn_survivors_wgmma_high(const __grid_constant__ ScreenParams p, int stages) {
  screen_wgmma<false, 1>(p, gtn_shared, stages);
}
#endif

__global__ void __launch_bounds__(256) gtn_scales(const __grid_constant__ ScaleParams p) {
  const int64_t row = GTN_ITEM;
  if (row < p.rows) scale_row(p, row);
}

__global__ void __launch_bounds__(128) gtn_thresholds(const __grid_constant__ ThresholdParams p) {
  const int row = GTN_ITEM;
  if (row < p.rows && p.counters->failed == 0) threshold_of(p, row);
}

// A warp per row, four rows per program.
__global__ void __launch_bounds__(128) gtn_decide(const __grid_constant__ DecideParams p) {
  const int at = blockIdx.x * 4 + threadIdx.x / 32;
  if (at >= p.rows || p.counters->failed != 0) return;
  decide(p, at, gtn_shared + threadIdx.x / 32 * decide_bytes(p.d, p.most),
         Warp{static_cast<int>(threadIdx.x % 32)});
}

__global__ void __launch_bounds__(kDeepLanes)
    gtn_decide_deep(const __grid_constant__ DecideParams p) {
  const int at = blockIdx.x;
  if (at >= rows_there(p.counters, 1, 0) || p.counters->failed != 0) return;
  decide(p, at, gtn_shared, Program{static_cast<int>(threadIdx.x)});
}

__global__ void __launch_bounds__(128) gtn_propose(const __grid_constant__ ProposeParams p) {
  int item = GTN_ITEM;
  if (p.counters->failed != 0) return;
  if (p.deep != 0) {
    item += p.counters->deep_begin;
    if (item < p.counters->deep_end) propose(p, item);
  } else if (item < p.rows) {
    propose(p, item);
  }
}

__global__ void gtn_next_round(Counters* counters) {
  if (counters->failed == 0) next_round(counters);
}

__global__ void __launch_bounds__(32) gtn_deepen(const __grid_constant__ DeepenParams p) {
  const int at = p.counters->deep_begin + blockIdx.x;
  if (at >= p.counters->deep_end || p.counters->failed != 0) return;
  deepen(p, at, Warp{static_cast<int>(threadIdx.x)});
}

__global__ void __launch_bounds__(128) gtn_finish(const __grid_constant__ FinishParams p) {
  const int row = GTN_ITEM;
  if (row < p.rows && p.counters->failed == 0) finish(p, row);
}

__global__ void __launch_bounds__(256) gtn_collect(const __grid_constant__ CompactParams p) {
  const int col = GTN_ITEM;
  if (col < p.cols && p.counters->failed == 0) collect(p, col);
}

__global__ void __launch_bounds__(256) gtn_move(const __grid_constant__ CompactParams p) {
  const int at = GTN_ITEM / 32;
  if (at < p.counters->movers && p.counters->failed == 0)
    move(p, at, Warp{static_cast<int>(threadIdx.x % 32)});
}

__global__ void __launch_bounds__(128) gtn_end_directions(const __grid_constant__ EndParams p) {
  const int item = GTN_ITEM / 32;
  if (item < p.cols + p.rows && p.counters->failed == 0)
    end_direction(p, item, Warp{static_cast<int>(threadIdx.x % 32)});
}

// 16 x 16 cosines per program, directions by way of shared memory, 8 dimensions at a time: a
// thread adds to the lanes of its own pair in the order that direction.h fixes.
__global__ void __launch_bounds__(256) gtn_end_cosines(const __grid_constant__ EndParams p) {
  __shared__ double x[16][9], y[16][9];
  if (p.counters->failed != 0) return;
  const int i = threadIdx.x / 16, j = threadIdx.x % 16;
  const int64_t row = static_cast<int64_t>(blockIdx.y) * 16 + i;
  const int64_t col = static_cast<int64_t>(blockIdx.x) * 16 + j;
  double lane[8] = {};
  for (int k = 0; k < p.d; k += 8) {
    const int which = threadIdx.x % 128 / 8, at = k + threadIdx.x % 8;
    const bool of_x = threadIdx.x < 128;
    const int64_t from =
        (of_x ? static_cast<int64_t>(blockIdx.x) : static_cast<int64_t>(blockIdx.y)) * 16 + which;
    const bool there = at < p.d && from < (of_x ? p.cols : p.rows);
    const double value = there ? (of_x ? p.x_direction : p.y_direction)[from * p.d + at] : 0.0;
    __syncthreads();
    (of_x ? x : y)[which][threadIdx.x % 8] = value;
    __syncthreads();
#pragma unroll
    for (int l = 0; l < 8; ++l)
      if (k + l < p.d) lane[l] = lane[l] + y[i][l] * x[j][l];
  }
  if (row < p.rows && col < p.cols) p.cosines[row * p.cols + col] = lane_sum(lane);
}

__global__ void __launch_bounds__(32) gtn_end_propose(const __grid_constant__ EndParams p) {
  const int row = blockIdx.x;
  if (p.counters->failed == 0) end_propose(p, row, Warp{static_cast<int>(threadIdx.x)});
}

__global__ void __launch_bounds__(256) gtn_end_finish(const __grid_constant__ EndParams p) {
  const int col = GTN_ITEM;
  if (col < p.cols && p.counters->failed == 0) end_finish(p, col);
}

}  // extern "C"
