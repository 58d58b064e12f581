// What is screened by distance: x' . y' - shift against the value that it stands for.
#include <cmath>
#include <string>

#include "strategies/screen/store.h"
#include "tests/test_util.h"

namespace gtn::test {

TEST_CASE("screen vectors: within their slack of the value, lengths as promised") {
  uint64_t seed = 90;
  for (int k = 0; k < static_cast<int>(Kind::kCount); ++k)
    for (const int64_t d : {1, 2, 9, 50})
      for (const double shift : {0.0, 1e7}) {
        Matrix x = make_matrix(60, d, static_cast<Kind>(k), 0, ++seed);
        Matrix y = make_matrix(40, d, static_cast<Kind>(k), 1, seed);
        for (double& v : x.f64) v += shift;
        for (double& v : y.f64) v += shift * static_cast<double>(seed % 3);
        Team team(2);
        Problem p = make_problem(x, y, team);
        p.metric = Metric::kEuclidean;
        const ScreenVectors vectors(p, team);
        REQUIRE(vectors.dims() == d + 1);
        const DirectionClasses classes = direction_classes(p, team);
        const FreeItems items(classes);
        const double slack = ScreenStore(p, vectors, items, kernels()).slack();
        std::vector<double> a(static_cast<size_t>(d + 1)), b(a.size()), point_x(a), point_y(a);
        for (int64_t j = 0; j < y.rows; ++j) {
          p.y_point(j, b.data());
          const ScreenVectors::Query q = vectors.of_y(b.data());
          CHECK(std::sqrt(ordered_dot(b.data(), b.data(), d + 1)) <= q.length);
          p.y_point(j, point_y.data());
          for (int64_t i = 0; i < x.rows; ++i) {
            vectors.of_x(i, a.data());
            CHECK(ordered_dot(a.data(), a.data(), d + 1) <= 1.0);
            p.x_point(i, point_x.data());
            const double about = ordered_dot(a.data(), b.data(), d + 1) - q.shift;
            const double off = std::fabs(about - value(p, point_x.data(), point_y.data()));
            CHECK_MESSAGE(off <= slack * q.roundings, kind_name(static_cast<Kind>(k)), " d=", d,
                          ": off by ", digits(off), " of ", digits(slack * q.roundings));
          }
        }
      }
}

}  // namespace gtn::test
