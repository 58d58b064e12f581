// The set of free angles against a list of flags.
#include <random>
#include <vector>

#include "strategies/circle/bitmap.h"
#include "tests/test_util.h"

namespace gtn::test {

TEST_CASE("bitmap: the nearest member on either side") {
  std::mt19937_64 rng(11);
  for (const int64_t n : {1, 2, 63, 64, 65, 4096, 4097, kReduced ? 10000 : 70000}) {
    ShrinkingSet set(n);
    std::vector<bool> member(static_cast<size_t>(n), true);
    for (int64_t erased = 0; erased < n; ++erased) {
      int64_t at = set.at_or_after(static_cast<int64_t>(rng() % static_cast<uint64_t>(n)));
      if (at < 0) at = set.at_or_after(0);
      CHECK_MESSAGE((at >= 0 && member[static_cast<size_t>(at)]), "n=", n);
      set.erase(at);
      member[static_cast<size_t>(at)] = false;
      if (n > 5000 && erased % 100 != 0) continue;
      const int64_t from = static_cast<int64_t>(rng() % static_cast<uint64_t>(n));
      int64_t after = from, before = from;
      while (after < n && !member[static_cast<size_t>(after)]) ++after;
      while (before >= 0 && !member[static_cast<size_t>(before)]) --before;
      CHECK_MESSAGE(set.at_or_after(from) == (after == n ? -1 : after), "after ", from);
      CHECK_MESSAGE(set.at_or_before(from) == before, "before ", from);
    }
  }
}

}  // namespace gtn::test
