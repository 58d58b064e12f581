#include "calibrate.h"

#include <algorithm>
#include <chrono>
#include <memory>
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

// n values, the first at the start of a cache line: a load across two of them takes twice as
// long, and where malloc puts a vector is a matter of luck.
template <class T>
class Line {
 public:
  Line(int64_t n, T value) : values_(static_cast<size_t>(n) + 64 / sizeof(T), value) {
    void* start = values_.data();
    size_t room = values_.size() * sizeof(T);
    data_ = static_cast<T*>(std::align(64, static_cast<size_t>(n) * sizeof(T), start, room));
  }
  T* data() { return data_; }

 private:
  std::vector<T> values_;
  T* data_;
};

}  // namespace

std::map<std::string, double> calibrate(int64_t d) {
  const Kernels& k = kernels();
  const int32_t steps = static_cast<int32_t>((d + kStepDims - 1) / kStepDims);
  const int32_t groups = panel_groups(steps);
  Line<uint8_t> codes(int64_t{groups} * steps * 64, 1);
  std::vector<int32_t> bias(static_cast<size_t>(groups) * kGroup, 0);
  Line<int8_t> y(int64_t{steps} * kStepDims, 1);
  std::vector<Hit> hits(static_cast<size_t>(groups) * kGroup * kMaxTileY);
  const int8_t* ys[kMaxTileY];
  int32_t threshold[kMaxTileY];
  std::fill_n(ys, kMaxTileY, y.data());
  std::fill_n(threshold, kMaxTileY, kScoreLimit);
  const ScreenPanel panel{codes.data(), bias.data(), groups, steps};
  volatile int sink_hits = 0;
  const double screens =
      rate([&] { sink_hits = k.screen(panel, ys, threshold, kMaxTileY, hits.data()); });

  Line<float> row(d, 0.5F);
  Line<double> direction(d, 0.0);
  Line<int8_t> code(d, 0);
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
