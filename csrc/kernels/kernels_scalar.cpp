// The contract: plain loops that any compiler and CPU can run.
#include "kernels/kernels.h"

namespace gtn {
namespace {

#include "kernels/portable.inc"

unsigned dot_group_scalar(const double* const* y, int n_y, const double* x, int64_t d,
                          const double* threshold, double* out, unsigned* mask) {
  unsigned any = 0;
  for (int j = 0; j < n_y; ++j, out += kGroup) {
    double lane[8][kGroup];
    for (int l = 0; l < 8; ++l) {  // one after the other: their sums stay in registers
      double sum[kGroup] = {};
      for (int64_t k = l; k < d; k += 8)
        for (int i = 0; i < kGroup; ++i) sum[i] += y[j][k] * x[k * kGroup + i];
      for (int i = 0; i < kGroup; ++i) lane[l][i] = sum[i];
    }
    mask[j] = 0;
    for (int i = 0; i < kGroup; ++i) {
      double s[4];
      for (int h = 0; h < 4; ++h) s[h] = lane[h][i] + lane[h + 4][i];
      out[i] = (s[0] + s[2]) + (s[1] + s[3]);
      mask[j] |= static_cast<unsigned>(out[i] >= threshold[j]) << i;
    }
    any |= mask[j];
  }
  return any;
}

int screen_scalar(const ScreenPanel& panel, const int8_t* y, const int32_t* threshold, int n_y,
                  Hit* hits) {
  int n_hits = 0;
  for (int g = 0; g < panel.groups; ++g) {
    const uint8_t* group = panel.codes + static_cast<int64_t>(g) * panel.steps * 64;
    for (int j = 0; j < n_y; ++j) {
      int32_t score[kGroup];
      for (int i = 0; i < kGroup; ++i) score[i] = panel.bias[g * kGroup + i];
      for (int s = 0; s < panel.steps; ++s) {
        const uint8_t* x = group + s * 64;
        const int8_t* c = y + j * code_stride(panel.steps) + s * kStepDims;
        const int32_t c0 = c[0], c1 = c[1], c2 = c[2], c3 = c[3];
        for (int i = 0; i < kGroup; ++i)
          score[i] += x[4 * i] * c0 + x[4 * i + 1] * c1 + x[4 * i + 2] * c2 + x[4 * i + 3] * c3;
      }
      for (int i = 0; i < kGroup; ++i)
        if (score[i] >= threshold[j])
          hits[n_hits++] = {static_cast<uint16_t>(j), static_cast<uint16_t>(g * kGroup + i),
                            score[i]};
    }
  }
  return n_hits;
}

#include "kernels/sift_portable.inc"

}  // namespace

extern const Kernels kKernelsScalar = {
    .x_max = 127,
    .y_max = 127,
    .tile_y = 6,
    .panel_bytes = 48 * 1024,
    .sift_cost = 1.0,
    GTN_PORTABLE_KERNELS,
    .ordered_dot_group = dot_group_scalar,
    .screen = screen_scalar,
    .sift = sift_portable,
};

}  // namespace gtn
