// The arithmetic of gtn_fast/direction.h, operation by operation. Right only if nothing is
// contracted: kernels.cu is compiled with --fmad=false, the emulation with -ffp-contract=off.
#pragma once

#include <cmath>
#include <cstring>

#include "cuda/params.h"

namespace gtn::cuda {

GTN_BOTH double lane_sum(const double (&lane)[8]) {
  const double s0 = lane[0] + lane[4], s1 = lane[1] + lane[5];
  const double s2 = lane[2] + lane[6], s3 = lane[3] + lane[7];
  return (s0 + s2) + (s1 + s3);
}

GTN_BOTH double value_at(const Rows& rows, int64_t row, int64_t k) {
  return rows.is_double
             ? static_cast<const double*>(rows.data)[row * rows.stride + k]
             : static_cast<double>(static_cast<const float*>(rows.data)[row * rows.stride + k]);
}

// A zero row stays zero whatever it is divided by.
GTN_BOTH double divisor(double scale) { return scale == 0.0 ? 1.0 : scale; }

GTN_BOTH double direction_at(const Rows& rows, int64_t row, int64_t k) {
  return value_at(rows, row, k) / divisor(rows.largest[row]) / divisor(rows.inner[row]);
}

// Eight values; `aligned`: they begin at a multiple of 16 bytes.
template <class Value>
GTN_BOTH void load_eight(const Value* from, [[maybe_unused]] bool aligned, Value (&to)[8]) {
#if defined(__CUDA_ARCH__)
  if (aligned) {
    constexpr int kEach = 16 / sizeof(Value);
#pragma unroll
    for (int i = 0; i < 8 / kEach; ++i) {
      const uint4 raw = reinterpret_cast<const uint4*>(from)[i];
      memcpy(to + i * kEach, &raw, 16);
    }
    return;
  }
#pragma unroll
#endif
  for (int j = 0; j < 8; ++j) to[j] = from[j];
}

// ordered_dot of a direction that is there, and of a row's direction.
template <class Value>
GTN_BOTH double cosine_with(const double* y, const Value* x, double largest, double inner, int d) {
  const bool aligned = reinterpret_cast<uintptr_t>(x) % 16 == 0;
  double lane[8] = {};
  int k = 0;
  for (; k + 8 <= d; k += 8) {
    Value part[8];
    load_eight(x + k, aligned, part);
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
    for (int j = 0; j < 8; ++j)
      lane[j] = lane[j] + y[k + j] * (static_cast<double>(part[j]) / largest / inner);
  }
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
  for (int j = 0; j < 8; ++j)
    if (k + j < d) lane[j] = lane[j] + y[k + j] * (static_cast<double>(x[k + j]) / largest / inner);
  return lane_sum(lane);
}

GTN_BOTH double cosine_with(const double* y, const Rows& x, int64_t row, int d) {
  const double largest = divisor(x.largest[row]), inner = divisor(x.inner[row]);
  if (x.is_double)
    return cosine_with(y, static_cast<const double*>(x.data) + row * x.stride, largest, inner, d);
  return cosine_with(y, static_cast<const float*>(x.data) + row * x.stride, largest, inner, d);
}

GTN_BOTH double ordered_dot(const double* a, const double* b, int d) {
  double lane[8] = {};
  int k = 0;
  for (; k + 8 <= d; k += 8)
    for (int j = 0; j < 8; ++j) lane[j] = lane[j] + a[k + j] * b[k + j];
  for (int j = 0; j < 8; ++j)
    if (k + j < d) lane[j] = lane[j] + a[k + j] * b[k + j];
  return lane_sum(lane);
}

GTN_BOTH void scale_row(const ScaleParams& p, int64_t row) {
  Rows rows{p.data, nullptr, nullptr, p.stride, p.is_double};
  double m = 0.0;
  for (int k = 0; k < p.d; ++k) {
    const double v = value_at(rows, row, k);
    const double size = v < 0.0 ? -v : v;
    m = size > m ? size : m;
  }
  const double by = divisor(m);
  double lane[8] = {};
  for (int k = 0; k < p.d; k += 8)
    for (int j = 0; j < 8; ++j)
      if (k + j < p.d) {
        const double u = value_at(rows, row, k + j) / by;
        lane[j] = lane[j] + u * u;
      }
  p.largest[row] = m;
  p.inner[row] = sqrt(lane_sum(lane));
}

}  // namespace gtn::cuda
