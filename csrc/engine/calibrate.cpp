#include "engine/calibrate.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "kernels/kernels.h"
#include "strategies/screen/pages.h"

namespace gtn {
namespace {

// Calls of body() per second: the best of several short measurements.
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

// n equal values at the start of a page, where the codes of a match lie, too. A load across two
// cache lines takes twice as long, and malloc does not align to cache lines.
template <class T>
T* filled(Pages& pages, int64_t n, T value) {
  pages = Pages(static_cast<size_t>(n) * sizeof(T), "");
  T* const data = reinterpret_cast<T*>(pages.get());
  std::fill_n(data, n, value);
  return data;
}

// The order of a search: every tile of y's over one panel, then over the next panel. With one
// panel and one tile of y's alone, AMX would look a third faster than it is in a search.
constexpr int kPanels = 8, kTiles = 12;

}  // namespace

double screening_rate(int64_t d) {
  const Kernels& k = kernels();
  const int32_t steps = static_cast<int32_t>((d + kStepDims - 1) / kStepDims);
  const int32_t groups = k.panel_groups(steps);
  Pages pages[2];
  const uint8_t* codes = filled<uint8_t>(pages[0], int64_t{kPanels} * groups * steps * 64, 1);
  std::vector<int32_t> bias(static_cast<size_t>(groups) * kGroup, 0);
  const int8_t* y = filled<int8_t>(pages[1], kTiles * k.tile_y * code_stride(steps), 0);
  std::vector<Hit> hits(static_cast<size_t>(groups * kGroup * k.tile_y));
  int32_t threshold[kMaxTileY];
  std::fill_n(threshold, kMaxTileY, kScoreLimit);
  volatile int sink = 0;
  const double walks = rate([&] {
    for (int64_t p = 0; p < kPanels; ++p)
      for (int64_t t = 0; t < kTiles; ++t)
        sink = k.screen({codes + p * groups * steps * 64, bias.data(), groups, steps},
                        y + t * k.tile_y * code_stride(steps), threshold, k.tile_y, hits.data());
  });
  (void)sink;
  return walks * kPanels * kTiles * groups * kGroup * k.tile_y;
}

}  // namespace gtn
