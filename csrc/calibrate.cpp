#include "calibrate.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "kernels/kernels.h"

namespace gtn {
namespace {

// Repetitions a second of body(), best of several short spells.
template <class Body>
double rate(const Body& body) {
  using Clock = std::chrono::steady_clock;
  double best = 0.0;
  const auto stop = Clock::now() + std::chrono::milliseconds(30);
  int64_t repeat = 1;
  while (Clock::now() < stop) {
    const auto start = Clock::now();
    for (int64_t i = 0; i < repeat; ++i) body();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, static_cast<double>(repeat) / std::max(seconds, 1e-9));
    if (seconds < 2e-3) repeat *= 2;
  }
  return best;
}

}  // namespace

std::map<std::string, double> calibrate(int64_t d) {
  const Kernels& k = kernels();
  const int32_t steps = static_cast<int32_t>((d + kStepDims - 1) / kStepDims);
  const int32_t groups = panel_groups(steps);
  std::vector<uint8_t> codes(static_cast<size_t>(groups) * static_cast<size_t>(steps) * 64, 1);
  std::vector<int32_t> bias(static_cast<size_t>(groups) * kGroup, 0);
  std::vector<int8_t> y(static_cast<size_t>(steps) * kStepDims, 1);
  std::vector<Hit> hits(static_cast<size_t>(groups) * kGroup * kMaxTileY);
  const int8_t* ys[kMaxTileY];
  int32_t threshold[kMaxTileY];
  std::fill_n(ys, kMaxTileY, y.data());
  std::fill_n(threshold, kMaxTileY, kScoreLimit);
  const ScreenPanel panel{codes.data(), bias.data(), groups, steps};
  volatile int sink_hits = 0;
  const double screens =
      rate([&] { sink_hits = k.screen(panel, ys, threshold, kMaxTileY, hits.data()); });

  std::vector<float> row(static_cast<size_t>(d), 0.5F);
  std::vector<double> direction(static_cast<size_t>(d));
  std::vector<int8_t> code(static_cast<size_t>(d));
  volatile double sink = 0.0;
  const double cosines =
      rate([&] { sink = k.cosine_f32(direction.data(), row.data(), 0.5, 1.0, d); });
  const double packs = rate([&] {
    double square = 0.0;
    k.direction_f32(row.data(), 0.5, 1.0, d, direction.data());
    sink = k.quantise(direction.data(), d, 0.01, k.x_max, code.data(), &square);
  });
  (void)sink_hits;
  (void)sink;
  return {{"pairs_per_s", screens * groups * kGroup * kMaxTileY},
          {"cosines_per_s", cosines},
          {"rows_per_s", packs}};
}

}  // namespace gtn
