// The circle against the brute-force loop, by equality.
#include <cmath>
#include <numbers>

#include "strategies/circle/index.h"
#include "tests/lowdim_util.h"

namespace gtn::test {

TEST_CASE("circle: keys rise once around, from straight down to just before it") {
  const double down[2] = {0.0, -1.0}, before[2] = {-0x1p-60, -1.0};  // at the two ends of the range
  double last = -1.0;
  for (const double* u : {down, before}) CHECK(angle_key(u[0], u[1]) < uint64_t{1} << 63);
  CHECK(angle_key(down[0], down[1]) == 0);
  for (int k = 0; k <= 360; ++k) {
    const double angle = (k - 90) * std::numbers::pi / 180.0;
    const double key = k < 360 ? static_cast<double>(angle_key(std::cos(angle), std::sin(angle)))
                               : static_cast<double>(angle_key(before[0], before[1]));
    CHECK(key > last);
    last = key;
  }
}

TEST_CASE("circle: every kind of data") {
  for_cases({2}, 1000, [](const LowDimCase& c, uint64_t seed) {
    check_case(match_circle, c, seed, {Options{}}, [](uint64_t) { return true; });
  });
}

}  // namespace gtn::test
