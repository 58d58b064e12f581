// gtn_kernel_calls LEVEL KERNEL D CALLS: so many calls of one kernel.
// benchmarks/arm_instructions.py counts their instructions. Prints the pairs of a call.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/levels.h"

namespace {

using namespace gtn;

// No pair reaches its threshold, as all but a few do not.
int screen(const Kernels& k, int d, int calls) {
  const int32_t steps = (d + kStepDims - 1) / kStepDims;
  const int32_t groups = k.panel_groups(steps);
  std::vector<uint8_t> codes(static_cast<size_t>(groups) * static_cast<size_t>(steps) * 64, 3);
  std::vector<int32_t> bias(static_cast<size_t>(groups) * kGroup, 0);
  std::vector<int8_t> y(static_cast<size_t>(k.tile_y * code_stride(steps)), 5);
  const std::vector<int32_t> threshold(static_cast<size_t>(k.tile_y), kScoreLimit);
  std::vector<Hit> hits(static_cast<size_t>(k.tile_y * groups * kGroup));
  int n_hits = 0;
  for (int c = 0; c < calls; ++c)
    n_hits += k.screen({codes.data(), bias.data(), groups, steps}, y.data(), threshold.data(),
                       k.tile_y, hits.data());
  return n_hits == 0 ? k.tile_y * groups * kGroup : -1;
}

int dot(const Kernels& k, int d, int calls) {
  const std::vector<double> x(static_cast<size_t>(d) * kGroup, 0.5), one(static_cast<size_t>(d));
  const double* y[kMaxDotY];
  double threshold[kMaxDotY], out[kMaxDotY * kGroup];
  unsigned mask[kMaxDotY];
  for (int j = 0; j < kMaxDotY; ++j) y[j] = one.data(), threshold[j] = 1e9;
  unsigned any = 0;
  for (int c = 0; c < calls; ++c)
    any |= k.ordered_dot_group(y, kMaxDotY, x.data(), d, threshold, out, mask);
  return any == 0 ? kMaxDotY * kGroup : -1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  simd_force(argv[1]);
  const int d = std::atoi(argv[3]), calls = std::atoi(argv[4]);
  const bool screens = std::string(argv[2]) == "screen";
  const int pairs = screens ? screen(kernels(), d, calls) : dot(kernels(), d, calls);
  std::printf("%d\n", pairs);
  return pairs > 0 ? 0 : 1;
}
