// The circle against the brute-force loop, by equality.
#include "tests/lowdim_util.h"

namespace gtn::test {

TEST_CASE("circle: every kind of data") {
  for_cases({2}, 1000, [](const LowDimCase& c, uint64_t seed) {
    check_case(match_circle, c, seed, {Options{}}, [](uint64_t) { return true; });
  });
}

}  // namespace gtn::test
