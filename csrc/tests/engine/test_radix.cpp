// The radix sort against the standard library's.
#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "engine/radix.h"
#include "tests/test_util.h"

namespace gtn::test {

TEST_CASE("radix: a stable order") {
  std::mt19937_64 rng(7);
  for (const int threads : {1, 3})
    for (const int64_t n : {0, 1, 2, 100, 5000, kReduced ? 20000 : 70000})
      for (const int bits : {0, 3, 20, 40, 64})
        for (const uint64_t base : {uint64_t{0}, uint64_t{1} << 40}) {
          Team team(threads);
          std::vector<uint64_t> keys(static_cast<size_t>(n));
          for (uint64_t& k : keys) {
            const uint64_t r = bits == 0 ? 0 : rng() >> (64 - bits);
            k = rng() % 2 ? r : base + (r & 7);
          }
          std::vector<uint32_t> want(keys.size());
          std::iota(want.begin(), want.end(), 0u);
          std::stable_sort(want.begin(), want.end(),
                           [&](uint32_t a, uint32_t b) { return keys[a] < keys[b]; });
          CHECK_MESSAGE(stable_order(keys.data(), n, team) == want, "n=", n, " bits=", bits);
        }
}

}  // namespace gtn::test
