// The kernels' bodies on the CPU, for machines without a GPU: the same steps in the same order, and
// the same answer. The screen alone is written anew, as plain sums.
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "cuda/bodies.h"
#include "cuda/machine.h"

namespace gtn::cuda {
namespace {

float half_value(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = half >> 10 & 31, fraction = half & 0x3ff;
  if (exponent == 0)
    return std::bit_cast<float>(sign |
                                std::bit_cast<uint32_t>(static_cast<float>(fraction) * 0x1p-24f));
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

// Dimension k of a row of codes.
float code_at(const unsigned char* codes, int64_t row, int k, int padded) {
  uint16_t half = 0;
  std::memcpy(&half, codes + chunk_offset(row, k / kChunk, padded) + k % kChunk * 2, 2);
  return half_value(half);
}

class Emulated final : public Machine {
 public:
  int programs() const override { return 4; }
  int rows_of_program(int) const override { return kBlockRows; }

  void scales(const ScaleParams& p) override {
    for (int64_t row = 0; row < p.rows; ++row) scale_row(p, row);
  }
  void maxima(const ScreenParams& p) override {
    for_scores(p, p.tiles * kTile, [&](int row, const std::vector<float>& score) {
      for (int begin = 0; begin < p.tiles; begin += p.per) {
        const int end = std::min(begin + p.per, p.tiles);
        float best[4];
        for (float& each : best) each = -std::numeric_limits<float>::infinity();
        for (int col = begin * kTile; col < end * kTile; ++col) {
          float& each = best[col % 8 / 2];
          each = std::max(each, score[static_cast<size_t>(col)]);
        }
        for (int quarter = 0; quarter < 4; ++quarter)
          p.maxima[(static_cast<int64_t>(begin / p.per) * 4 + quarter) * p.ld + row] =
              best[quarter];
      }
    });
  }
  void survivors(const ScreenParams& p) override {
    for_scores(p, p.cols, [&](int row, const std::vector<float>& score) {
      int* const count = p.count + static_cast<int64_t>(row) * 4 * p.splits;
      int* const found = p.cols_found + static_cast<int64_t>(row) * 4 * p.splits * p.capacity;
      std::fill(count, count + 4 * p.splits, 0);
      for (int col = 0; col < p.cols; ++col) {
        if (score[static_cast<size_t>(col)] < p.threshold[row]) continue;
        const int list = col / kTile / p.tiles_per_split * 4 + col % 8 / 2;
        if (count[list] < p.capacity) found[list * p.capacity + count[list]] = col;
        ++count[list];
      }
    });
  }
  void thresholds(const ThresholdParams& p) override {
    if (failed(p)) return;
    for (int row = 0; row < p.rows; ++row) threshold_of(p, row);
  }
  void decide(const DecideParams& p) override {
    if (failed(p)) return;
    std::vector<double> shared(static_cast<size_t>(decide_bytes(p.d, p.most) / 8 + 1));
    const int rows = rows_there(p.counters, p.deep, p.rows);
    for (int at = 0; at < rows; ++at)
      cuda::decide(p, at, reinterpret_cast<unsigned char*>(shared.data()), OneThread{});
  }
  void propose(const ProposeParams& p) override {
    if (failed(p)) return;
    const int begin = p.deep != 0 ? p.counters->deep_begin : 0;
    const int end = p.deep != 0 ? p.counters->deep_end : p.rows;
    // Not in turn: the outcome must not depend on it.
    for (int i = end - 1; i >= begin; i -= 2) cuda::propose(p, i);
    for (int i = end - 2; i >= begin; i -= 2) cuda::propose(p, i);
  }
  void next_round(Counters* counters) override {
    if (counters->failed == 0) cuda::next_round(counters);
  }
  void deepen(const DeepenParams& p) override {
    if (failed(p)) return;
    for (int at = p.counters->deep_begin; at < p.counters->deep_end; ++at)
      cuda::deepen(p, at, OneThread{});
  }
  void finish(const FinishParams& p) override {
    if (failed(p)) return;
    for (int row = 0; row < p.rows; ++row) cuda::finish(p, row);
  }
  void compact(const CompactParams& p) override {
    if (failed(p)) return;
    for (int col = 0; col < p.cols; ++col) collect(p, col);
    for (int i = 0; i < p.counters->movers; ++i) move(p, i, OneThread{});
  }
  void end(const EndParams& p) override {
    if (failed(p)) return;
    for (int i = 0; i < p.cols + p.rows; ++i) end_direction(p, i, OneThread{});
    for (int64_t row = 0; row < p.rows; ++row)
      for (int64_t col = 0; col < p.cols; ++col)
        p.cosines[row * p.cols + col] =
            ordered_dot(p.y_direction + row * p.d, p.x_direction + col * p.d, p.d);
    for (int row = p.rows - 1; row >= 0; --row) end_propose(p, row, OneThread{});
    for (int col = 0; col < p.cols; ++col) end_finish(p, col);
  }
  void fill(void* at, int byte, int64_t bytes) override {
    std::memset(at, byte, static_cast<size_t>(bytes));
  }
  void send(const Counters* counters, int place) override {
    sent_[static_cast<size_t>(place)] = *counters;
  }
  bool arrived(int) override { return true; }
  Counters counters_at(int place) override { return sent_[static_cast<size_t>(place)]; }

 private:
  template <class Params>
  static bool failed(const Params& p) {
    return p.counters->failed != 0;
  }

  template <class Use>
  static void for_scores(const ScreenParams& p, int cols, const Use& use) {
    const int rows = p.counters->failed != 0 ? 0 : rows_there(p.counters, p.deep, p.rows);
    if (rows == 0) return;
    std::vector<float> x(static_cast<size_t>(p.padded) * static_cast<size_t>(cols));
    for (int k = 0; k < p.padded; ++k)
      for (int col = 0; col < cols; ++col)
        x[static_cast<size_t>(k) * static_cast<size_t>(cols) + static_cast<size_t>(col)] =
            code_at(p.x, col, k, p.padded);
    std::vector<float> score(static_cast<size_t>(cols));
    for (int row = 0; row < rows; ++row) {
      std::fill(score.begin(), score.end(), 0.0f);
      for (int k = 0; k < p.padded; ++k) {
        const float y = code_at(p.y, row, k, p.padded);
        const float* const from = &x[static_cast<size_t>(k) * static_cast<size_t>(cols)];
        for (size_t col = 0; col < score.size(); ++col) score[col] += y * from[col];
      }
      use(row, score);
    }
  }

  std::array<Counters, kPlaces> sent_{};
};

}  // namespace

std::unique_ptr<Machine> emulated() { return std::make_unique<Emulated>(); }

}  // namespace gtn::cuda
