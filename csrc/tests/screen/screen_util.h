// Runs of the screening strategy for the C++ tests: on every instruction set, with all
// numbers of threads, blocks and lengths of list, against the brute-force loop.
#pragma once

#include <iterator>
#include <string>
#include <vector>

#include "tests/levels_util.h"

namespace gtn::test {

constexpr int64_t kBlocks[] = {0, 1, 7, 64, 1000};
constexpr int64_t kLists[] = {0, 1, 3};
constexpr int64_t kWays = 3 * std::size(kBlocks) * std::size(kLists);

// Way w of kWays: 1 to 3 threads, all blocks, all lengths of list.
inline Options way(int64_t w) {
  Options options;
  options.strategy = Strategy::kScreen;
  options.threads = 1 + static_cast<int>(w % 3);
  options.block = kBlocks[w / 3 % std::size(kBlocks)];
  options.list_length = kLists[w / 3 / std::size(kBlocks) % std::size(kLists)];
  return options;
}

inline Assignment run_match(const MatrixView& x, const MatrixView& y, const Options& options,
                            Report& report) {
  Control control;
  Assignment out;
  match(x, y, {}, {}, options, control, out, report);
  CHECK_MESSAGE(control.done == y.rows, "progress ends at ", control.done.load());
  return out;
}

inline double reported(const Report& report, const std::string& name) {
  for (const auto& [key, value] : report.values)
    if (key == name) return value;
  FAIL_CHECK("the report lacks ", name);
  return 0.0;
}

// On every level, `count` ways from `first` on; reports of all runs.
inline std::vector<Report> check_screen(Matrix& x, Matrix& y, int64_t first, int64_t count,
                                        const std::string& what) {
  const LevelKept kept;
  simd_force("scalar");
  Team one(1);
  const Assignment want = brute_force(make_problem(x, y, one));
  std::vector<Report> reports;
  on_every_level([&](const SimdLevel& level) {
    simd_force(level.name);
    for (int64_t w = first; w < first + count; ++w) {
      const Options options = way(w % kWays);
      reports.emplace_back();
      const Assignment got = run_match(x.view(), y.view(), options, reports.back());
      expect_equal(got, want,
                   what + " n_x=" + std::to_string(x.rows) + " n_y=" + std::to_string(y.rows) +
                       " d=" + std::to_string(x.cols) + " float=" + std::to_string(x.is_float) +
                       " threads=" + std::to_string(options.threads) +
                       " block=" + std::to_string(options.block) +
                       " list=" + std::to_string(options.list_length));
    }
    first += count;  // each level meets other ways
  });
  return reports;
}

// Every row picks its own structure: a ray with noise of 1e-2 to 1e-17, a copy, a
// cluster, a cone, a zero row, integers, anything.
inline Matrix mixed_matrix(int64_t n, int64_t d, std::mt19937_64& rng, bool as_float, int which) {
  std::normal_distribution<double> normal;
  Matrix m(n, d, as_float);
  const double noise = std::pow(10.0, -2.0 - static_cast<double>(rng() % 16));
  const uint64_t shapes = rng() % 7 + 1, rays = rng() % 4 + 1;
  for (int64_t r = 0; r < n; ++r) {
    const double scale = std::pow(2.0, static_cast<double>(rng() % 9) - 4.0);
    const uint64_t shape = rng() % shapes, ray = rng() % rays;
    const int64_t twin = static_cast<int64_t>(rng() % static_cast<uint64_t>(r + 1));
    for (int64_t c = 0; c < d; ++c) {
      const double v = normal(rng);
      const double on_ray = std::cos(static_cast<double>(9 * ray + 2) * (1.7 + double(c)));
      m(r, c) = scale * (shape == 0   ? v
                         : shape == 1 ? on_ray + noise * v
                         : shape == 2 ? m(twin, c) / scale
                         : shape == 3 ? double(which == 0) * 30.0 + v
                         : shape == 4 ? on_ray + 0.05 * v
                         : shape == 5 ? double(rng() % 3) - 1.0
                                      : double(rng() % 2) * on_ray);
    }
  }
  return m;
}

}  // namespace gtn::test
