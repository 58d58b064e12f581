// The screening strategy through match() against the brute-force loop, by equality,
// on every instruction set: all kinds of small data.
#include <cmath>
#include <string>
#include <vector>

#include "tests/screen/screen_util.h"

namespace gtn::test {
namespace {

TEST_CASE("screen: every kind of data") {
  int64_t w = 0;
  uint64_t seed = 100;
  const std::vector<int64_t> dims =
      kReduced ? std::vector<int64_t>{1, 5, 33} : std::vector<int64_t>{1, 2, 5, 16, 33, 100, 257};
  for (int k = 0; k < static_cast<int>(Kind::kCount); ++k)
    for (const int64_t d : dims)
      for (const bool as_float : {false, true})
        for (const bool zeros : {false, true}) {
          const Kind kind = static_cast<Kind>(k);
          const int64_t n_x = kReduced ? 100 : d > 50 ? 160 : 260;
          Matrix x = make_matrix(n_x, d, kind, 0, ++seed, as_float, zeros);
          Matrix y = make_matrix(zeros ? n_x / 2 : n_x, d, kind, 1, seed, as_float, zeros);
          check_screen(x, y, w, kReduced ? 1 : 2, kind_name(kind));
          w += 7;  // coprime to kWays: all ways come up
        }
}

TEST_CASE("screen: one x, one y") {
  for (const int64_t d : {1, 3, 64})
    for (const int64_t n_x : {1, 2, 17}) {
      Matrix x = make_matrix(n_x, d, Kind::kGrid, 0, 9, true);
      Matrix y = make_matrix(1, d, Kind::kGrid, 1, 9, true);
      check_screen(x, y, n_x, 9, "smallest");
    }
}

TEST_CASE("screen: equal y's") {
  for (const int64_t d : {2, 16, 100})
    for (const Kind kind : {Kind::kGaussian, Kind::kRays, Kind::kGrid}) {
      Matrix x = make_matrix(160, d, kind, 0, 21, true);
      Matrix y = make_matrix(160, d, kind, 1, 21, true);
      for (int64_t r = 1; r < y.rows; ++r)
        for (int64_t c = 0; c < d; ++c) y(r, c) = y(0, c);
      check_screen(x, y, d, kReduced ? 3 : 9, std::string("equal y's, ") + kind_name(kind));
      // Powers of two: norms differ, directions do not.
      for (int64_t r = 0; r < y.rows; ++r)
        for (int64_t c = 0; c < d; ++c) y(r, c) = std::ldexp(y(r, c), static_cast<int>(r % 40));
      check_screen(x, y, 5, 3, std::string("y's on one ray, ") + kind_name(kind));
    }
}

TEST_CASE("screen: random mixtures") {
  constexpr int64_t kDims[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 31, 33, 64, 100, 129};
  std::mt19937_64 rng(2024);
  const int rounds = kReduced ? 20 : 120;
  for (int round = 0; round < rounds; ++round) {
    const int64_t d = kDims[rng() % std::size(kDims)];
    const int64_t n_x = 1 + static_cast<int64_t>(rng() % (round % 10 == 0 ? 900 : 300));
    const int64_t n_y =
        round % 3 == 0 ? 1 + static_cast<int64_t>(rng() % static_cast<uint64_t>(n_x)) : n_x;
    const bool as_float = rng() % 2;
    Matrix x = mixed_matrix(n_x, d, rng, as_float, 0);
    Matrix y = mixed_matrix(n_y, d, rng, rng() % 2, 1);
    if (rng() % 4 == 0)  // y's that are x's: cosines near 1
      for (int64_t r = 0; r < n_y; ++r)
        for (int64_t c = 0; c < d; ++c) y(r, c) = x(n_x - 1 - r, c);
    check_screen(x, y, static_cast<int64_t>(rng() % kWays), 2, "mixture " + std::to_string(round));
  }
}

}  // namespace

}  // namespace gtn::test
