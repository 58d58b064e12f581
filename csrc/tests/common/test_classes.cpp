// Classes of equal directions against their definition.
#include <algorithm>
#include <vector>

#include "strategies/common/classes.h"
#include "tests/test_util.h"

namespace gtn::test {

TEST_CASE("classes: members have one direction, and no two classes do") {
  for (int k = 0; k < static_cast<int>(Kind::kCount); ++k) {
    Team team(2);
    Matrix x = make_matrix(600, 3, static_cast<Kind>(k), 0, 5, false, k % 2 == 0);
    Matrix y = make_matrix(1, 3, Kind::kGaussian, 1, 5);
    const Problem p = make_problem(x, y, team);
    const DirectionClasses classes = direction_classes(p, team);
    std::vector<std::vector<double>> u(600, std::vector<double>(3));
    for (size_t rank = 0; rank < 600; ++rank) {
      const uint32_t row = p.x_by_norm[rank];
      row_direction(p.x, row, p.x_scale[row], u[rank].data());
    }
    std::vector<bool> seen(600, false);
    for (uint32_t c = 0; c < classes.count(); ++c) {
      CHECK_MESSAGE((c == 0 || classes.first[c - 1] < classes.first[c]), "order of classes");
      for (uint32_t r = classes.first[c]; r != kNoRank; r = classes.after(r)) {
        CHECK_MESSAGE(classes.class_of(r) == c, "class of a member");
        CHECK_MESSAGE(u[r] == u[classes.first[c]], "members have one direction");
        CHECK_MESSAGE(classes.after(r) > r, "members ascend");
        seen[r] = true;
      }
      for (uint32_t other = 0; other < c; ++other)
        CHECK_MESSAGE(u[classes.first[c]] != u[classes.first[other]], "classes differ");
    }
    CHECK_MESSAGE(std::count(seen.begin(), seen.end(), true) == 600, "every rank has a class");
  }
}

}  // namespace gtn::test
