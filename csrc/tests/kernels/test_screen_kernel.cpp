// The screening kernel of every table, where need be emulated, against a plain loop: all hits and
// no others, scores without overflow, dead columns.
#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/kernels.h"
#include "tests/kernels/kernel_util.h"
#include "tests/kernels/tables_util.h"

namespace gtn::test {
namespace {

enum class Codes { kRandom, kLargest, kSmallest, kMixed };  // the last three: extremes only

// A panel and y's at chosen misalignment, with all scores by a plain loop.
struct ScreenCase {
  const Kernels& k;
  int64_t d;
  int32_t groups, steps;
  Offset<uint8_t> x;
  Offset<int32_t> bias;
  Offset<int8_t> y;
  std::vector<std::vector<int64_t>> score;  // [y][column], without the bias

  ScreenCase(const Kernels& kernels, int64_t dims, int32_t n_groups, Codes codes, size_t offset,
             std::mt19937_64& rng)
      : k(kernels),
        d(dims),
        groups(n_groups),
        steps(static_cast<int32_t>((dims + 3) / 4)),
        x(int64_t{n_groups} * steps * 64, offset),
        bias(int64_t{n_groups} * kGroup, offset % 4),
        y(kernels.tile_y * code_stride(steps), offset) {
    for (uint8_t& c : x.all) {
      const bool high = codes == Codes::kLargest || (codes == Codes::kMixed && rng() % 2);
      const int top = 2 * k.x_max;
      c = static_cast<uint8_t>(codes == Codes::kRandom ? rng() % static_cast<uint64_t>(top + 1)
                               : high || codes == Codes::kSmallest ? static_cast<uint64_t>(top)
                                                                   : 0);
    }
    for (int64_t c = 0; c < int64_t{groups} * kGroup; ++c)
      bias[c] = rng() % 9 == 0 ? kDeadBias : -1000 * static_cast<int32_t>(rng() % 3);
    for (int j = 0; j < k.tile_y; ++j) {
      int8_t* const code = y.data() + j * code_stride(steps);
      for (int64_t i = 0; i < d; ++i) code[i] = y_code(codes, rng);
      score.emplace_back(static_cast<size_t>(groups) * kGroup);
      for (int64_t c = 0; c < int64_t{groups} * kGroup; ++c)
        for (int64_t i = 0; i < d; ++i)
          score.back()[static_cast<size_t>(c)] += code[i] * int64_t{x_code(c, i)};
    }
  }

  int8_t y_code(Codes codes, std::mt19937_64& rng) const {
    const bool minus = codes == Codes::kSmallest || (codes == Codes::kMixed && rng() % 2);
    if (codes != Codes::kRandom) return static_cast<int8_t>(minus ? -k.y_max : k.y_max);
    return static_cast<int8_t>(static_cast<int>(rng() % static_cast<uint64_t>(2 * k.y_max + 1)) -
                               k.y_max);
  }

  // The layout that ScreenPanel documents.
  uint8_t x_code(int64_t column, int64_t dim) {
    return x[((column / kGroup * steps + dim / kStepDims) * kGroup + column % kGroup) * kStepDims +
             dim % kStepDims];
  }

  void check(int n_y, const int32_t* threshold, const char* what) {
    constexpr int32_t kGuard = 0x5A5A5A5A;
    const size_t room = static_cast<size_t>(n_y) * static_cast<size_t>(groups) * kGroup;
    std::vector<Hit> hits(room + 1, Hit{0xFFFF, 0xFFFF, kGuard});
    const ScreenPanel panel{x.data(), bias.data(), groups, steps};
    const int n = k.screen(panel, y.data(), threshold, n_y, hits.data());
    const std::string where = std::string(what) + " d=" + std::to_string(d) +
                              " groups=" + std::to_string(groups) + " n_y=" + std::to_string(n_y);
    CHECK_MESSAGE((n >= 0 && static_cast<size_t>(n) <= room), where, ": ", n, " hits");
    CHECK_MESSAGE(hits.back().score == kGuard, where, ": writes past the room");
    using Row = std::tuple<int, int, int64_t>;
    std::vector<Row> got, want;
    for (int h = 0; h < n && static_cast<size_t>(h) < room; ++h) {
      const Hit& hit = hits[static_cast<size_t>(h)];
      got.emplace_back(hit.y, hit.x, hit.score);
    }
    for (int j = 0; j < n_y; ++j)
      for (int c = 0; c < groups * kGroup; ++c) {
        const int64_t s = score[static_cast<size_t>(j)][static_cast<size_t>(c)] + bias[c];
        if (s >= threshold[j]) want.emplace_back(j, c, s);
      }
    std::sort(got.begin(), got.end());
    CHECK_MESSAGE(got == want, where, ": ", got.size(), " hits, not ", want.size(), ", or others");
  }

  // The first y against some groups, in any order: columns as they come, all of them.
  void check_sift(int32_t threshold, std::mt19937_64& rng) {
    std::vector<uint32_t> list, want;
    std::vector<int32_t> want_score;
    for (int32_t g = 0; g < groups; ++g)
      if (rng() % 3 != 0) list.push_back(static_cast<uint32_t>(g));
    std::shuffle(list.begin(), list.end(), rng);
    for (const uint32_t g : list)
      for (uint32_t c = g * kGroup; c < (g + 1) * kGroup; ++c) {
        const int64_t s = score[0][c];
        if (s < threshold) continue;
        want.push_back(c);
        want_score.push_back(static_cast<int32_t>(s));
      }
    constexpr uint32_t kGuard = 0x5A5A5A5A;
    const size_t room = (list.size() + 1) * kGroup;
    std::vector<uint32_t> out(room + 1, kGuard);
    std::vector<int32_t> out_score(room + 1, static_cast<int32_t>(kGuard));
    const ScreenPanel panel{x.data(), nullptr, groups, steps};
    const int n = static_cast<int>(list.size());
    const std::string where = "sift d=" + std::to_string(d) + " groups=" + std::to_string(groups);
    for (int32_t* const scores : {static_cast<int32_t*>(nullptr), out_score.data()}) {
      const int found = k.sift(panel, y.data(), threshold, list.data(), n, out.data(), scores);
      REQUIRE_MESSAGE(found == static_cast<int>(want.size()), where);
      CHECK_MESSAGE(std::equal(want.begin(), want.end(), out.begin()), where);
      CHECK_MESSAGE(out.back() == kGuard, where, ": writes past the room");
    }
    CHECK_MESSAGE(std::equal(want_score.begin(), want_score.end(), out_score.begin()), where);
    CHECK_MESSAGE(out_score.back() == static_cast<int32_t>(kGuard), where);
  }

  void check_sifts(std::mt19937_64& rng) {
    for (int shift = -1; shift <= 1; ++shift) {
      const int64_t s = score[0][rng() % (static_cast<uint64_t>(groups) * kGroup)];
      check_sift(static_cast<int32_t>(s) + shift, rng);
    }
    check_sift(-kScoreLimit, rng);
    check_sift(kScoreLimit, rng);
  }

  // Around the score of some column of each y, then all and none.
  void check_thresholds(int n_y, std::mt19937_64& rng) {
    int32_t threshold[kMaxTileY];
    const uint64_t columns = static_cast<uint64_t>(groups) * kGroup;
    for (int shift = -1; shift <= 1; ++shift) {
      for (int j = 0; j < n_y; ++j) {
        int64_t c = static_cast<int64_t>(rng() % columns);
        while (bias[c] == kDeadBias && c + 1 < static_cast<int64_t>(columns)) ++c;
        const int64_t s = score[static_cast<size_t>(j)][static_cast<size_t>(c)];
        threshold[j] = static_cast<int32_t>(s + (bias[c] == kDeadBias ? 0 : bias[c])) + shift;
      }
      check(n_y, threshold, "screen");
    }
    std::fill_n(threshold, n_y, -kScoreLimit);
    check(n_y, threshold, "screen for all");
    std::fill_n(threshold, n_y, kScoreLimit);
    check(n_y, threshold, "screen for none");
  }
};

// Those that a kernel may treat apart.
std::vector<int> tile_sizes(const Kernels& k) {
  std::vector<int> sizes;
  for (const int n_y : {1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 17, 31, 32})
    if (n_y <= k.tile_y) sizes.push_back(n_y);
  return sizes;
}

void test_hits(const Kernels& k, bool reduced, std::mt19937_64& rng) {
  const std::vector<int32_t> group_counts =
      reduced ? std::vector<int32_t>{1, 3, 4, 7, 33}
              : std::vector<int32_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 32, 33};
  for (const int64_t d : kSizes)
    for (const int32_t groups : group_counts) {
      if (reduced && d > 60 && groups > 8) continue;
      ScreenCase random(k, d, groups, Codes::kRandom, rng() % 67, rng);
      for (const int n_y : tile_sizes(k)) random.check_thresholds(n_y, rng);
      random.check_sifts(rng);
    }
  // Sums as large as codes allow must not wrap in any narrower register.
  for (const int64_t d : {1, 4, 5, 16, 17, 63, 100, 1024})
    for (const Codes codes : {Codes::kLargest, Codes::kSmallest, Codes::kMixed})
      for (const int32_t groups : {1, 2, 5}) {
        ScreenCase extreme(k, d, groups, codes, rng() % 67, rng);
        for (const int n_y : tile_sizes(k)) extreme.check_thresholds(n_y, rng);
        extreme.check_sifts(rng);
      }
}

// The widest row whose sums stay below kScoreLimit: dead columns still never hit.
void test_dead_columns(const Kernels& k, std::mt19937_64& rng) {
  const int64_t d = (kScoreLimit - 1) / (2 * k.x_max * k.y_max) / 4 * 4;
  for (const Codes codes : {Codes::kLargest, Codes::kSmallest}) {
    ScreenCase wide(k, d, 2, codes, 1, rng);
    for (int64_t c = 0; c < 2 * kGroup; ++c) wide.bias[c] = c % 3 ? kDeadBias : 0;
    for (const int32_t threshold : {-kScoreLimit, kScoreLimit}) {
      const std::vector<int32_t> all(static_cast<size_t>(k.tile_y), threshold);
      for (const int n_y : tile_sizes(k)) wide.check(n_y, all.data(), "dead columns");
    }
  }
}

}  // namespace

TEST_CASE("screening kernel: all hits and no others") {
  on_every_table([](const Kernels& kernels, bool emulated) {
    std::mt19937_64 rng(3);
    test_hits(kernels, kReduced || emulated, rng);
    test_dead_columns(kernels, rng);
  });
}

}  // namespace gtn::test
