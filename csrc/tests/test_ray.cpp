// The ray against the brute-force loop, by equality.
#include "tests/lowdim_util.h"

namespace gtn::test {

TEST_CASE("ray: every kind of data") {
  for_cases({1}, 1, [](const LowDimCase& c, uint64_t seed) {
    check_case(match_ray, c, seed, {Options{}}, [](uint64_t) { return true; });
  });
}

}  // namespace gtn::test
