// Screening of data large enough for several frames, compaction and new layouts, by
// equality with the brute-force loop: even frames, neighbours, clusters too narrow
// for codes, rays on which cosines tie.
#include <cmath>
#include <string>
#include <vector>

#include "tests/screen/screen_util.h"

namespace gtn::test {
namespace {

// Large enough for frames of neighbours, compaction and new layouts.
TEST_CASE("screen: clusters, wide and at the resolution of their type") {
  constexpr int64_t kClusters = 6;
  const int64_t n = kReduced ? 2200 : 2600;
  std::mt19937_64 rng(31);
  std::normal_distribution<double> normal;
  for (const int64_t d : {16, 33, 100})
    // Wide clusters, clusters at the resolution of the type, and both.
    for (const double noise : {0.02, 1e-7, 1e-15, 0.0}) {
      if (d == 100 && (kReduced || noise != 0.0)) continue;
      const bool as_float = noise == 1e-7;
      Matrix x(n, d, as_float), y(n - 100, d, as_float), centers(kClusters, d);
      for (double& v : centers.f64) v = normal(rng);
      for (Matrix* m : {&x, &y})
        for (int64_t r = 0; r < m->rows; ++r) {
          const int64_t cluster = static_cast<int64_t>(rng() % kClusters);
          const double own = noise != 0.0 ? noise : cluster % 2 ? 1e-15 : 0.05;
          for (int64_t c = 0; c < d; ++c)
            (*m)(r, c) = centers(cluster, c) + (m == &x ? own : 0.05) * normal(rng);
        }
      const std::vector<Report> reports = check_screen(
          x, y, d, 1, "clusters of " + std::to_string(noise) + " (" + std::to_string(d) + ")");
      for (const Report& report : reports) {
        CHECK_MESSAGE(reported(report, "frames_of_neighbours") == 1.0, "d=", d, " noise=", noise);
        CHECK_MESSAGE(reported(report, "packs") >= 2.0, "d=", d, " noise=", noise);
        CHECK_MESSAGE(reported(report, "compactions") >= 1.0, "d=", d, " noise=", noise);
      }
    }
}

// Spread evenly: one centre serves many, several even frames, several blocks.
TEST_CASE("screen: even frames, several blocks") {
  const int64_t n = kReduced ? 2300 : 4500;
  for (const Kind kind : {Kind::kGaussian, Kind::kOrthant, Kind::kDuplicates}) {
    Matrix x = make_matrix(n, 40, kind, 0, 8, true);
    Matrix y = make_matrix(n - 200, 40, kind, 1, 8, true);
    check_screen(x, y, kind == Kind::kOrthant ? 4 : 0, kReduced ? 1 : 2,
                 std::string("even, ") + kind_name(kind));
  }
}

// Once the wide part is taken, what is left is too narrow for codes and does not
// fill more than one frame: no sample of scores exists there.
TEST_CASE("screen: what is left is too narrow for codes") {
  std::mt19937_64 rng(1);
  std::normal_distribution<double> normal;
  for (const int64_t d : {4, 16}) {
    Matrix x(1800, d), y(1500, d);
    for (int64_t r = 0; r < x.rows; ++r)
      for (int64_t c = 0; c < d; ++c) {
        const double first = c == 0 ? 1.0 : 0.0, v = normal(rng);
        x(r, c) = r < 700 ? v + 2.0 * first : 1e-15 * v - first;
        if (r < y.rows) y(r, c) = normal(rng) + 2.0 * first;
      }
    check_screen(x, y, 0, 1, "narrow remainder");
  }
}

// So many x's of one frame that is too narrow for codes that their directions take more memory
// than an allocator has at hand anyway.
TEST_CASE("screen: many x's too narrow for codes") {
  std::mt19937_64 rng(2);
  std::normal_distribution<double> normal;
  Matrix x(kReduced ? 4000 : 60000, 16), y(12, 16);
  for (Matrix* m : {&x, &y})
    for (int64_t r = 0; r < m->rows; ++r)
      for (int64_t c = 0; c < 16; ++c) (*m)(r, c) = (m == &x ? 1e-15 : 1.0) * normal(rng) + 1.0;
  check_screen(x, y, 0, 1, "many narrow x's");
}

// X on a few rays, whose cosines with a y differ in their last bits or tie: in double
// the frames are too narrow for codes, in float they are not, but where Y lies on the
// same rays the codes tell its y's nothing. `twins` gives each direction many x's, so
// that heads move while frames stay.
TEST_CASE("screen: few rays") {
  constexpr uint64_t kRays = 3;
  const int64_t n = 2300;
  std::mt19937_64 rng(77);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform(0.1, 10.0);
  for (const int64_t d : {3, 32, 45})
    for (const bool as_float : {false, true})
      for (const bool both : {false, true})
        for (const bool twins : {false, true}) {
          if (kReduced && d != 32) continue;
          Matrix rays(kRays, d), x(n, d, as_float), y(n - 150, d, as_float);
          for (double& v : rays.f64) v = normal(rng);
          for (Matrix* m : {&x, &y})
            for (int64_t r = 0; r < m->rows; ++r) {
              const int64_t ray = static_cast<int64_t>(rng() % kRays);
              const double norm =
                  twins && rng() % 2 ? std::ldexp(1.0, static_cast<int>(rng() % 6)) : uniform(rng);
              for (int64_t c = 0; c < d; ++c)
                (*m)(r, c) = m == &x || both ? norm * rays(ray, c) : normal(rng);
            }
          const std::vector<Report> reports =
              check_screen(x, y, d + both, 1,
                           std::string("rays") + (both ? " both" : "") + (twins ? " twins" : ""));
          for (const Report& report : reports)
            CHECK_MESSAGE((d == 3 || reported(report, "packs") >= 2.0), "d=", d);
        }
}

}  // namespace

}  // namespace gtn::test
